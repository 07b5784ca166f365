"""The table of a profile."""

from __future__ import annotations

from mreg.cli.table import Rendering, Table, Toned, one
from mreg.cli.views import View
from mreg.results.profiles import KEYS, Profile


def _profile(found: Profile) -> Rendering:
    rows = [
        (key, getattr(found, key), Toned(found.origins.get(key, ""), "dim"))
        for key in ("name", *KEYS)
        if getattr(found, key)
    ]
    return one(Table(title="", columns=("key", "value", "from"), rows=tuple(rows)))


VIEWS = (View(Profile, one=_profile, references=lambda profile: [profile.name]),)
