"""The files of a folder that a push selects: the default rules, ``.mregignore``, options, and the registry's own files.

In ascending precedence, the exclude rules are the defaults, the patterns of ``.mregignore`` in the folder, and those of
``--exclude``; the last that matches decides. Files of a registry are left out in any case.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from mreg.artifacts.source_folder import Selection, SourceFolder, reasons, source_folder
from mreg.documents.patterns import Patterns, Rule, read_rules
from mreg.registry.destinations import PARTS
from mreg.registry.marks import is_catalog, is_store

if TYPE_CHECKING:
    from mreg.registry.session import Transfers

IGNORE_FILE = ".mregignore"

DEFAULTS = (
    ".git", "__pycache__", ".DS_Store", ".ipynb_checkpoints", ".venv", "node_modules", "mreg.yaml", IGNORE_FILE,
    "**/mreg/config.yaml", "**/.cache/huggingface",
)  # fmt: skip
"""Names that are left out unless a pattern with ``!`` takes them back."""

_DATABASES = (".db", ".sqlite")


def selected(
    transfers: Transfers, path: str, *, include: Iterable[str], exclude: Iterable[str], follow_links: bool
) -> SourceFolder:
    """Return the content of a folder that a push selects.

    Raises:
        BadInput: A pattern or the file of patterns is invalid, the folder is part of the artifact store, or an entry
            cannot be pushed; see `source_folder`.
    """
    root = os.path.realpath(path)
    own = _own_places(transfers)
    if any(_is_within(root, place) for place in own):
        transfers.artifacts().refuse_overlap(Path(root), "push the model from its source")
    rules = (
        *(Rule(name, name) for name in DEFAULTS),
        *read_rules(os.path.join(root, IGNORE_FILE)),
        *(Rule(pattern, "--exclude") for pattern in exclude),
    )
    return source_folder(path, _Selection(Patterns(include, rules), own), follow_links=follow_links)


def left_out_note(folder: SourceFolder) -> str:
    """Return a note on the entries that are left out; empty if there are none."""
    return f"left out of the version: {reasons(folder.left_out)}" if folder.left_out else ""


def targets(folder: SourceFolder) -> Iterator[tuple[str, str]]:
    """Yield the name of each file, and its path if a link leads to it, otherwise an empty text."""
    within = os.path.join(os.path.realpath(folder.root), "")
    for file in folder.files:
        yield file.name, "" if file.path == within + file.name.replace("/", os.sep) else file.path


class _Selection(Selection):
    """See the module docstring.

    Args:
        own: Paths of the registry of the push, with the reason.
    """

    def __init__(self, patterns: Patterns, own: dict[str, str]) -> None:
        self._patterns = patterns
        self._own = own

    def left_out(self, path: str, place: str, *, leaf: bool) -> str:
        """Return why an entry is left out, or an empty text."""
        for own, reason in self._own.items():
            if _is_within(place, own):
                return reason
        rule = self._patterns.left_out_by(path)
        if rule is not None:
            known = rule.text in DEFAULTS and rule.origin == rule.text
            return rule.origin if known or rule.origin.startswith("-") else f"patterns of {IGNORE_FILE}"
        if path.endswith("/"):
            if is_store(place):
                return "mreg's artifact store"
        elif _is_catalog_file(place):
            return "mreg's catalog"
        if not leaf:
            return ""
        if path.endswith("/"):  # an empty folder in which the push creates the registry
            reason = next((reason for own, reason in self._own.items() if _is_within(own, place)), "")
            if reason:
                return reason
        return "" if self._patterns.includes(path) else "not in --include"


def _own_places(transfers: Transfers) -> dict[str, str]:
    """Return the real paths of the catalog, the artifact store and the profiles of a registry, with their names."""
    places = {}
    if transfers.profile.catalog and "://" not in transfers.profile.catalog:  # none of a server is on this machine
        catalog = os.path.realpath(transfers.profile.catalog)
        places.update({f"{catalog}{part}": "mreg's catalog" for part in PARTS})
    if transfers.profile.artifacts and "://" not in transfers.profile.artifacts:
        places[os.path.realpath(transfers.profile.artifacts)] = "mreg's artifact store"
    for origin in transfers.profile.origins.values():  # "/home/lin/profiles.yaml, line 3"
        path, found, _ = origin.rpartition(", line ")
        if found and os.path.isabs(path) and os.path.basename(path) not in DEFAULTS:
            places[os.path.realpath(path)] = "mreg's profiles"
    return places


def _is_within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place.rstrip(os.sep)}{os.sep}")


def _is_catalog_file(place: str) -> bool:
    """Return whether a file is a catalog, the log of one, or the copy that an upgrade made."""
    name = os.path.basename(place)
    if not any(ending in name for ending in _DATABASES):
        return False
    for part in PARTS[1:]:
        place = place.removesuffix(part)
    return is_catalog(place)
