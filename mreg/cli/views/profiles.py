"""The table of a profile."""

from __future__ import annotations

from mreg.cli.table import Rendering, Table, Toned, rendering_of
from mreg.cli.views import View
from mreg.results.profiles import KEYS, Profile


def _profile(profile: Profile) -> Rendering:
    rows = [
        (key, getattr(profile, key), Toned(profile.origins.get(key, ""), "dim"))
        for key in ("name", *KEYS)
        if getattr(profile, key)
    ]
    return rendering_of(Table(columns=("key", "value", "origin"), rows=tuple(rows)))


VIEWS = (View(Profile, render=_profile, references=lambda profile: [profile.name]),)
