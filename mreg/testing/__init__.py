"""Contract suites for implementations of mreg's interfaces.

Subclass a suite in a test module and implement its abstract methods and fixtures; pytest then runs every test of the
suite against the implementation. Needs pytest and Hypothesis.
"""

import pytest

pytest.register_assert_rewrite(
    "mreg.testing.blob_backend", "mreg.testing.catalog", "mreg.testing.database", "mreg.testing.registry"
)
