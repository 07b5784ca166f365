"""The table of a profile."""

from __future__ import annotations

from mreg.cli.table import Rendering, Table, Toned, rendering_of
from mreg.cli.views import View
from mreg.results.profiles import KEYS, Profile


def _profile(profile: Profile) -> Rendering:
    origins = dict(profile.origins)
    if profile.overridden_by:
        origins["name"] = f"{origins.get('name', '')}; its registry is overridden by {profile.overridden_by}".lstrip(
            "; "
        )
    rows = [
        (key, getattr(profile, key), Toned(origins.get(key, ""), "dim"))
        for key in ("name", *KEYS)
        if getattr(profile, key)
    ]
    if "token" in profile.origins:
        source = profile.origins["token"]
        rows.append(("token", "not shown" if source else "none", Toned(source, "dim")))
    return rendering_of(Table(columns=("key", "value", "origin"), rows=tuple(rows)))


VIEWS = (View(Profile, render=_profile, references=lambda profile: [profile.name]),)
