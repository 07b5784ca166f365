"""What ``--ci`` leaves for the steps after this one in GitHub Actions.

Format: https://docs.github.com/actions/reference/workflow-commands-for-github-actions (environment files).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mreg.domain.text import printable
from mreg.errors import BadInput, Unavailable

if TYPE_CHECKING:
    from mreg.domain.model import ModelVersion
    from mreg.results.comparison import Comparison


FILES = ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")


def write_push(version: ModelVersion) -> None:
    """Outputs reference, model, version, checksum, and a summary with the version's table.

    Raises:
        BadInput: This is no GitHub Actions step.
        Unavailable: A file can't be written.
    """
    from mreg.cli.table import markdown
    from mreg.cli.views import render

    _append(
        {
            "reference": str(version.reference),
            "model": str(version.model_name),
            "version": str(version.version),
            "checksum": str(version.artifact.digest),
        },
        markdown(render(version)),
    )


def write_comparison(comparison: Comparison, *, failed: list[str]) -> None:
    """Outputs reference_a, reference_b, regression (true or false), regressed (names), and the comparison as summary.

    Raises:
        BadInput: This is no GitHub Actions step.
        Unavailable: A file can't be written.
    """
    from mreg.cli.table import markdown
    from mreg.cli.views import render

    _append(
        {
            "reference_a": str(comparison.first.reference),
            "reference_b": str(comparison.second.reference),
            "regression": "true" if failed else "false",
            "regressed": ",".join(failed),
        },
        markdown(render(comparison)),
    )


def check_step() -> None:
    """Nothing, in a GitHub Actions step; told before a command does anything.

    Raises:
        BadInput: This is no such step.
    """
    missing = [name for name in FILES if not os.environ.get(name)]
    if missing:
        lacking = f"{' and '.join(missing)} {'are' if missing[1:] else 'is'} not set"
        raise BadInput(
            f"--ci writes for a GitHub Actions step, and here {lacking}",
            hint="leave --ci out here; --format md and --json work everywhere",
        )


def _append(outputs: Mapping[str, str], summary: str) -> None:
    check_step()
    # A line break in a value would begin another output.
    lines = "".join(f"{name}={printable(value)}\n" for name, value in outputs.items())
    for path, text in zip((os.environ[name] for name in FILES), (lines, summary), strict=True):
        try:
            with open(path, "a", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        except OSError as error:
            raise Unavailable(f"{path} can't be written: {error.strerror}") from error
