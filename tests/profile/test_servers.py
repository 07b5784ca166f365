"""A profile with a server: precedence, which server is used, and which token is sent to it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from mreg.domain.password import Password
from mreg.errors import BadProfile
from mreg.profile.load import load_profile
from mreg.profile.logins import SavedLogin, find_login, forget_login, logins_file, save_login, saved_logins
from mreg.profile.trust import trust_folder, trusted_folders
from mreg.results.profiles import Profile
from tests.conftest import Mreg

URL = "https://models.example"
SECRET = "mreg_secret"


def user_file(text: str) -> Path:
    path = Path(os.environ["HOME"]) / ".config" / "mreg" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def log_in(origin: str, *, insecure: bool = False) -> None:
    save_login(SavedLogin(origin=origin, name="ada", insecure=insecure, token=Password("mreg_saved")), os.environ)


# Which registry


SERVER, LOCAL = f"server: {URL}", "catalog: {0}/c.db"
LEVELS = [
    # the user's profile, mreg.yaml, variables, arguments -> server, catalog
    (SERVER, "", {}, {}, URL, ""),
    (f"{SERVER}/mreg/", "", {}, {}, f"{URL}/mreg", ""),
    (SERVER, "", {"MREG_CATALOG": "/v/c.db"}, {}, "", "/v/c.db"),
    (SERVER, "", {"MREG_ARTIFACTS": "/v/a"}, {}, "", "/v/catalog.db"),
    (SERVER, "", {}, {"catalog": "/f/c.db"}, "", "/f/c.db"),
    (SERVER, "catalog: .mreg/c.db", {}, {}, "", "PROJECT/.mreg/c.db"),
    ("catalog: /u/c.db", "", {"MREG_SERVER": URL}, {}, URL, ""),
    ("catalog: /u/c.db", "", {}, {"server": URL}, URL, ""),
    ("artifacts: s3://bucket/x, region: eu, endpoint_url: https://s3.example", "", {"MREG_SERVER": URL}, {}, URL, ""),
    ("catalog: /u/c.db", "catalog: .mreg/c.db", {"MREG_SERVER": URL}, {}, URL, ""),
    (SERVER, "", {"MREG_SERVER": "https://other.example"}, {}, "https://other.example", ""),
    (SERVER, "", {"MREG_SERVER": "https://other.example"}, {"server": "https://arg.example"}, "https://arg.example", ""),
    ("", "", {"MREG_SERVER": URL}, {"catalog": "/f/c.db"}, "", "/f/c.db"),
    ("", "", {"MREG_SERVER": URL, "MREG_CATALOG": "/v/c.db"}, {"catalog": "/f/c.db"}, "", "/f/c.db"),
    ("", "", {"MREG_SERVER": URL, "MREG_CATALOG": "/v/c.db"}, {"server": URL}, URL, ""),
    ("", "", {"MREG_CATALOG": "/v/c.db"}, {"server": URL}, URL, ""),
    ("", "", {"MREG_SERVER": ""}, {}, "", "HOME/.local/share/mreg/catalog.db"),
]  # fmt: skip


@pytest.mark.parametrize(("own", "project", "variables", "arguments", "server", "catalog"), LEVELS)
def test_a_server_and_a_store_override_each_other_as_a_whole(
    own: str,
    project: str,
    variables: dict[str, str],
    arguments: dict[str, str],
    server: str,
    catalog: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user_file(f"profiles:\n  team: {{{own}}}\n")
    if project:
        Path("mreg.yaml").write_text(project)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    profile = load_profile(profile="team", **arguments)  # type: ignore[arg-type]
    expected = catalog.replace("PROJECT", os.getcwd()).replace("HOME", os.environ["HOME"])
    assert (profile.server, profile.catalog) == (server, expected)
    assert bool(profile.artifacts) == bool(profile.catalog)
    if server:
        assert (profile.endpoint_url, profile.region) == ("", "")
        assert set(profile.origins) <= {"name", "server", "user"}


@pytest.mark.parametrize(
    ("own", "variables", "arguments", "message"),
    [
        (f"{{server: '{URL}', catalog: /c.db}}", {}, {}, "FILE, line 2: server and catalog exclude each other"),
        (f"{{server: '{URL}', artifacts: /a}}", {}, {}, "FILE, line 2: server and artifacts exclude each other"),
        ("{}", {"MREG_SERVER": URL, "MREG_CATALOG": "/c"}, {}, "MREG_SERVER: server and catalog exclude each other"),
        ("{}", {}, {"server": URL, "artifacts": "/a"}, "argument: server and artifacts exclude each other"),
        ("{server: models.example}", {}, {}, "FILE, line 2: the URL of the server has no scheme"),
        ("{server: ''}", {}, {}, "FILE, line 2: the URL of the server has no scheme"),
        ("{server: [a]}", {}, {}, "FILE, line 2: server must be a string"),
        ("{server: 'https://ada:hunter2@models.example'}", {}, {}, "FILE, line 2: the URL of the server contains a user name or a password"),
        ("{server: 'http://models.example'}", {}, {}, "FILE, line 2: http://models.example has no TLS: the token and all data would be sent unencrypted"),
        (f"{{server: '{URL}', token: mreg_x}}", {}, {}, "FILE, line 2: a token is not written in a profile"),
        (f"{{server: '{URL}', token_command: pass mreg}}", {}, {}, "FILE, line 2: token_command must be a list of 1 to 100 words"),
        (f"{{server: '{URL}', token_command: []}}", {}, {}, "FILE, line 2: token_command must be a list of 1 to 100 words"),
        (f"{{server: '{URL}', token_command: ['']}}", {}, {}, "FILE, line 2: token_command has an empty or invalid word"),
        (f"{{server: '{URL}', token_command: [[a]]}}", {}, {}, "FILE, line 2: a word of token_command must be a string"),
        (f"{{server: '{URL}', token_comand: [a]}}", {}, {}, "FILE, line 2: unknown key 'token_comand'"),
        ("{token_command: [a]}", {"MREG_SERVER": URL}, {}, "FILE, line 2: a token_command needs a server"),
        ("{}", {"MREG_SERVER": URL, "MREG_TOKEN": "a b"}, {}, "MREG_TOKEN contains a character that cannot be part of a token"),
        ("{}", {"MREG_SERVER": "http://10.0.0.1"}, {}, "MREG_SERVER: http://10.0.0.1 has no TLS: the token and all data would be sent unencrypted"),
        ("{}", {}, {"server": URL, "token": ""}, "the argument token has no token"),
    ],
)  # fmt: skip
def test_a_server_that_is_not_valid_is_refused_with_its_place(
    own: str, variables: dict[str, str], arguments: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = user_file(f"profiles:\n  team: {own}\n")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BadProfile) as caught:
        load_profile(profile="team", **arguments)  # type: ignore[arg-type]
    assert caught.value.message == message.replace("FILE", str(file))
    assert caught.value.hint or "must be a string" in message
    assert "hunter2" not in caught.value.hint + caught.value.message


def test_without_tls_a_server_needs_a_login_that_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://models.example:8000/mreg"
    hint = "use https://models.example:8000/mreg\nor allow it for this server once, in a network that you trust: "
    with pytest.raises(BadProfile) as caught:
        load_profile(server=url)
    assert caught.value.hint == f"{hint}mreg login {url} --insecure"
    monkeypatch.setenv("MREG_SERVER", url)
    monkeypatch.setenv("MREG_TOKEN", "mreg_hunter2")
    with pytest.raises(BadProfile) as caught:
        load_profile()
    assert caught.value.hint == f"{hint}printenv MREG_TOKEN | mreg login {url} --insecure"
    monkeypatch.delenv("MREG_SERVER")
    monkeypatch.delenv("MREG_TOKEN")
    log_in("http://models.example:8000")
    with pytest.raises(BadProfile, match="has no TLS"):
        load_profile(server="http://models.example:8000")
    log_in("http://models.example:8000", insecure=True)
    assert load_profile(server="http://models.example:8000/mreg").server == "http://models.example:8000/mreg"
    for other in ("http://models.example", "http://models.example:8001", "http://other.example:8000"):
        with pytest.raises(BadProfile, match="has no TLS"):
            load_profile(server=other)


OVERRIDES = [
    # profiles, mreg.yaml, variables, the profile that is named -> what is used, and what uses it
    ("team: {server: 'https://a.example'}", "", {"MREG_SERVER": URL}, "team", URL, "MREG_SERVER", "unset MREG_SERVER"),
    ("team: {server: 'https://a.example'}", "", {"MREG_CATALOG": "/c.db"}, "team", "/c.db", "MREG_CATALOG", "unset MREG_CATALOG"),
    ("team: {catalog: /b.db}", "", {"MREG_SERVER": URL}, "team", URL, "MREG_SERVER", "unset MREG_SERVER"),
    ("team: {catalog: /b.db}", "", {"MREG_CATALOG": "/c.db"}, "team", "/c.db", "MREG_CATALOG", "unset MREG_CATALOG"),
    ("team: {catalog: /b.db}", "", {"MREG_ARTIFACTS": "/x/a"}, "team", "/x/a", "MREG_ARTIFACTS", "unset MREG_ARTIFACTS"),
    ("team: {catalog: /b.db}", "catalog: .mreg/c.db", {}, "team", "HERE/.mreg/c.db", "HERE/mreg.yaml, line 1", ""),
    ("", "", {"MREG_SERVER": URL}, "local", URL, "MREG_SERVER", "unset MREG_SERVER"),
    # nothing that the user named is set aside
    (f"team: {{server: '{URL}'}}", "", {"MREG_SERVER": URL}, "team", "", "", ""),
    ("team: {catalog: /c.db}", "", {"MREG_CATALOG": "/c.db"}, "team", "", "", ""),
    ("team: {cache: 1GB}", "", {"MREG_SERVER": URL}, "team", "", "", ""),
    ("team: {server: 'https://a.example'}", "", {"MREG_SERVER": URL, "MREG_PROFILE": "team"}, None, "", "", ""),
    ("", "", {"MREG_SERVER": URL}, None, "", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("own", "project", "variables", "named", "place", "origin", "way"), OVERRIDES)
def test_what_overrides_a_profile_that_the_user_named_is_told(
    own: str,
    project: str,
    variables: dict[str, str],
    named: str | None,
    place: str,
    origin: str,
    way: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user_file(f"profiles:\n  {own}\n" if own else "")
    if project:
        Path("mreg.yaml").write_text(project)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    notices: list[str] = []
    load_profile(profile=named, notice=notices.append)
    place, origin = place.replace("HERE", os.getcwd()), origin.replace("HERE", os.getcwd())
    way = way and f"; to use the profile's: {way}"
    expected = f"{origin} overrides the registry of the profile {named}: {place} is used{way}"
    assert notices == ([expected] if place else [])
    notices.clear()
    load_profile(profile=named, server="https://b.example", notice=notices.append)
    assert notices == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:8000"])
def test_this_machine_needs_no_tls(url: str) -> None:
    assert load_profile(server=url).server == url


# Which token


TOKENS = [
    # who names the server, variables, whether the user is logged in, trusted -> the server is used, the token
    ("profile", {}, False, False, True, ""),
    ("profile", {"MREG_TOKEN": SECRET}, False, False, True, SECRET),
    ("profile", {"MREG_TOKEN": SECRET, "MREG_SERVER": URL}, False, False, True, SECRET),
    ("argument", {}, False, False, True, ""),
    ("argument", {"MREG_TOKEN": SECRET}, False, False, True, SECRET),
    ("argument", {"MREG_TOKEN": SECRET, "MREG_SERVER": f"{URL}/mreg"}, False, False, True, SECRET),
    ("argument", {"MREG_TOKEN": SECRET, "MREG_SERVER": "https://other.example"}, False, False, True, ""),
    ("argument", {"MREG_TOKEN": SECRET, "MREG_SERVER": f"{URL}:8443"}, False, False, True, ""),
    ("variable", {"MREG_SERVER": URL, "MREG_TOKEN": SECRET}, False, False, True, SECRET),
    ("variable", {"MREG_SERVER": URL, "MREG_TOKEN": ""}, False, False, True, ""),
    # a project file alone
    ("project", {}, False, False, False, ""),
    ("project", {"MREG_TOKEN": SECRET}, False, False, False, ""),
    ("project", {}, True, False, True, ""),
    ("project", {"MREG_TOKEN": SECRET}, True, False, True, ""),
    ("project", {}, False, True, True, ""),
    ("project", {"MREG_TOKEN": SECRET}, False, True, True, SECRET),
    ("project", {"MREG_TOKEN": SECRET}, True, True, True, SECRET),
    ("project", {"MREG_TOKEN": SECRET, "MREG_TRUST_PROJECT": "1"}, False, False, True, SECRET),
    ("project", {"MREG_TOKEN": SECRET, "MREG_SERVER": URL}, False, False, True, SECRET),
    ("project", {"MREG_TOKEN": SECRET, "MREG_CATALOG": "/x/c.db"}, False, False, None, ""),
    # a project file, and a profile of the user for the same origin
    ("project and default", {"MREG_TOKEN": SECRET}, False, False, True, SECRET),
    ("project and default", {"MREG_TOKEN": SECRET}, True, False, True, SECRET),
    ("project and profile", {}, False, False, True, ""),
    ("project and profile", {"MREG_TOKEN": SECRET}, False, False, False, ""),
    ("project and profile", {"MREG_TOKEN": SECRET}, True, False, True, ""),
    ("project and profile", {"MREG_TOKEN": SECRET}, False, True, True, SECRET),
    ("project and profile", {"MREG_TOKEN": SECRET, "MREG_SERVER": f"{URL}/mreg"}, False, False, True, SECRET),
    ("project and other profile", {"MREG_TOKEN": SECRET}, False, False, False, ""),
    ("project and other profile", {"MREG_TOKEN": SECRET}, True, False, True, ""),
    # a project file that selects a profile of the user
    ("selected", {}, False, False, True, ""),
    ("selected", {"MREG_TOKEN": SECRET}, False, False, False, ""),
    ("selected", {"MREG_TOKEN": SECRET}, True, False, True, ""),
    ("selected", {"MREG_TOKEN": SECRET}, False, True, True, SECRET),
    ("selected", {"MREG_TOKEN": SECRET, "MREG_TRUST_PROJECT": "yes"}, False, False, True, SECRET),
    ("selected", {"MREG_TOKEN": SECRET, "MREG_PROFILE": "other"}, False, False, True, SECRET),
    ("selected", {"MREG_TOKEN": SECRET, "MREG_SERVER": URL}, False, False, True, SECRET),
    ("selected default", {"MREG_TOKEN": SECRET}, False, False, True, SECRET),
    ("selected with a command", {"MREG_TOKEN": SECRET}, False, False, True, ""),
]  # fmt: skip

OWN = {
    "profile": f"profiles: {{other: {{server: '{URL}'}}}}",
    "project and default": f"default: other\nprofiles: {{other: {{server: '{URL}/mreg'}}}}",
    "project and profile": f"profiles: {{other: {{server: '{URL}/mreg'}}}}",
    "project and other profile": "default: other\nprofiles: {other: {server: 'https://own.example'}}",
    "selected": f"default: mine\nprofiles: {{other: {{server: '{URL}'}}, mine: {{server: 'https://own.example'}}}}",
    "selected default": f"default: other\nprofiles: {{other: {{server: '{URL}'}}}}",
    "selected with a command": f"profiles: {{other: {{server: '{URL}', token_command: [pass, mreg]}}}}",
}
"""The profile file, by who names the server."""


@pytest.mark.parametrize(("named_by", "variables", "logged_in", "trusted", "used", "token"), TOKENS)
def test_mreg_token_goes_only_to_a_server_that_the_user_named(
    named_by: str,
    variables: dict[str, str],
    logged_in: bool,
    trusted: bool,
    used: bool | None,
    token: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    user_file(OWN.get(named_by, ""))
    if "project" in named_by:
        Path("mreg.yaml").write_text(f"server: {URL}\n")
    if "selected" in named_by:
        Path("mreg.yaml").write_text("profile: other\n")
    if trusted:
        trust_folder()
    if logged_in:
        log_in(URL)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    notices: list[str] = []

    def load() -> Profile:
        return load_profile(
            profile="other" if named_by == "profile" else None,
            server=URL if named_by == "argument" else None,
            notice=notices.append,
        )

    if used is False:
        with pytest.raises(BadProfile) as caught:
            load()
        place, folder = Path("mreg.yaml").resolve(), os.getcwd()
        unknown = named_by in ("project", "project and other profile")
        assert caught.value.message == (
            f"{place}, line 1: the project file sets server to {URL}, and you have not logged in to it"
            if unknown
            else f"{place}, line 1: MREG_TOKEN is not sent to {URL}, which only the project file chooses"
        )
        assert caught.value.hint == (
            f"mreg login {URL}\nor trust the folder: mreg trust {folder}; for one command: --trust-project\n"
            f"or name the server yourself: export MREG_SERVER={URL}"
        )
        assert not notices
        return
    profile = load()
    server = URL if named_by == "argument" else variables.get("MREG_SERVER", URL)
    assert (profile.server, profile.token.reveal()) == (server if used else "", token)
    assert SECRET not in repr(profile) + str(profile.to_dict()) + "".join(notices)
    ignored = bool(used and variables.get("MREG_TOKEN") and not token)
    assert [f"MREG_TOKEN is not sent to {URL}" in note for note in notices] == [True] * ignored


def test_a_token_argument_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_TOKEN", SECRET)
    assert load_profile(server=URL, token=" mreg_given\n").token.reveal() == "mreg_given"


def test_a_token_of_a_variable_is_not_one_of_the_settings_of_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_TOKEN", "not a token")
    assert load_profile(catalog="/x/c.db").token == Password()


def test_a_token_command_is_for_the_server_of_its_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    file = user_file(f"default: team\nprofiles:\n  team:\n    server: {URL}/mreg\n    token_command: [./token, 7]\n")
    command = load_profile().token_command
    assert command is not None
    assert (command.words, command.place) == (("./token", "7"), f"{file}, line 5")
    assert command.folder == str(file.parent)
    assert load_profile(server=URL).token_command == command
    for url in ("https://other.example", f"{URL}:8443", "http://localhost"):
        assert load_profile(server=url).token_command is None
    assert load_profile(catalog="/x/c.db").token_command is None
    Path("mreg.yaml").write_text("profile: team\nserver: https://evil.example\n")
    log_in("https://evil.example")
    found = load_profile()
    assert (found.server, found.token_command) == ("https://evil.example", None)


@pytest.mark.parametrize("line", ["token_command: [id]", "hooks: []", "token: x", "user: x"])
def test_a_project_file_has_no_token_command(line: str) -> None:
    log_in(URL)
    Path("mreg.yaml").write_text(f"server: {URL}\n{line}\n")
    with pytest.raises(BadProfile, match=r"line 2: (token_command|hooks|user) is not allowed|unknown key 'token'"):
        load_profile()


def test_hooks_do_not_run_for_a_server_and_the_profile_says_so() -> None:
    user_file(f"profiles:\n  team:\n    server: {URL}\n    hooks: [{{stage: Production, command: [id]}}]\n")
    notices: list[str] = []
    assert load_profile(profile="team", notice=notices.append).hooks == ()
    assert notices == ["the hooks of the profile team do not run: the server runs the hooks of its profile"]
    # and not for a store that another source names either
    assert load_profile(profile="team", catalog="/x/c.db", notice=notices.append).hooks == ()
    assert notices[1:] == ["the hooks of the profile team do not run: the catalog or the artifacts come from argument"]


def test_trust_is_for_the_server_that_the_file_names(command: Mreg) -> None:
    file = Path("mreg.yaml")
    file.write_text(f"server: {URL}\n")
    assert command("trust", "--json").out
    assert trusted_folders(os.environ)[0].server == URL
    assert load_profile().server == URL
    file.write_text("server: https://evil.example\n")
    with pytest.raises(BadProfile, match="you have not logged in to it"):
        load_profile()


# The file of saved logins


def test_logins_are_saved_for_one_user_alone() -> None:
    assert saved_logins(os.environ) == ()
    log_in(URL)
    log_in("http://a.example", insecure=True)
    log_in(URL)
    file = Path(logins_file(os.environ))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["logins.json"]
    assert [login.origin for login in saved_logins(os.environ)] == ["http://a.example", URL]
    found = find_login(URL, os.environ)
    assert found is not None
    assert (found.token.reveal(), found.name, found.insecure) == ("mreg_saved", "ada", False)
    assert "mreg_saved" not in repr(found)
    assert find_login(f"{URL}:8443", os.environ) is None
    forget_login(URL, os.environ)
    assert find_login(URL, os.environ) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o644])
def test_logins_that_others_can_read_are_refused(mode: int) -> None:
    log_in(URL)
    file = Path(logins_file(os.environ))
    file.chmod(mode)
    for use in (lambda: saved_logins(os.environ), lambda: log_in(URL), lambda: forget_login(URL, os.environ)):
        with pytest.raises(BadProfile) as caught:
            use()
        assert caught.value.message == f"the saved logins are not used: other users can access '{file}'"
        assert caught.value.hint.startswith(f"chmod 600 {file}")
    file.chmod(0o600)
    file.parent.chmod(0o770)
    with pytest.raises(BadProfile, match="other users can write to"):
        saved_logins(os.environ)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"logins": 1}', '{"logins": [1]}', '{"logins": [{"origin": 1}]}', "\0", "[" * 100_000, '{"logins": [{}]}',
        '{"logins": [{"origin": "https://a", "token": ["hunter2"]}]}', '{"logins": [{"origin": "https://a", "hunter2": 1}]}', " " * (2 << 20),
    ],
)  # fmt: skip
def test_damaged_logins_are_reported_and_kept(text: str) -> None:
    log_in(URL)
    file = Path(logins_file(os.environ))
    file.write_text(text)
    for use in (lambda: saved_logins(os.environ), lambda: log_in(URL)):
        with pytest.raises(BadProfile) as caught:
            use()
        assert "are damaged" in caught.value.message
        assert "hunter2" not in str(caught.value) + caught.value.hint
    assert file.read_text() == text


def test_logins_that_are_not_a_file_are_refused() -> None:
    log_in(URL)
    file = Path(logins_file(os.environ))
    for kind in ("folder", "link", "pipe"):
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()
        if kind == "folder":
            file.mkdir()
        elif kind == "link":
            file.symlink_to("/dev/zero")
        else:
            os.mkfifo(file)
        with pytest.raises(BadProfile, match="are not a regular file"):
            saved_logins(os.environ)


def test_logins_of_another_user_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    log_in(URL)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if os.stat(logins_file(os.environ)).st_uid == 0:
        os.chown(logins_file(os.environ), 65534, -1)
    with pytest.raises(BadProfile, match=r"the saved logins are not used: .* belongs to"):
        saved_logins(os.environ)


def test_without_a_home_folder_nothing_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "relative")
    assert saved_logins(os.environ) == ()
    monkeypatch.setenv("MREG_TOKEN", SECRET)
    assert load_profile(server=URL).token.reveal() == SECRET
