"""The outputs and the job summary that ``--ci`` writes in a GitHub Actions step.

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
    """Write the outputs ``reference``, ``model``, ``version`` and ``checksum``, and the version's table as summary.

    Raises:
        BadInput: The process is not a GitHub Actions step.
        Unavailable: A file cannot be written.
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
    """Write the outputs of a comparison, and its tables as summary.

    The outputs are ``reference_a``, ``reference_b``, ``regression`` (``true`` or ``false``) and ``regressed`` (the
    names of the metrics in ``failed``, separated by commas).

    Raises:
        BadInput: The process is not a GitHub Actions step.
        Unavailable: A file cannot be written.
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
    """Check that the process is a GitHub Actions step, before a command changes anything.

    Raises:
        BadInput: ``GITHUB_OUTPUT`` or ``GITHUB_STEP_SUMMARY`` is not set.
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
    # A line break in a value would start another output.
    lines = "".join(f"{name}={printable(value)}\n" for name, value in outputs.items())
    for path, text in zip((os.environ[name] for name in FILES), (lines, summary), strict=True):
        try:
            with open(path, "a", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        except OSError as error:
            raise Unavailable(f"{path} can't be written: {error.strerror}") from error
