"""Write the key tables of json.md from the shapes of `mreg.wire`: ``python docs/keys.py``; a test compares both."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints, is_typeddict

from mreg.results import SUBJECTS

PAGE = Path(__file__).parent / "reference/json.md"


def shapes() -> dict[str, Any]:
    """Every shape, by name."""
    modules = [import_module(f"mreg.wire.{subject}") for subject in (*SUBJECTS, "protocol")]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if is_typeddict(value) and value.__module__ == module.__name__
    }


def own_keys(shape: Any) -> list[str]:
    """The keys of a shape without those of its base, which a typed dict does not keep apart."""
    lines = ast.parse(inspect.getsource(shape)).body[0].body  # type: ignore[attr-defined]
    return [line.target.id for line in lines if isinstance(line, ast.AnnAssign)]  # type: ignore[union-attr]


def table(shape: Any) -> str:
    """The table of the own keys of a shape."""
    hints = get_type_hints(shape, include_extras=True)
    rows = [f"| `{key}` | {hints[key].__metadata__[0]} |\n" for key in own_keys(shape)]
    return "".join(["| key | meaning |\n", "|---|---|\n", *rows])


def written(page: str) -> str:
    """The page with the table of each section regenerated."""
    start, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    known = shapes()
    parts = [start]
    for section in sections:
        text = section.partition("| key |")[0].rstrip()
        parts.append(f"## {text}\n\n{table(known[text.splitlines()[0]])}")
    return "\n".join(part.rstrip() + "\n" for part in parts)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
