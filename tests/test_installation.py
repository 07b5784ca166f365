"""The commands in hints fit the way in which mreg was installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mreg.installation import extra_command, upgrade_command


@pytest.mark.parametrize(
    ("file", "extra", "upgrade"),
    [
        ("", "pip install 'mreg[server]'", "pip install --upgrade mreg"),
        ("uv-receipt.toml", "uv pip install --python {prefix} 'mreg[server]'", "uv tool upgrade mreg"),
        ("pipx_metadata.json", "pipx runpip mreg install 'mreg[server]'", "pipx upgrade mreg"),
    ],
)
def test_the_command_fits_the_installer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, extra: str, upgrade: str
) -> None:
    prefix = tmp_path / "mreg"
    prefix.mkdir()
    if file:
        (prefix / file).write_text("")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert extra_command("server") == extra.format(prefix=prefix)
    assert upgrade_command() == upgrade


def test_a_prefix_with_a_space_is_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = tmp_path / "my tools" / "mreg"
    prefix.mkdir(parents=True)
    (prefix / "uv-receipt.toml").write_text("")
    monkeypatch.setattr(sys, "prefix", str(prefix))
    assert extra_command("plot") == f"uv pip install --python '{prefix}' 'mreg[plot]'"
