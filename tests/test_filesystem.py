"""The fsspec file system: what pandas, joblib and others open by mreg://MODEL@VERSION/FILE."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import joblib
import pandas
import pytest
from fsspec.registry import register_implementation

import mreg
from mreg.registry.local import LocalRegistry
from tests.conftest import local_registry
from tests.registry.test_forced_pulls import fill

ROOT = Path(__file__).parent.parent
NET = {"config.json": '{"layers": 2}', "sub/weights.bin": "one", "sub/deep/x.txt": "x"}


@pytest.fixture(autouse=True)
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalRegistry]:
    """``churn@1`` (in Production) and ``churn@2``, the folder ``team/net@1``, and the table ``data@1``."""
    monkeypatch.setenv("MREG_CATALOG", str(tmp_path / "catalog.db"))
    register_implementation("mreg", "mreg.filesystem.MregFileSystem", clobber=True)
    fsspec.get_filesystem_class("mreg").clear_instance_cache()
    with local_registry() as opened:
        for number in (1, 2):
            joblib.dump({"number": number}, tmp_path / "model.pkl")
            opened.push(tmp_path / "model.pkl", name="churn")
        fill(tmp_path / "net", NET)
        opened.push(tmp_path / "net", name="team/net")
        (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
        opened.push(tmp_path / "data.csv", name="data")
        opened.promote("churn@1", to="production")
        yield opened


@pytest.fixture
def files() -> Any:
    return fsspec.filesystem("mreg")


def test_joblib_loads_a_model_by_its_stage(registry: LocalRegistry) -> None:
    with fsspec.open("mreg://churn@production/model.pkl") as stream:
        assert joblib.load(stream) == {"number": 1}
    registry.promote("churn@2", to="production")
    with fsspec.open("mreg://churn@production") as stream:
        assert joblib.load(stream) == {"number": 2}


def test_pandas_reads_a_table() -> None:
    assert pandas.read_csv("mreg://data@latest/data.csv")["b"].tolist() == [2, 4]


def test_text_and_ranges_and_seeks(files: Any) -> None:
    with files.open("mreg://team/net@1/config.json", "r") as stream:
        assert stream.read() == NET["config.json"]
    with files.open("mreg://team/net@1/config.json") as stream:
        stream.seek(2)
        assert stream.read(6) == b"layers"
    assert files.cat_file("mreg://team/net@1/sub/weights.bin", start=1, end=3) == b"ne"
    assert files.cat(["mreg://team/net@1/sub/weights.bin"]) == {"team/net@1/sub/weights.bin": b"one"}


def test_a_folder_is_listed_searched_and_fetched(files: Any, tmp_path: Path) -> None:
    assert files.ls("mreg://team/net@1", detail=False) == ["team/net@1/config.json", "team/net@1/sub"]
    assert files.ls("mreg://team/net@1/sub/", detail=False) == ["team/net@1/sub/deep", "team/net@1/sub/weights.bin"]
    assert sorted(files.find("mreg://team/net@1")) == [f"team/net@1/{name}" for name in sorted(NET)]
    assert files.glob("mreg://team/net@1/**/*.bin") == ["team/net@1/sub/weights.bin"]
    assert (files.isdir("mreg://team/net@1/sub"), files.isfile("mreg://team/net@1/sub")) == (True, False)
    assert files.size("mreg://team/net@1/sub/weights.bin") == 3
    files.get("mreg://team/net@1/", str(tmp_path / "out/"), recursive=True)
    assert (tmp_path / "out/sub/weights.bin").read_text() == "one"


def test_models_and_versions_are_listed(files: Any) -> None:
    assert sorted(files.ls("mreg://", detail=False)) == ["churn", "data", "team/net"]
    assert sorted(files.ls("mreg://churn", detail=False)) == ["churn@1", "churn@2"]
    assert files.isdir("mreg://churn")


def test_a_file_is_opened_from_the_cache_read_only(files: Any, registry: LocalRegistry) -> None:
    with files.open("mreg://churn@1/model.pkl") as stream:
        assert stream.name == str(registry.path("churn@1"))


def test_the_key_of_a_file_follows_its_bytes(files: Any, registry: LocalRegistry) -> None:
    first = files.ukey("mreg://churn@production/model.pkl")
    assert first == files.ukey("mreg://churn@1")
    registry.promote("churn@2", to="production")
    assert files.ukey("mreg://churn@production/model.pkl") != first
    assert files.modified("mreg://churn@1") == registry.version("churn@1").created_at


@pytest.mark.parametrize(
    "url",
    [
        "nobody@1/x",
        "churn@9/model.pkl",
        "churn@1/other.pkl",
        "team/net@1/sub/none",
        "churn@staging/model.pkl",
        "team/net@1/con",
    ],
)
def test_what_does_not_exist_is_a_file_not_found_error(files: Any, url: str) -> None:
    assert not files.exists(f"mreg://{url}")
    for act in (files.open, files.info, files.cat_file, files.size):
        with pytest.raises(FileNotFoundError):
            act(f"mreg://{url}")
    with pytest.raises(FileNotFoundError):
        pandas.read_csv(f"mreg://{url}")


@pytest.mark.parametrize(
    "url", ["churn", "churn/model.pkl", "churn@", "@1/x", "churn@@1/x", "churn@0/x", "a b@1/x", "../x@1/y", "churn@1/../x", "team/net@1/sub/../config.json"]
)  # fmt: skip
def test_an_invalid_url_is_refused(files: Any, url: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError)):
        files.open(f"mreg://{url}")


def test_a_folder_is_not_opened(files: Any) -> None:
    with pytest.raises(IsADirectoryError):
        files.open("mreg://team/net@1")


def test_damaged_bytes_are_an_os_error_with_the_cause(files: Any, tmp_path: Path) -> None:
    for blob in (tmp_path / "artifacts/blobs").rglob("*"):
        if blob.is_file():
            blob.chmod(0o644)
            blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(OSError, match="damaged") as raised:
        files.open("mreg://churn@1/model.pkl")
    assert isinstance(raised.value.__cause__, mreg.Corrupt)


@pytest.mark.parametrize(
    "act",
    [
        lambda files: files.open("mreg://churn@1/model.pkl", "wb"),
        lambda files: files.open("mreg://churn@1/model.pkl", "ab"),
        lambda files: files.pipe_file("mreg://churn@1/x", b"x"),
        lambda files: files.mkdir("mreg://new"),
        lambda files: files.makedirs("mreg://new@1/x"),
        lambda files: files.rmdir("mreg://churn@1"),
        lambda files: files.rm_file("mreg://churn@1/model.pkl"),
        lambda files: files.rm("mreg://churn@1/model.pkl"),
        lambda files: files.cp_file("mreg://churn@1/model.pkl", "mreg://churn@1/x"),
        lambda files: files.touch("mreg://churn@1/x"),
    ],
)
def test_it_is_read_only(files: Any, registry: LocalRegistry, act: Any) -> None:
    before = registry.history(limit=1)
    with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
        act(files)
    assert registry.history(limit=1) == before


def test_the_registry_can_be_named_or_given(
    registry: LocalRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MREG_CATALOG")
    named = fsspec.filesystem("mreg", catalog=str(tmp_path / "catalog.db"))
    assert named.exists("churn@1/model.pkl")
    assert pickle.loads(pickle.dumps(named)).exists("churn@1/model.pkl")
    assert fsspec.filesystem("mreg", registry=registry).exists("churn@1")
    assert pandas.read_csv(
        "mreg://data@1/data.csv", storage_options={"catalog": str(tmp_path / "catalog.db")}
    ).shape == (2, 2)


def test_the_entry_point_of_the_package_is_found(tmp_path: Path) -> None:
    """The entry points of pyproject.toml, installed beside the sources."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["fsspec.specs"]
    made = tmp_path / "site/aa_mreg-0.1.0.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: aa-mreg\nVersion: 0.1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    (made / "entry_points.txt").write_text(f"[fsspec.specs]\n{lines}")
    code = "import fsspec\nwith fsspec.open('mreg://data@1', 'r') as stream: print(stream.read(), end='')"
    path = os.pathsep.join((str(made.parent), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.stdout, done.stderr) == ("a,b\n1,2\n3,4\n", "")
