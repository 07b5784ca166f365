"""The URL of a folder is what ``Path.as_uri`` gives, without its import of ``urllib.request`` from Python 3.14 on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mreg.files import folder_url


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30))
def test_a_folder_on_posix_has_the_url_that_pathlib_gives_it(name: str) -> None:
    folder = Path("/srv") / name
    assert folder_url(folder) == folder.as_uri()


@pytest.mark.skipif(os.name != "posix", reason="undecodable bytes")
def test_bytes_that_are_not_text_are_escaped() -> None:
    folder = Path(os.fsdecode(b"/srv/\xff"))
    assert folder_url(folder) == folder.as_uri() == "file:///srv/%FF"


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("C:\\models\\ä b", "file:///C:/models/%C3%A4%20b"),
        ("\\\\host\\share\\models", "file://host/share/models"),
        ("C:\\", "file:///C:/"),
    ],
)
def test_a_folder_on_windows_has_its_drive_or_host_in_the_url(path: str, url: str) -> None:
    assert folder_url(PureWindowsPath(path)) == url


@pytest.mark.parametrize("command", [["list"], ["push", "model.pkl", "--name", "m"], ["verify"]])
def test_commands_on_a_folder_do_not_import_urllib_request(command: list[str]) -> None:
    Path("model.pkl").write_bytes(b"x")
    code = (
        "import sys\nfrom mreg.cli.app import run\ncode = run(sys.argv[1:])\n"
        "sys.exit(code or ('urllib.request' in sys.modules and 'urllib.request was imported'))"
    )
    done = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
