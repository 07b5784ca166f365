"""Train a model and push it with its metrics, from Python.

    python -m pip install . scikit-learn    # in a clone: mreg is not on PyPI yet
    python examples/train_and_push.py

The training takes a second. `mreg profile show` prints the registry that receives the model.
"""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.model_selection import train_test_split

import mreg

PARAMETERS = {"n_estimators": 60, "max_depth": 6, "random_state": 3}


def main() -> None:
    """Train, evaluate and push a model; promote it if it is better than the version in Production."""
    rows, labels = load_breast_cancer(return_X_y=True)
    train, test, train_labels, test_labels = train_test_split(rows, labels, test_size=0.3, random_state=1)
    model = RandomForestClassifier(**PARAMETERS).fit(train, train_labels)
    predictions = model.predict(test)
    metrics = {
        "accuracy": accuracy_score(test_labels, predictions),
        "f1_score": f1_score(test_labels, predictions),
        "precision": precision_score(test_labels, predictions),
        "recall": recall_score(test_labels, predictions),
    }
    with mreg.open_registry() as registry, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tumours.pkl"
        path.write_bytes(pickle.dumps(model))
        version = registry.push(path, name="tumours", metrics=metrics, parameters=PARAMETERS)
        print(f"pushed {version.reference} with accuracy {version.metrics['accuracy']:.4f}")
        production = registry.model("tumours").production_version
        if production is not None:
            current = registry.version(f"tumours@{production}")
            comparison = registry.compare(current.reference, version.reference)
            for row in comparison.metrics:
                print(f"  {row.name}: {row.first} to {row.second} ({row.verdict.value})")
            if version.metrics["accuracy"] <= current.metrics["accuracy"]:
                print(f"{current.reference} stays in Production")
                return
        registry.promote(version.reference, to="Production", reason="best accuracy so far")
        print(f"{version.reference} is in Production")


if __name__ == "__main__":
    main()
