"""The environment of the training code is read from its folders, and nothing of it is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mreg
from mreg.errors import BadInput, MregError, NotFound
from mreg.registry import environments
from mreg.registry.environments import (
    PROCESS,
    TrainingEnvironment,
    active_environment,
    given_environment,
    is_environment,
    training_environment,
    versions,
)
from tests.hostile import attack

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
OWN = ".".join(map(str, sys.version_info[:3]))


def install(prefix: Path, *packages: str, library: str = "lib/python3.12/site-packages") -> Path:
    """Make the metadata folders of packages, such as ``torch-2.9.1``."""
    folder = prefix / library
    folder.mkdir(parents=True, exist_ok=True)
    for name in packages:
        (folder / f"{name}.dist-info").mkdir()
        (folder / f"{name}.dist-info/METADATA").write_text(f"Name: {name}\n")
    return prefix


def read(prefix: Path, **variables: str) -> dict[str, str]:
    return versions(TrainingEnvironment(source="given", prefix=str(prefix), **variables))


def no_notice(text: str) -> None:
    pytest.fail(text)


def test_frameworks_are_read_without_importing_them() -> None:
    before = set(sys.modules)
    found = versions(PROCESS)
    assert (found["python"], found["source"]) == (OWN, "process")
    assert "scikit-learn" in found
    assert not {"sklearn", "importlib.metadata"} & (set(sys.modules) - before)


def test_a_virtual_environment_made_by_venv_is_read(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=False)
    library = next((tmp_path / "env").glob("lib/python3*"))
    install(tmp_path / "env", "torch-2.9.1+cu128", "scikit_learn-1.8.0", library=f"lib/{library.name}/site-packages")
    for place in ("env", "env/bin/python", "env/bin/python3"):
        found = versions(given_environment(tmp_path / place, {}))
        assert {name: found.get(name) for name in ("source", "python", "torch", "scikit-learn", "numpy")} == {
            "source": "given", "python": OWN, "torch": "2.9.1+cu128", "scikit-learn": "1.8.0", "numpy": None,
        }  # fmt: skip


def test_a_real_installation_is_read(tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    package = tmp_path / "package"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    )
    (package / "build.py").write_text(
        "import zipfile\n"
        "def build_wheel(folder, *_):\n"
        "    with zipfile.ZipFile(f'{folder}/timm-9.8.7-py3-none-any.whl', 'w') as wheel:\n"
        "        wheel.writestr('timm/__init__.py', '')\n"
        "        wheel.writestr('timm-9.8.7.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: timm\\nVersion: 9.8.7\\n')\n"
        "        wheel.writestr('timm-9.8.7.dist-info/WHEEL', 'Wheel-Version: 1.0\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr('timm-9.8.7.dist-info/RECORD', '')\n"
        "    return 'timm-9.8.7-py3-none-any.whl'\n"
    )
    command = [str(tmp_path / "env/bin/python"), "-m", "pip", "install", "--quiet", "--no-index", str(package)]
    subprocess.run(command, check=True, capture_output=True)
    assert versions(given_environment(tmp_path / "env", {}))["timm"] == "9.8.7"


@pytest.mark.parametrize(
    ("configuration", "python"),
    [
        ("home = /usr/bin\nversion = 3.12.4\n", "3.12.4"),
        ("home = /usr/bin\r\nVersion_Info = 3.11.4.final.0\r\n", "3.11.4"),
        ("version_info=3.12\n", "3.12"),
        ("version = \x1b[2J\n", "3.12"),
        ("version = ../../x\nhome\n=\n===\n", "3.12"),
        ("", "3.12"),
    ],
)
def test_the_version_is_that_of_the_configuration(configuration: str, python: str, tmp_path: Path) -> None:
    install(tmp_path, "numpy-2.0")
    (tmp_path / "pyvenv.cfg").write_text(configuration)
    assert read(tmp_path)["python"] == python


def test_a_conda_environment_is_read(tmp_path: Path) -> None:
    install(tmp_path, "numpy-2.3.5", library="lib/python3.11/site-packages")
    (tmp_path / "conda-meta").mkdir()
    (tmp_path / "conda-meta/history").write_text("")
    (tmp_path / "conda-meta/python-3.11.9-h955ad1f_0.json").write_text("{}")
    (tmp_path / "conda-meta/python_abi-3.11-2_cp311.json").write_text("{}")
    found = versions(active_environment({"CONDA_PREFIX": str(tmp_path)}, no_notice))
    assert (found["source"], found["python"], found["numpy"]) == ("CONDA_PREFIX", "3.11.9", "2.3.5")


def test_the_windows_layout_is_read(tmp_path: Path) -> None:
    install(tmp_path, "numpy-2.3.5", library="Lib/site-packages")
    (tmp_path / "pyvenv.cfg").write_text("home = C:\\Python312\nversion = 3.12.4\n")
    (tmp_path / "Scripts").mkdir()
    (tmp_path / "Scripts/python.exe").touch()
    found = versions(given_environment(tmp_path / "Scripts/python.exe", {}))
    assert (found["python"], found["numpy"]) == ("3.12.4", "2.3.5")


def test_packages_for_one_machine_can_be_in_lib64(tmp_path: Path) -> None:
    install(tmp_path, "jax-0.8", library="lib/python3.12/site-packages")
    install(tmp_path, "numpy-2.3.5", library="lib64/python3.12/site-packages")
    found = read(tmp_path)
    assert (found["jax"], found["numpy"]) == ("0.8", "2.3.5")
    other = install(tmp_path / "other", "torch-2.9.1")
    (other / "lib64").symlink_to("lib")
    assert read(other)["torch"] == "2.9.1"


def test_of_several_pythons_in_one_folder_the_chosen_or_latest_counts(tmp_path: Path) -> None:
    for number in (9, 12):
        install(tmp_path, f"numpy-2.{number}", library=f"lib/python3.{number}/site-packages")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3.9").touch(mode=0o755)
    (tmp_path / "bin/python3").symlink_to("python3.9")
    assert (read(tmp_path)["python"], read(tmp_path)["numpy"]) == ("3.12", "2.12")
    found = versions(given_environment(tmp_path / "bin/python3", {}))
    assert (found["python"], found["numpy"]) == ("3.9", "2.9")
    header = tmp_path / "include/python3.9/patchlevel.h"
    header.parent.mkdir(parents=True)
    header.write_text('#define PY_MAJOR_VERSION 3\n#define PY_VERSION      "3.9.21+"\n')
    assert versions(given_environment(tmp_path / "bin/python3", {}))["python"] == "3.9.21"


def test_an_interpreter_is_found_in_an_absolute_folder_of_path(tmp_path: Path) -> None:
    install(tmp_path, "numpy-2.0")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python3.12").touch(mode=0o755)
    assert given_environment("python3.12", {"PATH": f"x:{tmp_path}/bin"}).prefix == str(tmp_path)
    os.chdir(tmp_path / "bin")
    with pytest.raises(NotFound):
        given_environment("python9", {"PATH": str(tmp_path)})
    with pytest.raises(NotFound):
        given_environment("python3.13", {"PATH": ".:"})


def test_system_packages_follow_those_of_the_environment(tmp_path: Path) -> None:
    base = install(tmp_path / "base", "numpy-1.26.4", "torch-2.0.0")
    env = install(tmp_path / "env", "numpy-2.3.5")
    for word, torch in (("true", "2.0.0"), ("TRUE", "2.0.0"), ("false", None), ("yes", None)):
        text = f"home = {base}/bin\ninclude-system-site-packages = {word}\nversion = 3.12.4\n"
        (env / "pyvenv.cfg").write_text(text)
        found = read(env)
        assert (found["numpy"], found.get("torch")) == ("2.3.5", torch)


def test_a_line_with_a_nul_character_is_ignored(tmp_path: Path) -> None:
    env = install(tmp_path / "env", "numpy-2.3.5")
    (env / "pyvenv.cfg").write_text("home = /usr\0/bin\ninclude-system-site-packages = true\nversion = 3.12.4\n")
    assert (read(env)["python"], read(env)["numpy"]) == ("3.12.4", "2.3.5")


def test_the_active_environment_counts_before_that_of_mreg(tmp_path: Path) -> None:
    env = install(tmp_path / "env", "torch-2.9.1")
    conda = install(tmp_path / "conda", "torch-2.0.0")
    both = {"VIRTUAL_ENV": str(env), "CONDA_PREFIX": str(conda)}
    assert active_environment(both, no_notice) == TrainingEnvironment(source="VIRTUAL_ENV", prefix=str(env))
    assert active_environment({"CONDA_PREFIX": str(conda)}, no_notice).source == "CONDA_PREFIX"
    assert active_environment({"VIRTUAL_ENV": sys.prefix}, no_notice) == TrainingEnvironment(source="VIRTUAL_ENV")
    assert active_environment({}, no_notice) == TrainingEnvironment(source="mreg")
    assert versions(active_environment({}, no_notice)) == {**versions(PROCESS), "source": "mreg"}


def test_a_variable_that_names_no_environment_is_ignored_with_a_note(tmp_path: Path) -> None:
    notes: list[str] = []
    conda = install(tmp_path / "conda", "torch-2.0.0")
    (tmp_path / "file").write_text("")
    for broken in (str(tmp_path / "gone"), str(tmp_path / "file"), str(tmp_path), "a\0b", "."):
        notes.clear()
        found = active_environment({"VIRTUAL_ENV": broken, "CONDA_PREFIX": str(conda)}, notes.append)
        assert found.source == "CONDA_PREFIX"
        assert notes == [f"VIRTUAL_ENV is not a Python environment and is ignored: {broken}"]


def test_an_environment_of_the_project_that_is_not_active_is_not_looked_at(tmp_path: Path) -> None:
    install(Path(".venv"), "torch-6.6.6")
    Path(".venv/pyvenv.cfg").write_text("home = /usr/bin\nversion = 6.6.6\n")
    found = versions(active_environment({}, no_notice))
    assert "6.6.6" not in found.values()


@pytest.mark.parametrize("place", ["gone", "gone/bin/python", "", "a\0b", "x" * 5000, "-rf"])
def test_an_interpreter_that_does_not_exist_is_an_error(place: str) -> None:
    with pytest.raises((NotFound, BadInput)) as raised:
        given_environment(place, {"PATH": "/usr/bin"})
    assert raised.value.hint.startswith("give the folder that this command prints: python -c")


def test_a_file_or_folder_that_is_not_an_environment_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_text("x")
    (tmp_path / "python").write_text("x")
    (tmp_path / "pythonloop").symlink_to("pythonloop")
    os.mkfifo(tmp_path / "fifo")
    for name in ("model.pkl", "python", "fifo", "."):
        with pytest.raises(BadInput, match="not a Python interpreter or environment"):
            given_environment(tmp_path / name, {})
    with pytest.raises(NotFound):
        given_environment(tmp_path / "pythonloop", {})


def test_of_two_versions_of_a_package_the_installed_one_counts(tmp_path: Path) -> None:
    install(tmp_path, "numpy-1.26.4", "torch-2.9.1", "torch-2.10.0")
    site = tmp_path / "lib/python3.12/site-packages"
    (site / "numpy-2.3.5.dist-info").mkdir()  # left by an interrupted removal
    (site / "~andas-2.0.dist-info").mkdir()
    (site / "xgboost-3.0-py3.12.egg-info").mkdir()
    (site / "Sentence_Transformers-5.1.dist-info").mkdir()
    (site / "unknown-1.0.dist-info").mkdir()
    found = read(tmp_path)
    assert found | {"platform": ""} == {
        "source": "given", "python": "3.12", "platform": "", "numpy": "1.26.4", "torch": "2.10.0", "xgboost": "3.0",
        "sentence-transformers": "5.1",
    }  # fmt: skip


def test_strange_entries_are_bounded_and_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path)
    site = tmp_path / "lib/python3.12/site-packages"
    os.mkfifo(site / "numpy-1.0.dist-info")
    (site / "torch-2.0.dist-info").symlink_to("/dev/zero")
    (site / os.fsdecode(b"scipy-1\xff.dist-info")).touch()
    (site / ("jax-1" + "9" * 240 + ".dist-info")).touch()
    (site / "keras-1\x1b[2J.dist-info").touch()
    with (tmp_path / "pyvenv.cfg").open("wb") as stream:
        stream.truncate(1 << 30)
    found = read(tmp_path)
    assert (found["numpy"], found["torch"], found["scipy"], found["keras"]) == ("1.0", "2.0", "1", "1[2J")
    assert all(len(value) <= 250 and value.isprintable() for value in found.values())
    monkeypatch.setattr(environments, "ENTRIES", 2)
    assert len(read(tmp_path)) <= 5


def test_many_versions_of_a_package_take_a_bounded_time(tmp_path: Path) -> None:
    site = tmp_path / "lib/python3.12/site-packages"
    site.mkdir(parents=True)
    source = site / "file"
    source.touch()
    for number in range(20_000):
        os.link(source, site / f"torch-{number}.dist-info")
    os.chdir(tmp_path)
    Path("model.pkl").write_text("x")
    done = attack("push", "model.pkl", "-n", "m", "--python", str(tmp_path), "--json")
    assert json.loads(done.out)["source"]["environment"]["torch"] == "19999"


@given(st.text(max_size=300))
def test_any_configuration_gives_printable_versions(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    prefix = install(tmp_path_factory.mktemp("env"), "numpy-2.0")
    (prefix / "pyvenv.cfg").write_bytes(text.encode("utf-8", "surrogatepass"))
    found = read(prefix)
    assert found["numpy"] == "2.0"
    assert all(value.isprintable() for value in found.values())


@given(st.text(max_size=60))
def test_any_path_is_an_environment_or_an_error(text: str) -> None:
    try:
        assert is_environment(given_environment(text, {})) or text
    except MregError as error:
        assert error.hint


def test_the_record_says_which_environment_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = install(tmp_path / "env", "torch-2.9.1")
    Path("model.pkl").write_text("x")
    monkeypatch.setenv("VIRTUAL_ENV", str(env))
    with mreg.open_registry() as registry:
        own = registry.push("model.pkl", name="m").source.environment
        other = registry.push("model.pkl", name="m", python=env).source.environment
        with pytest.raises(NotFound):
            registry.push("model.pkl", name="m", python="gone")
        assert registry.version("m@latest").version == 2
    assert (own["source"], own["python"]) == ("process", OWN)
    assert (other["source"], other["torch"]) == ("given", "2.9.1")
    assert training_environment(None, {}) is PROCESS
