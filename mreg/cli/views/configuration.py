"""Tables of profiles and trusted folders."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Rendering, Table, Toned, rendering_of
from mreg.cli.views import View
from mreg.results.configuration import ProfileEntry, TrustedFolder


def _profile_entries(entries: Sequence[ProfileEntry]) -> Rendering:
    rows = tuple((Toned(entry.name, "strong"), entry.active, Toned(entry.origin, "dim")) for entry in entries)
    return rendering_of(Table(columns=("profile", "in use", "origin"), rows=rows))


def _trusted_folders(entries: Sequence[TrustedFolder]) -> Rendering:
    columns = ("folder", "profile", "catalog", "artifacts", "server")
    rows = tuple(
        (Toned(entry.folder, "strong"), entry.profile, entry.catalog, entry.artifacts, entry.server)
        for entry in entries
    )
    return rendering_of(Table(columns=columns, rows=rows, wide=columns, empty="no trusted folders"))


VIEWS = (
    View(ProfileEntry, render_list=_profile_entries, references=lambda entry: [entry.name]),
    View(TrustedFolder, render_list=_trusted_folders, references=lambda trusted: [trusted.folder]),
)
