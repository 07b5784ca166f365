"""Tables of profiles and trusted folders."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Rendering, Table, Toned, one
from mreg.cli.views import View
from mreg.results.profiles import KEYS, Profile, ProfileEntry, TrustedFolder


def _profile(found: Profile) -> Rendering:
    rows = [
        (key, getattr(found, key), Toned(found.origins.get(key, ""), "dim"))
        for key in ("name", *KEYS)
        if getattr(found, key)
    ]
    return one(Table(title="", columns=("key", "value", "from"), rows=tuple(rows)))


def _profile_entries(entries: Sequence[ProfileEntry]) -> Rendering:
    rows = tuple((Toned(entry.name, "strong"), entry.active, Toned(entry.origin, "dim")) for entry in entries)
    return one(Table(columns=("profile", "in use", "from"), rows=rows))


def _trusted_folders(entries: Sequence[TrustedFolder]) -> Rendering:
    rows = tuple((Toned(one.folder, "strong"), one.profile, one.catalog, one.artifacts) for one in entries)
    return one(Table(columns=("folder", "profile", "catalog", "artifacts"), rows=rows))


VIEWS = (
    View(Profile, one=_profile, references=lambda profile: [profile.name]),
    View(ProfileEntry, many=_profile_entries, references=lambda entry: [entry.name]),
    View(TrustedFolder, many=_trusted_folders, references=lambda trusted: [trusted.folder]),
)
