"""The files of a version that patterns select."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mreg.domain.manifest import Manifest
from mreg.domain.text import nearest, quoted
from mreg.errors import NotFound

if TYPE_CHECKING:
    from mreg.domain.names import VersionRef

NAMED = 5
"""Maximum number of files that an error names."""

COMPARED = 10_000
"""Maximum number of files that are compared with a pattern for an error."""


def select_paths(
    paths: Sequence[str], include: Iterable[str], exclude: Iterable[str], reference: VersionRef
) -> frozenset[str]:
    """Return the paths that the patterns select; see `mreg.documents.patterns.Patterns`.

    Args:
        paths: Paths of files; those of empty folders end in ``/``.
        reference: The version, for messages.

    Raises:
        BadInput: A pattern is invalid.
        NotFound: An include pattern matches no path, or no path is selected.
    """
    from mreg.documents.patterns import Patterns

    include, exclude = tuple(include), tuple(exclude)
    for pattern in include:
        alone = Patterns((pattern,))
        if not any(map(alone.includes, paths)):
            raise _nothing(f"no file of {reference} matches {quoted(pattern)}", pattern, paths, reference)
    patterns = Patterns(include, exclude)
    selected = frozenset(filter(patterns.selects, paths))
    if not selected:
        raise _nothing(f"the patterns leave out all files of {reference}", "", paths, reference)
    return selected


def select_manifest(
    manifest: Manifest, include: Iterable[str], exclude: Iterable[str], reference: VersionRef
) -> Manifest:
    """Return the part of a manifest that patterns select; see `select_paths`."""
    paths = (*(entry.path for entry in manifest.entries), *(f"{folder}/" for folder in manifest.folders))
    selected = select_paths(paths, include, exclude, reference)
    return Manifest(
        tuple(entry for entry in manifest.entries if entry.path in selected),
        tuple(folder for folder in manifest.folders if f"{folder}/" in selected),
    )


def _nothing(message: str, pattern: str, paths: Sequence[str], reference: VersionRef) -> NotFound:
    word = pattern.strip("*/!")
    known = paths[:COMPARED]
    words = {posixpath.splitext(path)[1]: path for path in known if "." in path}
    words |= {path.rstrip("/").rpartition("/")[2]: path for path in known} | {path: path for path in known}
    near = [words[name] for name in nearest(word, filter(None, words), NAMED)] if word else []
    named = list(dict.fromkeys(near or known))[:NAMED]
    more = ", ..." if len(paths) > len(named) else ""
    which = "the closest files are" if near else "its files are"
    return NotFound(
        f"{message}; {which} {', '.join(map(quoted, named))}{more}",
        hint=f"list the files: mreg files {reference}",
        kind="file",
        path=pattern,
    )
