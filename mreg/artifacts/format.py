"""Detection of the format of an artifact, by its content first and its name second, without loading the model.

At most some hundreds of kilobytes are read. Sources of the signatures: the pickle protocol (PEP 3154, PEP 574), the
ZIP, HDF5, NumPy and GGUF specifications, safetensors' README, ONNX's onnx.proto, TensorFlow Lite's schema.fbs.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
from collections.abc import Callable, Collection
from typing import BinaryIO

from mreg.domain.model import UNKNOWN_FORMAT as UNKNOWN
from mreg.files import close, open_file

HEAD_BYTES = 4_096
FOLDER_FILES = 100
"""Maximum number of files of a folder that are examined."""

MEMBERS_LIMIT = 100_000
"""Maximum number of archive members that are checked."""


_BY_ENDING = {
    ".pkl": "pickle",
    ".pickle": "pickle",
    ".joblib": "joblib",
    ".onnx": "onnx",
    ".pt": "torch",
    ".pth": "torch",
    ".ckpt": "torch",
    ".safetensors": "safetensors",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".keras": "keras",
    ".gguf": "gguf",
    ".tflite": "tflite",
    ".npy": "numpy",
    ".npz": "numpy",
    ".ubj": "xgboost",
    ".cbm": "catboost",
    ".mlmodel": "coreml",
    ".pmml": "pmml",
    ".skops": "skops",
    ".bin": UNKNOWN,
}

_COMPRESSED = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00\x00")


def detect(path: str | os.PathLike[str], name: str = "") -> str:
    """Return the format of a file or folder, or ``unknown``; never raises because of its content.

    Args:
        name: Name of the artifact (default: the last component of the path).
    """
    place = os.fspath(path)
    try:
        if os.path.isdir(place):
            return _folder(place)
        with open(place, "rb", opener=_regular) as stream:
            return _file(stream, (name or os.path.basename(place)).lower())
    except OSError:
        return UNKNOWN


def _regular(path: str, _flags: int) -> int:
    """Open a regular file; a named pipe is refused without blocking."""
    descriptor = open_file(path)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    close(descriptor)
    raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def detect_stream(stream: BinaryIO, name: str) -> str:
    """Return the format of the bytes of a file, or ``unknown``; never raises because of its content.

    Args:
        stream: A stream that can seek.
    """
    try:
        return _file(stream, name.lower())
    except OSError:
        return UNKNOWN


def _folder(path: str) -> str:
    names = set(os.listdir(path))
    files = [name for name in names if os.path.isfile(os.path.join(path, name))]
    own = [name for name in files[:FOLDER_FILES] if not os.path.islink(os.path.join(path, name))]
    return folder_format(names, own, lambda name: detect(os.path.join(path, name)))


def folder_format(names: Collection[str], files: Collection[str], format_of: Callable[[str], str]) -> str:
    """Return the format of a folder, or ``unknown``.

    Args:
        names: Names of the files and folders in the folder.
        files: Names of the files, at most `FOLDER_FILES`.
        format_of: Returns the format of a file.
    """
    if "saved_model.pb" in names or "saved_model.pbtxt" in names:
        return "saved_model"
    if "MLmodel" in names:
        return "mlflow"
    if "adapter_config.json" in names:
        return "peft"
    if "modules.json" in names and "config_sentence_transformers.json" in names:
        return "sentence-transformers"
    if "model_index.json" in names:
        return "diffusers"
    if "config.json" in names and any(name.endswith((".safetensors", ".bin", ".gguf")) for name in names):
        return "transformers"
    if any(name.endswith(".xml") and f"{name[:-4]}.bin" in names for name in names):
        return "openvino"
    kinds = {format_of(name) for name in files} - {UNKNOWN}
    return kinds.pop() if len(kinds) == 1 else UNKNOWN


def _file(stream: BinaryIO, name: str) -> str:
    head = stream.read(HEAD_BYTES)
    size = stream.seek(0, os.SEEK_END)
    ending = os.path.splitext(name)[1]
    for detected in (_signature(head), _safetensors(head, size), _text(head, ending)):
        if detected:
            return detected
    if head.startswith(b"PK\x03\x04"):
        return _archive(stream, ending)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return "keras" if ending == ".keras" or _mentions(stream, b"model_config") else "hdf5"
    if head[:1] == b"\x80" and len(head) > 2 and 2 <= head[1] <= 5 and _last_byte(stream, size) == b".":
        return "joblib" if b"joblib" in head[:1024] or ending == ".joblib" else "pickle"
    if head[:10] == b"\x80\x02\x8a\nl\xfc\x9cF\xf9 ":
        return "torch"  # the legacy format: its magic number, pickled
    if ending == ".joblib" and head.startswith(_COMPRESSED):
        return "joblib"
    if _onnx(head):
        return "onnx"
    return _BY_ENDING.get(ending, UNKNOWN)


def _signature(head: bytes) -> str:
    if head.startswith(b"GGUF"):
        return "gguf"
    if head[4:8] == b"TFL3":
        return "tflite"
    if head.startswith(b"\x93NUMPY"):
        return "numpy"
    if head.startswith(b"CBM1"):
        return "catboost"
    if head.startswith(b"tree\nversion="):
        return "lightgbm"
    if head.startswith((b"binf", b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner")):
        return "xgboost"
    return ""


def _safetensors(head: bytes, size: int) -> str:
    if len(head) < 10:
        return ""
    (length,) = struct.unpack("<Q", head[:8])
    return "safetensors" if 2 <= length <= min(size - 8, 100_000_000) and head[8:9] == b"{" else ""


def _text(head: bytes, ending: str) -> str:
    start = head.lstrip()
    if start.startswith(b"{") and ending in (".json", ""):
        if b'"learner"' in head:
            return "xgboost"
        return "json" if _is_json_start(start) else ""
    return "pmml" if b"<PMML" in head else ""


def _is_json_start(start: bytes) -> bool:
    try:
        json.JSONDecoder().raw_decode(start.decode("utf-8", "ignore"))
    except (ValueError, RecursionError):
        # Truncated, or not JSON at all: a quote after the brace suggests JSON.
        return start[1:].lstrip()[:1] == b'"'
    return True


def _archive(stream: BinaryIO, ending: str) -> str:
    import zipfile

    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.namelist()[:MEMBERS_LIMIT]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, OverflowError, struct.error, EOFError):
        return _BY_ENDING.get(ending, UNKNOWN)
    last_parts = {member.rpartition("/")[2] for member in members}
    if "data.pkl" in last_parts:
        scripted = "constants.pkl" in last_parts and any("/code/" in f"/{member}" for member in members)
        return "torchscript" if scripted else "torch"
    if {"config.json", "metadata.json"} <= set(members):
        return "keras"
    if "schema.json" in members and ending == ".skops":
        return "skops"
    if members and all(member.endswith(".npy") for member in members):
        return "numpy"
    return _BY_ENDING.get(ending, "zip")


def _mentions(stream: BinaryIO, word: bytes) -> bool:
    stream.seek(0)
    return word in stream.read(256 * 1024)


def _last_byte(stream: BinaryIO, size: int) -> bytes:
    stream.seek(max(size - 1, 0))
    return stream.read(1)


def _onnx(head: bytes) -> bool:
    """Return whether this is the start of onnx.proto's ModelProto: ir_version, then producer or opsets."""
    if len(head) < 4 or head[0] != 0x08 or not 1 <= head[1] <= 30:
        return False
    # Next, a length-delimited field: producer_name (2), producer_version (3), domain (4), graph (7), opset_import (8).
    return head[2] in (0x12, 0x1A, 0x22, 0x3A, 0x42) and (b"onnx" in head or b":" in head or head[2] == 0x12)
