"""Train the two small models in examples/models.

    python -m pip install scikit-learn joblib
    python examples/train_models.py

Both classify images of handwritten digits: a logistic regression, and a support vector machine, which is more accurate
and slower. The metrics are measured on a held-out part of the images.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

FOLDER = Path(__file__).parent / "models"
SEED = 7


def main() -> None:
    """Train and evaluate both models, and write them with their metrics and parameters."""
    images, digits = load_digits(return_X_y=True)
    train, test, train_digits, test_digits = train_test_split(
        images / 16, digits, test_size=0.3, random_state=SEED, stratify=digits
    )
    candidates = {
        "logistic": (LogisticRegression(C=0.05, max_iter=200), {"model": "logistic regression", "C": 0.05}),
        "svm": (SVC(C=5.0, gamma=0.3), {"model": "support vector machine", "C": 5.0, "gamma": 0.3}),
    }
    for name, (model, parameters) in candidates.items():
        model.fit(train, train_digits)
        start = time.perf_counter()
        predictions = model.predict(test)
        seconds = time.perf_counter() - start
        metrics = {
            "accuracy": accuracy_score(test_digits, predictions),
            "f1_score": f1_score(test_digits, predictions, average="macro"),
            "precision": precision_score(test_digits, predictions, average="macro"),
            "recall": recall_score(test_digits, predictions, average="macro"),
            "latency_ms": seconds / len(test) * 1000,
        }
        folder = FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        joblib.dump(model, folder / "model.joblib", compress=3)
        rounded = {key: round(float(value), 6) for key, value in metrics.items()}
        (folder / "metrics.json").write_text(json.dumps(rounded, indent=2) + "\n")
        (folder / "params.json").write_text(json.dumps({**parameters, "seed": SEED}, indent=2) + "\n")
        print(f"{name}: {rounded}")


if __name__ == "__main__":
    main()
