"""The index of the decisions."""

from __future__ import annotations

from pathlib import Path

START = """\
# Decisions

Why mreg works as it does. Each page records one decision: the problem, the choice and its price. A later decision can
extend or replace an earlier one; both pages say so.

"""


def pages(folder: Path) -> dict[str, str]:
    """Return the index, with the title of each decision."""
    rows = ["| number | decision |\n", "|---|---|\n"]
    for path in sorted(folder.glob("0*.md")):
        title = path.read_text().partition("\n")[0].removeprefix("# ")
        rows.append(f"| {path.name[:4]} | [{title}]({path.name}) |\n")
    return {"decisions/index.md": START + "".join(rows)}
