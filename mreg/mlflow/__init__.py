"""The plugin for MLflow: a registry of mreg as MLflow's model registry.

MLflow loads it by its entry points for the scheme ``mreg``::

    mlflow.set_registry_uri("mreg:")         the default profile
    mlflow.set_registry_uri("mreg://team")   the profile team

Only this package imports MLflow, and only MLflow imports this package. It uses the interface `mreg.registry.registry`
alone, so it works with every implementation of it.
"""
