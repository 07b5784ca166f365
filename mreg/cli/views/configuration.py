"""Tables of profiles, trusted folders and logins."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Rendering, Table, Toned, one_line, rendering_of
from mreg.cli.views import View
from mreg.results.configuration import Login, Logout, ProfileEntry, TrustedFolder


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


def _login(login: Login) -> Rendering:
    columns = ("name", "role", "server", "models", "expires", "version", "source")
    models = ", ".join(login.models)
    row = (login.name, str(login.role), login.server, models, login.expires, login.version, login.source)
    words = [login.name, f"role {login.role}", login.server]
    words += [f"models {models}"] if models else []
    words += [f"token expires {login.expires.astimezone():%Y-%m-%d}"] if login.expires else []
    return one_line(columns, row, ", ".join(words))


def _logouts(removed: Sequence[Logout]) -> Rendering:
    return rendering_of(Table(columns=("server",), rows=tuple((logout.server,) for logout in removed)))


VIEWS = (
    View(ProfileEntry, render_list=_profile_entries, references=lambda entry: [entry.name]),
    View(TrustedFolder, render_list=_trusted_folders, references=lambda trusted: [trusted.folder]),
    View(Login, render=_login, references=lambda login: [login.name]),
    View(Logout, render_list=_logouts, references=lambda logout: [logout.server]),
)
