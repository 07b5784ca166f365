"""Tables of pulls."""

from __future__ import annotations

from mreg.cli.table import Rendering, Toned, one_line
from mreg.cli.views import View
from mreg.results.files import Pulled


def _pulled(pulled: Pulled) -> Rendering:
    version = pulled.version
    state = "already there, verified" if pulled.unchanged else "verified"
    return one_line(
        ("reference", "file", "bytes", "checksum", "state"),
        (
            str(version.reference),
            str(pulled.destination),
            version.artifact.size_bytes,
            str(version.artifact.digest),
            Toned(state, "good"),
        ),
        f"{version.reference} is at {pulled.destination} ({state})",
    )


VIEWS = (View(Pulled, render=_pulled, references=lambda pulled: [str(pulled.version.reference)]),)
