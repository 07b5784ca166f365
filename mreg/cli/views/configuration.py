"""Tables of profiles, trusted folders and logins."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Items, Rendering, Table, Toned, one_line, rendering_of
from mreg.cli.views import View
from mreg.results.configuration import Login, Logout, ProfileEntry, TrustedFolder
from mreg.results.tokens import EVERY_MODEL


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
    models = Items(login.models or (EVERY_MODEL,))
    row = (login.name, str(login.role), login.server, models, login.expires, login.version, login.source)
    words = [login.name, f"role {login.role}", login.server]
    words += [f"models {', '.join(login.models)}"] if login.models else []
    words += [f"token expires {login.expires.astimezone():%Y-%m-%d}"] if login.expires else []
    words += [f"token {_SOURCES.get(login.source, f'saved in {login.source}')}"] if login.source else []
    return one_line(columns, row, ", ".join(words))


_SOURCES = {"MREG_TOKEN": "from MREG_TOKEN", "token_command": "from the token_command", "keyring": "in the keyring"}
"""Where a token comes from; see `Login.source`."""


def _logouts(removed: Sequence[Logout]) -> Rendering:
    rows = tuple((logout.server,) for logout in removed)
    tokens = "the token" if len(rows) == 1 else "the tokens"
    sentence = (
        f"removed {tokens} for {', '.join(logout.server for logout in removed)}" if rows else "no tokens are saved"
    )
    return Rendering(tables=(), flat=Table(columns=("server",), rows=rows), summary=sentence)


VIEWS = (
    View(ProfileEntry, render_list=_profile_entries, references=lambda entry: [entry.name]),
    View(TrustedFolder, render_list=_trusted_folders, references=lambda trusted: [trusted.folder]),
    View(Login, render=_login, references=lambda login: [login.name]),
    View(Logout, render_list=_logouts, references=lambda logout: [logout.server]),
)
