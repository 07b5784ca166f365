"""Formats told from real files, and never by loading them."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.artifacts.format import detect


class Explosive:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return (Path("exploded").touch, ())


def zipped(*members: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member in members:
            archive.writestr(member, "{}")
    return stream.getvalue()


SAFETENSORS = struct.pack("<Q", 2) + b"{}"
ONNX = b"\x08\x08\x12\x07pytorch\x1a\x03" + b"2.9" + b"\x3a\x04abcd"
CASES = [
    ("m", pickle.dumps([1, 2], protocol=2), "pickle"),
    ("m.bin", pickle.dumps([1, 2], protocol=5), "pickle"),
    ("m.pkl", pickle.dumps([1, 2], protocol=0), "pickle"),
    ("m.pkl", pickle.dumps(Explosive()), "pickle"),
    ("m.joblib", gzip.compress(b"x"), "joblib"),
    ("m", SAFETENSORS, "safetensors"),
    ("model.pkl", SAFETENSORS, "safetensors"),
    ("m", b"GGUF\x03\x00\x00\x00", "gguf"),
    ("m", b"\x1c\x00\x00\x00TFL3rest", "tflite"),
    ("m", b"\x93NUMPY\x01\x00", "numpy"),
    ("m", b"CBM1rest", "catboost"),
    ("m.txt", b"tree\nversion=v4\n", "lightgbm"),
    ("m.json", b'{"learner": {"x": 1}}', "xgboost"),
    ("m.json", b'{"a": 1}', "json"),
    ("m.onnx", ONNX, "onnx"),
    ("m", ONNX, "onnx"),
    ("m.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "hdf5"),
    ("m.h5", b"\x89HDF\r\n\x1a\n" + b"\0" * 100 + b"model_config", "keras"),
    ("m.pt", zipped("archive/data.pkl", "archive/version"), "torch"),
    ("m.pt", zipped("m/data.pkl", "m/constants.pkl", "m/code/__torch__.py"), "torchscript"),
    ("m.keras", zipped("config.json", "metadata.json", "model.weights.h5"), "keras"),
    ("m.npz", zipped("a.npy"), "numpy"),
    ("m.zip", zipped("a.txt"), "zip"),
    ("m.pt", b"PK\x03\x04broken", "torch"),
    ("m.cbm", b"x", "catboost"),
    ("m.pmml", b'<?xml version="1.0"?><PMML version="4.4">', "pmml"),
    ("notes.txt", b"hello", "unknown"),
    ("m", b"\x80", "unknown"),
    ("m", b"\x80\x04 no end", "unknown"),
]


@pytest.mark.parametrize(("name", "data", "expected"), CASES, ids=range(len(CASES)))
def test_a_file_is_told_by_its_content_before_its_name(name: str, data: bytes, expected: str) -> None:
    Path(name).write_bytes(data)
    assert detect(name) == expected
    assert not Path("exploded").exists()


def test_real_models_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"):  # scikit-learn sets them where it is imported first
        monkeypatch.setenv(name, "TRUE")
    joblib = pytest.importorskip("joblib")
    numpy = pytest.importorskip("numpy")
    safetensors = pytest.importorskip("safetensors.numpy")
    linear = pytest.importorskip("sklearn.linear_model")
    model = linear.LinearRegression().fit([[0], [1]], [0, 1])
    joblib.dump(model, "a")
    joblib.dump(model, "b.joblib", compress=3)
    safetensors.save_file({"w": numpy.zeros(3)}, "c")
    numpy.save("d.npy", numpy.zeros(3))
    Path("e").write_bytes(pickle.dumps(model))
    assert [detect(name) for name in ("a", "b.joblib", "c", "d.npy", "e")] == [
        "joblib",
        "joblib",
        "safetensors",
        "numpy",
        "pickle",
    ]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["saved_model.pb", "variables/variables.index"], "saved_model"),
        (["MLmodel", "model.pkl"], "mlflow"),
        (["config.json", "model.safetensors"], "transformers"),
        (["adapter_config.json", "adapter_model.safetensors"], "peft"),
        (["model.xml", "model.bin"], "openvino"),
        (["a.txt"], "unknown"),
    ],
)
def test_a_folder_is_told_by_what_is_in_it(files: list[str], expected: str) -> None:
    for name in files:
        path = Path("folder") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({}))
    assert detect("folder") == expected


@given(st.binary(max_size=300), st.sampled_from(["m", "m.pt", "m.json", "m.keras", "m.h5"]))
def test_any_bytes_have_a_format(data: bytes, name: str) -> None:
    Path(name).write_bytes(data)
    assert isinstance(detect(name), str)
