"""mreg login, logout and whoami: tokens are checked, saved for one origin, and shown nowhere."""

from __future__ import annotations

import io
import json
import os
import pty
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.address import Address
from mreg.domain.password import Password
from mreg.domain.token_command import TokenCommand
from mreg.errors import BadInput, MregError, Unavailable
from mreg.profile import credentials
from mreg.profile.load import load_profile
from mreg.profile.logins import SavedLogin, save_login
from mreg.registry.remote import RemoteRegistry
from tests.conftest import Done, Mreg
from tests.serving import Serving, serving

FILE = ".local/share/mreg/logins.json"


@pytest.fixture(scope="module")
def served(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("served")
    with serving(folder, {"MREG_CATALOG": str(folder / "catalog.db")}) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mreg.profile.keyring.has_keyring", lambda: False)


Typed = Callable[..., Done]


@pytest.fixture
def typed(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Runs a command with bytes on its standard input."""

    def run(data: bytes | str, *words: str) -> Done:
        given = data if isinstance(data, bytes) else data.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        return command(*words)

    return run


def saved() -> Path:
    return Path(os.environ["HOME"]) / FILE


def user_file(text: str) -> Path:
    path = Path(os.environ["HOME"]) / ".config" / "mreg" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_token_is_saved_after_a_check_and_used_until_logout(
    served: Serving, typed: Typed, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = served.secrets["ada"]
    assert typed("mreg_other", "login", served.url).code == 8
    done = typed(f"  {secret}\r\n", "login", f"{served.url}/")
    assert (done.code, done.err) == (
        0,
        f"commands still use the profile local here; to use this server in this shell:\n"
        f"  export MREG_SERVER={served.url}\n"
        f"or by default:\n  mreg profile add team --server {served.url}\n  mreg profile use team\n",
    )
    assert done.out == (
        "name\trole\tserver\tmodels\texpires\tversion\tsource\n"
        f"ada\tadmin\t{served.url}\t*\t\t{mreg.__version__}\t{saved()}\n"
    )
    assert saved().read_text().count(secret) == 1
    monkeypatch.setenv("MREG_SERVER", served.url)
    assert command("register", "churn", "-q").code == 0
    assert command("whoami", "-q").out == "ada\n"
    assert json.loads(command("whoami", "--json").out) == {
        "server": served.url,
        "name": "ada",
        "role": "admin",
        "models": [],
        "expires": None,
        "version": mreg.__version__,
        "source": str(saved()),
    }
    done = command("logout", "--json")
    assert json.loads(done.out) == [{"server": served.url}]
    assert secret not in saved().read_text()
    done = command("list")
    assert (done.code, done.err) == (
        8,
        f"error: {served.url} did not accept the request: missing token\n"
        f"  mreg login {served.url}\n  or set the token: export MREG_TOKEN=...\n",
    )


def test_a_token_of_another_server_is_not_sent(served: Serving, typed: Typed, command: Mreg) -> None:
    assert typed(served.secrets["ada"], "login", served.url).code == 0
    port = served.url.rpartition(":")[2]
    user_file(f"profiles:\n  same: {{server: '{served.url}'}}\n  other: {{server: 'http://localhost:{port}'}}\n")
    assert command("list", "--profile", "same").code == 0
    done = command("list", "--profile", "other")
    assert (done.code, "missing token" in done.err or "host" in done.err) == (8, True), done


def test_where_the_token_comes_from_is_told(
    served: Serving, typed: Typed, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = user_file(
        f"default: team\nprofiles:\n  team: {{server: '{served.url}', token_command: [printenv, ALL_THE_TOKENS]}}\n"
    )
    monkeypatch.setenv("ALL_THE_TOKENS", served.secrets["ben"])
    assert json.loads(command("whoami", "--json").out)["source"] == "token_command"
    assert command("whoami", "-q").out == "ben\n"
    assert typed(served.secrets["ada"], "login").code == 0  # the server of the profile
    assert command("whoami", "-q").out == "ben\n"
    monkeypatch.setenv("MREG_TOKEN", served.secrets["eve"])
    assert json.loads(command("whoami", "--json").out)["source"] == "MREG_TOKEN"
    assert command("whoami", "-q").out == "eve\n"
    done = typed(served.secrets["ada"], "login")
    assert "MREG_TOKEN is set and takes precedence over the saved token\n" in done.err
    monkeypatch.setenv("MREG_TOKEN", "mreg_wrong")
    done = command("list")
    assert done.err == (
        f"error: {served.url} did not accept the request: unknown token\n"
        "  replace the token in MREG_TOKEN, or use a saved one: unset MREG_TOKEN\n"
    )
    monkeypatch.delenv("MREG_TOKEN")
    monkeypatch.setenv("ALL_THE_TOKENS", "mreg_wrong")
    assert command("list").err.endswith(
        f"  check the token that the token_command prints ({file}, line 3): printenv ALL_THE_TOKENS\n"
    )
    user_file(f"default: team\nprofiles:\n  team: {{server: '{served.url}'}}\n")
    saved().write_text(saved().read_text().replace(served.secrets["ada"], "mreg_wrong"))
    assert command("list").err.endswith(f"unknown token\n  mreg login {served.url}\n")
    user_file(
        f"default: team\nprofiles:\n  team: {{server: '{served.url}', token_command: [printenv, ALL_THE_TOKENS]}}\n"
    )
    monkeypatch.setenv("MREG_TOKEN", "mreg_wrong")
    monkeypatch.delenv("MREG_TOKEN")
    monkeypatch.delenv("ALL_THE_TOKENS")
    done = command("list")
    assert (done.code, done.err) == (
        8,
        f"error: the token_command 'printenv' ({file}, line 3) failed: exit code 1\n"
        "  run it yourself to see the reason, or set MREG_TOKEN\n",
    )


def test_a_token_that_was_revoked_is_replaced_by_an_administrator(
    served: Serving, typed: Typed, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mreg.open_registry(server=served.url, token=served.secrets["ada"]) as registry:
        secret = registry.create_token("job", role="writer").secret
        user_file(f"default: team\nprofiles:\n  team: {{server: '{served.url}'}}\n")
        assert typed(secret, "login").code == 0
        registry.revoke_token("job")
    message = f"error: {served.url} did not accept the request: the token 'job' was revoked\n"
    new_token = "  for a new token, ask an administrator of the server: mreg token create job --role ROLE\n"
    assert command("list") == Done(8, "", f"{message}  mreg login {served.url}\n{new_token}")
    assert typed(secret, "login") == Done(8, "", f"{message}{new_token}")
    monkeypatch.setenv("MREG_TOKEN", secret)
    replace = "  replace the token in MREG_TOKEN, or use a saved one: unset MREG_TOKEN\n"
    assert command("list") == Done(8, "", f"{message}{replace}{new_token}")


BAD_INPUT = [
    ("", "the input has no token"),
    (" \n", "the input has no token"),
    ("mreg_hunter2\nmreg_hunter3\n", "the input contains a character that cannot be part of a token"),
    ("mreg_hunter2 x", "the input contains a character that cannot be part of a token"),
    ("mreg_hunter2\x1b[2J", "the input contains a character that cannot be part of a token"),
    ("mreg_hunter2é", "the input contains a character that cannot be part of a token"),
    (b"\xff\xfemreg_hunter2", "the input contains a character that cannot be part of a token"),
    ("'mreg_hunter2'", "the input begins with a quote"),
    ("Bearer mreg_hunter2", "the input begins with 'Bearer'"),
    (f"ci writer sha256:{'a' * 64}", "the input has the line of a token file, not the token"),
    ("hunter2" * 1000, "the input is too long for a token: the maximum is 4,096 characters"),
]


@pytest.mark.parametrize(("data", "message"), BAD_INPUT, ids=range(len(BAD_INPUT)))
def test_what_is_not_a_token_is_refused(served: Serving, typed: Typed, data: bytes | str, message: str) -> None:
    done = typed(data, "login", served.url)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"error: {message}\n  ")
    assert "hunter2" not in done.err
    assert not saved().exists()


def test_a_wrong_token_is_not_saved(served: Serving, typed: Typed) -> None:
    for words in ((), ("--debug",), ("--json",)):
        done = typed("mreg_hunter2", "login", served.url, *words)
        assert (done.code, done.out, "unknown token" in done.err, "hunter2" in done.err) == (8, "", True, False)
    assert not saved().exists()


URLS = [
    ("127.0.0.1:1", 2, "the URL of the server has no scheme", "write http://127.0.0.1:1"),
    ("models.example", 2, "the URL of the server has no scheme", "write https://models.example"),
    ("http://10.0.0.1", 2, "http://10.0.0.1 has no TLS: the token would be sent unencrypted", "use https://10.0.0.1, or in a network that you trust: mreg login http://10.0.0.1 --insecure"),
    ("http://127.0.0.1:1", 8, "cannot reach http://127.0.0.1:1: connection refused", "check host and port, and whether mreg serve runs there"),
    ("https://nowhere.invalid", 8, "cannot reach https://nowhere.invalid: ", ""),
]  # fmt: skip


@pytest.mark.parametrize(("url", "code", "message", "hint"), URLS, ids=[url for url, *_ in URLS])
def test_a_url_that_leads_to_no_server_is_refused_before_the_token_is_read(
    command: Mreg, url: str, code: int, message: str, hint: str
) -> None:
    done = command("login", url)  # reading standard input would fail here
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith(f"error: {message}")
    assert hint in done.err


def test_the_hint_for_a_server_without_tls_keeps_the_options(command: Mreg) -> None:
    assert command("login", "http://10.0.0.1", "--token-stdin").err.endswith(
        ": mreg login http://10.0.0.1 --token-stdin --insecure\n"
    )


@pytest.mark.parametrize("path", ["models", "models/team/churn/versions/3", "docs", "openapi.json", "version"])
def test_the_url_of_a_page_is_answered_with_that_of_the_server(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("MREG_SERVER", f"{served.url}/{path}")
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    for words in (["whoami"], ["show", "team/churn"], ["register", "x"]):
        done = command(*words)
        assert (done.code, done.err) == (
            8,
            f"error: no mreg server at {served.url}/{path}: there is one at this host, but not with this path\n"
            f"  write {served.url}\n",
        )


def test_a_token_on_the_command_line_is_refused_and_not_repeated(served: Serving, command: Mreg) -> None:
    done = command("login", served.url, "mreg_hunter2")
    assert (done.code, "hunter2" in done.err) == (2, False)
    assert done.err.startswith("error: the token is not an argument: other users could see it\n")
    for words in (("--token", "mreg_hunter2"), ("--token=mreg_hunter2",)):
        done = command("login", served.url, *words)
        assert (done.code, "hunter2" in done.err) == (2, False), done


SECRET = f"mreg_{'aB3_-' * 8}xyZ"
IN_A_URL = (
    "error: {}the URL of the server is or contains a token\n"
    "  mreg login https://HOST asks for the token, or reads it from standard input\n"
)


@pytest.mark.parametrize("given", [SECRET, SECRET[:20], f"https://{SECRET}", f"https://models.example/{SECRET}"])
def test_a_token_in_place_of_a_url_is_not_repeated(command: Mreg, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    for words in (["login", given], ["logout", given], ["profile", "add", "team", "--server", given]):
        assert command(*words) == Done(2, "", IN_A_URL.format(""))
    monkeypatch.setenv("MREG_SERVER", given)
    assert command("list") == Done(2, "", IN_A_URL.format("MREG_SERVER: "))


@pytest.mark.parametrize(
    "words",
    [
        ["token", "revoke", SECRET],
        ["show", SECRET],
        ["list", "--profile", SECRET],
        ["profile", "use", SECRET],
        ["whoami", SECRET],
        [SECRET],
    ],
)
def test_an_error_does_not_repeat_a_token(command: Mreg, words: list[str]) -> None:
    for more in ((), ("--json",)):
        done = command(*words, *more)
        assert done.code in (2, 4)
        assert SECRET[5:].lower() not in f"{done.out}{done.err}".lower()


def test_a_host_that_begins_like_a_token_is_a_url() -> None:
    assert str(Address.parse("http://mreg_server")) == "http://mreg_server"


class Answers(BaseHTTPRequestHandler):
    """A server that is not mreg's: it records what it gets, and answers as its path says."""

    seen: list[tuple[str, str]]

    def do_GET(self) -> None:
        type(self).seen.append((self.path, self.headers.get("Authorization", "")))
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/stolen")  # type: ignore[attr-defined]
            self.end_headers()
            return
        status = 401 if self.path.startswith("/401") else 404 if self.path.startswith("/404") else 200
        self.send_response(status)
        self.send_header("Content-Type", "text/html" if "html" in self.path else "application/json")
        self.end_headers()
        self.wfile.write(b"<html>" if "html" in self.path else b'{"name": "x", "role": "admin"}')

    def log_message(self, *_words: Any) -> None:
        pass


@pytest.fixture
def other() -> Iterator[str]:
    Answers.seen = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("path", ["", "/html", "/401", "/401html", "/404", "/redirect"])
def test_a_server_that_is_not_of_mreg_never_gets_the_token(other: str, typed: Typed, path: str) -> None:
    done = typed("mreg_hunter2", "login", other + path)
    assert (done.code, done.out) == (8, ""), done
    assert "hunter2" not in done.err
    assert Answers.seen
    assert {token for _, token in Answers.seen} == {""}
    assert not any("stolen" in asked for asked, _ in Answers.seen)
    assert not saved().exists()


def test_a_redirect_does_not_carry_the_token_away(other: str, command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_SERVER", f"{other}/redirect")
    monkeypatch.setenv("MREG_TOKEN", "mreg_mine")
    assert command("list").code == 8
    assert {asked.split("?")[0] for asked, _ in Answers.seen} == {"/redirect/models"}


def test_a_server_without_tokens_needs_no_login(
    typed: Typed, tmp_path_factory: pytest.TempPathFactory, command: Mreg
) -> None:
    from tests.servers import loose_ports

    (port,) = loose_ports(1)
    process = subprocess.Popen(
        [sys.executable, "-m", "mreg", "serve", "--port", str(port)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert "mreg serves" in process.stderr.readline()
        done = typed("mreg_x", "login", f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.communicate()
    assert (done.code, done.err) == (
        2,
        f"error: http://127.0.0.1:{port} needs no token\n  mreg profile add NAME --server http://127.0.0.1:{port}\n",
    )


def test_on_a_terminal_the_token_is_asked_for_without_echo(served: Serving) -> None:
    secret = served.secrets["ada"]
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-m", "mreg", "login", served.url],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    while b"token for " not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, f"{secret}\n".encode())
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:
            break
        if not more:
            break
        shown += more
    os.close(ours)
    assert running.wait() == 0, shown
    assert f"token for {served.url}: " in shown.decode()
    assert f"ada, role admin, {served.url}" in shown.decode().replace("\r\n", "")
    assert secret not in shown.decode()
    assert secret in saved().read_text()


def test_logout_tells_which_servers_have_tokens(served: Serving, typed: Typed, command: Mreg) -> None:
    done = command("logout", served.url)
    assert (done.code, done.err) == (4, f"error: no token is saved for {served.url}\n  no tokens are saved\n")
    typed(served.secrets["ada"], "login", served.url)
    done = command("logout", "https://models.example")
    assert done.err.endswith(f"there are tokens for {served.url}\n")
    done = command("logout")
    assert (done.code, done.err) == (
        2, f"error: the profile local names no server\n  name it: mreg logout {served.url}\n"
    )  # fmt: skip
    assert command("logout", served.url, "--all").code == 2
    assert command("logout", "--all", "-q").out == f"{served.url}\n"
    assert command("logout", "--all", "--json").out == "[]\n"


def test_whoami_needs_a_server(command: Mreg) -> None:
    done = command("whoami")
    assert (done.code, done.err) == (
        2,
        "error: the profile local names no server\n  log in to a server: mreg login https://HOST\n"
        "  or name a profile with a server: --profile NAME\n"
        "  your name in the audit trail here: mreg profile show\n",
    )
    log_in("https://models.example/mreg")
    command_line = "  export MREG_SERVER=https://models.example/mreg"
    assert command("whoami").err.splitlines()[1:3] == [
        "  you are logged in to https://models.example/mreg; to use it:", command_line
    ]  # fmt: skip
    log_in("https://other.example")
    assert command("whoami").err.splitlines()[1:3] == [
        "  you are logged in to https://models.example/mreg, https://other.example; to use https://models.example/mreg:",
        command_line,
    ]
    saved().write_text("damaged")
    assert command("whoami").err.splitlines()[1] == "  log in to a server: mreg login https://HOST"


# After a login


def log_in(url: str) -> None:
    address = Address.parse(url)
    login = SavedLogin(origin=address.origin, server=url, name="ada", token=Password("mreg_saved"))
    save_login(login, os.environ)


STEPS = {
    "nothing": ({}, "", "", ["export MREG_SERVER=URL"], ["mreg profile add team --server URL", "mreg profile use team"]),
    "another profile": ({}, "profiles:\n  team: {catalog: /c.db}", "", ["export MREG_SERVER=URL"], ["mreg profile add HOST --server URL", "mreg profile use HOST"]),
    "its profile": ({}, "profiles: {prod: {server: 'URL/'}}", "", ["export MREG_SERVER=URL"], ["mreg profile use prod"]),
    "its profile by default": ({}, "default: prod\nprofiles: {prod: {server: 'URL/'}}", "", [], []),
    "its variable": ({"MREG_SERVER": "URL"}, "", "", [], []),
    "another server": ({"MREG_SERVER": "https://other.example"}, "", "", ["export MREG_SERVER=URL"], []),
    "a catalog": ({"MREG_CATALOG": "/c.db"}, "", "", ["unset MREG_CATALOG", "export MREG_SERVER=URL"], []),
    "a store": ({"MREG_CATALOG": "/c.db", "MREG_ARTIFACTS": "/a"}, "", "", ["unset MREG_CATALOG MREG_ARTIFACTS", "export MREG_SERVER=URL"], []),
    "a profile of a variable": ({"MREG_PROFILE": "local"}, "", "", ["export MREG_SERVER=URL"], []),
    "a project": ({}, "", "catalog: .mreg/c.db", ["export MREG_SERVER=URL"], []),
    "a project with the server": ({}, "", "server: URL", [], []),
    "a bad project": ({}, "", "catalog: /c.db", [], []),
}  # fmt: skip


def run_line(line: str, command: Mreg, patch: pytest.MonkeyPatch) -> None:
    """Do what a shell does with a line of a hint."""
    first, *words = shlex.split(line)
    if first == "mreg":
        assert command(*words).code == 0
    elif first == "unset":
        for name in words:
            patch.delenv(name)
    else:
        assert first == "export"
        name, _, value = words[0].partition("=")
        patch.setenv(name, value)


@pytest.mark.parametrize("case", STEPS)
def test_a_login_tells_how_to_use_the_server_unless_it_is_used(
    case: str, served: Serving, typed: Typed, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    variables, file, project, shell, default = STEPS[case]
    host = served.url.partition("://")[2].replace(":", "-")

    def filled(text: str) -> str:
        return text.replace("URL", served.url).replace("HOST", host)

    user_file(filled(file))
    if project:
        Path("mreg.yaml").write_text(filled(f"{project}\n"))
    for name, value in variables.items():
        monkeypatch.setenv(name, filled(value))
    done = typed(served.secrets["ada"], "login", served.url)
    assert done.code == 0, done
    notes = done.err.splitlines()
    assert [note.strip() for note in notes if note.startswith("  ")] == [filled(step) for step in (*shell, *default)]
    assert bool(shell) == any(note.endswith("to use this server in this shell:") for note in notes)
    assert bool(default) == ("or by default:" in notes)
    assert any("commands fail here: " in note for note in notes) == (case == "a bad project")
    assert typed(served.secrets["ada"], "login", served.url, "-q").err == ""
    for steps in (shell, default):
        with pytest.MonkeyPatch.context() as patch:
            for step in steps:
                run_line(filled(step), command, patch)
            if steps:
                assert command("whoami", "-q").out == "ada\n"


def test_the_hint_for_a_refused_token_tells_how_to_replace_it(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hint(token: str | None = None) -> str:
        with mreg.open_registry(server=served.url, token=token) as registry, pytest.raises(mreg.Unavailable) as caught:
            registry.models()
        return caught.value.hint

    assert hint(token="mreg_wrong") == "pass another token, or none to use a saved one"
    assert hint() == f"mreg login {served.url}\nor set the token: export MREG_TOKEN=..."
    monkeypatch.setenv("MREG_TOKEN", "mreg_wrong")
    assert hint() == "replace the token in MREG_TOKEN, or use a saved one: unset MREG_TOKEN"


def test_the_name_of_a_profile_in_place_of_a_url_is_recognized(command: Mreg) -> None:
    user_file("profiles: {team: {server: 'https://models.example'}}")
    assert command("login", "team").err == (
        "error: the URL of the server has no scheme\n  for the server of the profile: mreg login --profile team\n"
    )
    assert command("login", "teams").err == "error: the URL of the server has no scheme\n  write https://teams\n"


def test_a_login_with_a_profile_of_another_server_is_refused(served: Serving, command: Mreg) -> None:
    user_file("profiles: {team: {server: 'https://models.example'}}")
    done = command("login", served.url, "--profile", "team")
    assert (done.code, done.err) == (
        2,
        f"error: the profile team has the server https://models.example, and the URL is {served.url}\n"
        f"  leave one of them out: mreg login {served.url}\n",
    )
    done = command("login", served.url, "--profile", "local")
    assert done.err.startswith("error: the profile local has no server, and the URL is ")
    done = command("login", served.url, "--profile", "prod")
    assert (done.code, done.err) == (
        4, f"error: profile 'prod' not found\n  mreg profile add prod --server {served.url}\n"
    )  # fmt: skip
    assert not saved().exists()


def test_the_empty_registry_of_the_machine_names_the_servers(command: Mreg, model_file: Path) -> None:
    log_in("https://models.example")
    note = (
        "the registry of this machine has no models; you are logged in to https://models.example; to use it:\n"
        "  export MREG_SERVER=https://models.example\n"
    )
    for words in (["list"], ["search"], ["show", "churn"], ["list", "--json"]):
        assert command(*words).err.count(note) == 1, words
    assert command("list", "-q").err == ""
    assert command("list", "--profile", "local").err == ""  # named
    done = command("push", model_file, "--name", "churn")
    assert (done.code, done.err.count(note)) == (0, 1)
    assert note not in command("list").err + command("show", "none").err
    assert command("delete", "churn", "--yes", "--force").code == 0
    assert note in command("list").err


NO_SERVER = "error: MREG_TOKEN is set, and no server is named\n"


def test_a_token_without_a_server_is_not_ignored(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_TOKEN", "mreg_x")
    done = command("list")
    other = "  or use the registry of this machine: --profile local\n"
    assert (done.code, done.err) == (2, f"{NO_SERVER}  name the server: export MREG_SERVER=https://HOST\n{other}")
    log_in("https://models.example")
    way = "  you are logged in to https://models.example; to use it:\n  export MREG_SERVER=https://models.example\n"
    assert command("list").err == f"{NO_SERVER}{way}{other}"
    with pytest.raises(BadInput, match="MREG_TOKEN is set, and no server is named"):
        mreg.open_registry()
    assert not Path(os.environ["HOME"], ".local/share/mreg/catalog.db").exists()
    for words in (["profile", "show"], ["profile", "list"], ["list", "--profile", "local"]):
        assert command(*words).code == 0, words
    monkeypatch.setenv("MREG_PROFILE", "local")
    assert command("list").code == 0
    monkeypatch.delenv("MREG_PROFILE")
    user_file("default: local\n")
    assert command("list").code == 0
    user_file("")
    monkeypatch.setenv("MREG_CATALOG", os.path.abspath("c.db"))
    assert command("list").code == 0
    monkeypatch.delenv("MREG_CATALOG")
    Path("mreg.yaml").write_text("catalog: .mreg/c.db\n")
    assert command("list").code == 0


def test_a_token_argument_without_a_server_is_refused() -> None:
    for named in ({}, {"profile": "local"}, {"catalog": os.path.abspath("c.db")}):
        with pytest.raises(
            BadInput, match=r"a token is given, and no server: the profile local has the catalog "
        ) as caught:
            mreg.open_registry(token="mreg_x", **named)  # type: ignore[arg-type]
        assert caught.value.hint == "give the URL of the server, too: server='https://HOST'; or leave the token out"


def test_a_project_can_name_a_server_after_login(served: Serving, typed: Typed, command: Mreg) -> None:
    Path("mreg.yaml").write_text(f"server: {served.url}\n")
    done = command("list")
    assert (done.code, f"  mreg login {served.url}\n" in done.err) == (2, True)
    assert typed(served.secrets["ada"], "login", served.url).code == 0
    assert command("list").code == 0


def test_python_opens_a_server(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    with mreg.open_registry(server=served.url, token=served.secrets["ben"]) as registry:
        assert isinstance(registry, RemoteRegistry)
        assert registry.whoami().name == "ben"
        assert registry.profile.server == served.url
        assert served.secrets["ben"] not in repr(registry.profile)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    with mreg.open_registry(server=served.url) as registry:
        assert isinstance(registry, RemoteRegistry)
        assert registry.whoami().name == "ada"
    with pytest.raises(mreg.BadProfile, match="server and catalog exclude each other"):
        mreg.open_registry(server=served.url, catalog="c.db")


NEXT_TO_CATALOG = [
    (["serve", "--port", "80", "--profile=team"], "serve the registry", "mreg serve --port 80"),
    (["--profile", "team", "restore", "b.db", "--yes"], "restore a backup", "mreg restore b.db --yes"),
    (["restore", "b b.db", "--with-tokens"], "restore a backup", "mreg restore 'b b.db' --with-tokens"),
    (["upgrade"], "upgrade the catalog", "mreg upgrade"),
]


@pytest.mark.parametrize(("words", "action", "there"), NEXT_TO_CATALOG, ids=lambda value: str(value))
def test_a_command_that_needs_the_catalog_says_so(command: Mreg, words: list[str], action: str, there: str) -> None:
    user_file("default: team\nprofiles:\n  team: {server: 'https://models.example'}\n")
    done = command(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: cannot {action} through https://models.example, which the profile team names: the command needs direct "
        f"access to the catalog\n  on the machine of the server, run: {there}\n"
        "  or name a profile with a catalog: --profile NAME\n"
    )


@pytest.mark.parametrize(("source", "target"), [("team", "local"), ("local", "team")])
def test_a_catalog_behind_a_server_is_not_copied(
    command: Mreg, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_file("profiles:\n  team: {server: 'https://models.example'}\n")
    done = command("catalog", "copy", "--from-profile", source, "--to-profile", target)
    assert (done.code, done.out, done.err) == (
        2,
        "",
        "error: cannot copy a catalog through https://models.example, which the profile team names: the command needs "
        "direct access to the catalog\n"
        "  on the machine of the server, with profiles that have a catalog, run: "
        f"mreg catalog copy --from-profile {source} --to-profile {target}\n"
        "  or copy each model in a bundle:\n"
        f"  mreg export MODEL -o model.mreg --profile {source}\n"
        f"  mreg import model.mreg --profile {target}\n",
    )
    monkeypatch.setenv("MREG_SERVER", "https://models.example")
    done = command("catalog", "copy", "--from-profile", "local", "--to-profile", "local")
    assert done.err.endswith("\n  or unset MREG_SERVER, and name a profile with a catalog: --profile NAME\n")


@pytest.mark.parametrize("named_by", ["variable", "project", "profile"])
def test_the_way_to_a_catalog_works_wherever_the_server_is_named(
    command: Mreg, monkeypatch: pytest.MonkeyPatch, named_by: str
) -> None:
    url = "https://models.example"
    if named_by == "variable":
        monkeypatch.setenv("MREG_SERVER", url)
    elif named_by == "project":
        Path("mreg.yaml").write_text(f"server: {url}\n")
        monkeypatch.setenv("MREG_TRUST_PROJECT", "1")
    else:
        user_file(f"default: local\nprofiles:\n  local: {{server: '{url}'}}\n")
    needs = command("restore", "b.db", "--yes")
    ways = {
        "variable": "unset MREG_SERVER, and name a profile with a catalog: --profile NAME",
        "project": "name a catalog instead of the server of the project file: export MREG_CATALOG=PLACE",
        "profile": "name a profile with a catalog: --profile NAME",
    }
    assert needs.err.endswith(f"\n  or {ways[named_by]}\n")
    assert ("which MREG_SERVER names" in needs.err) == (named_by == "variable")
    imports = command("import", "hf:x", "--as", "org/net", "--dry-run")
    assert "on the machine of the server, run: mreg import hf:x --name org/net --dry-run\n" in imports.err
    first, second, third = (line.strip() for line in imports.err.partition("a bundle:\n")[2].splitlines())
    assert (first.endswith(" mreg import hf:x --name org/net"), third) == (True, "mreg import model.mreg")
    assert second.endswith(" mreg export org/net -o model.mreg")
    before = [words.partition("mreg ")[0] for words in (first, second)]
    script = f"{before[0]}{sys.executable} -m mreg register org/net && {before[1]}{sys.executable} -m mreg list -q"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "org/net"), done
    assert Path("copy.db").exists()


@pytest.mark.parametrize("text", ["", "default: other\nprofiles:\n    other: {user: ada}  # mine\n"])
def test_a_refused_new_profile_names_the_option_and_no_line(command: Mreg, text: str) -> None:
    file = Path(os.environ["HOME"]) / ".config/mreg/config.yaml"
    if text:
        file.parent.mkdir(parents=True)
        file.write_text(text)
    refused = {
        ("--server", "http://models.example", "--model", "churn"): (
            "error: --server: http://models.example has no TLS: the token and all data would be sent unencrypted\n"
        ),
        ("--artifacts", "/x", "--catalog", "${NOWHERE}/c.db"): (
            "error: --catalog: the environment variable NOWHERE is not set\n"
        ),
        ("--cache", "${NOWHERE}", "--user", "ada"): "error: --cache: the environment variable NOWHERE is not set\n",
    }
    for words, message in refused.items():
        done = command("profile", "add", "ins", *words)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith(message)
        assert str(file) not in done.err
    assert (file.read_text() if text else file.exists()) == (text or False)


def test_a_profile_with_a_server_is_added_shown_and_checked(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = command("profile", "add", "team", "--server", f"{served.url}/", "--model", "churn")
    assert (done.code, f"for this server yet: mreg login {served.url}\n" in done.err) == (0, True), done
    refused = command("profile", "add", "both", "--server", served.url, "--artifacts", "/x")
    assert (refused.code, refused.err) == (
        2,
        "error: --server and --artifacts exclude each other\n"
        "  leave one of them out: a server has its own catalog and artifacts\n",
    )
    file = Path(os.environ["HOME"]) / ".config/mreg/config.yaml"
    assert done.out == (
        "key\tvalue\torigin\n"
        f"name\tteam\t{file}\nserver\t{served.url}\t{file}, line 3\nmodel\tchurn\t{file}, line 4\n"
        "token\tnone\t\n"
    )
    shown = json.loads(command("profile", "show", "team", "--json").out)
    assert (shown["server"], shown["catalog"], shown["artifacts"]) == (served.url, None, None)
    done = command("profile", "check", "team")
    assert (done.code, "accept the token" in done.out) == (8, True)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    assert command("profile", "show", "team").out.splitlines()[-1] == "token\tnot shown\tMREG_TOKEN"
    assert json.loads(command("profile", "show", "team", "--json").out)["origins"]["token"] == "MREG_TOKEN"
    done = command("profile", "check", "team", "--json")
    names = [check["name"] for check in json.loads(done.out)]
    assert names[:5] == ["reach the server", "server latency", "accept the token", "version of the server", "clocks"]
    assert done.code == 0
    for words in (("--server", "models.example"), ("--server", "https://a", "--catalog", "/x/c.db"),
                  ("--server", "http://models.example")):  # fmt: skip
        assert command("profile", "add", "bad", *words).code == 2
    assert "bad" not in file.read_text()


def test_completion_with_a_server_offers_words_and_never_fails(
    served: Serving, process: Mreg, monkeypatch: pytest.MonkeyPatch, command: Mreg
) -> None:
    monkeypatch.setenv("MREG_SERVER", served.url)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    command("register", "completed")
    line = {"COMP_WORDS": "mreg show compl", "COMP_CWORD": "2", "_MREG_COMPLETE": "complete_bash"}
    assert process(env={**os.environ, **line}).out == "completed\n"
    for variables in ({"MREG_TOKEN": "mreg_x"}, {"MREG_SERVER": "http://127.0.0.1:1"}, {"MREG_TOKEN": ""}):
        done = process(env={**os.environ, **line, **variables})
        assert (done.out, done.err) == ("", "")


def test_a_check_without_the_role_says_what_was_not_checked(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_SERVER", served.url)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    monkeypatch.setenv("MREG_TOKEN", command("token", "create", "viewer", "-q").out.strip())
    done = command("profile", "check")
    assert (done.code, done.err) == (
        0,
        f"the catalog and the artifact store of the server were not checked: {served.url} refused the request: "
        "viewer has role reader; this needs role admin\n",
    )
    assert "lacks" not in done.out
    assert [line.split("\t")[0] for line in done.out.splitlines()] == [
        "check", "reach the server", "server latency", "accept the token", "version of the server", "clocks",
    ]  # fmt: skip


def test_revoking_the_own_token_must_be_confirmed(
    served: Serving, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MREG_SERVER", served.url)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ada"])
    for name in ("lead", "other"):
        secret = command("token", "create", name, "--role", "admin", "-q").out.strip()
        if name == "lead":
            own = secret
    monkeypatch.setenv("MREG_TOKEN", own)
    done = command("token", "revoke", "lead")
    assert (done.code, done.err) == (
        2,
        f"error: confirmation required: revoke your own token lead for {served.url}?\n"
        "  not a terminal: add --yes to confirm\n",
    )
    assert command("token", "revoke", "other").code == 0
    again = command("token", "revoke", "other")
    assert again.code == 4
    assert again.err.startswith("error: token 'other' was revoked already, at ")
    assert again.err.endswith("\n  create another one with its name: mreg token create other --role admin\n")
    command("token", "create", "ci", "--role", "writer", "--models", "a,b-*")
    command("token", "revoke", "ci")
    hint = "\n  create another one with its name: mreg token create ci --role writer --models 'a,b-*'\n"
    assert command("token", "revoke", "ci").err.endswith(hint)
    assert command("token", "revoke", "lead", "--yes").code == 0
    assert command("list").code == 8


def test_the_source_of_the_token_is_shown_to_people(
    served: Serving, typed: Typed, command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = typed(served.secrets["ada"], "login", served.url, "--format", "table")
    assert done.out.strip() == f"ada, role admin, {served.url}, token saved in {saved()}"
    monkeypatch.setenv("MREG_SERVER", served.url)
    monkeypatch.setenv("MREG_TOKEN", served.secrets["ben"])
    assert command("whoami", "--format", "table").out.strip() == f"ben, role admin, {served.url}, token from MREG_TOKEN"
    done = command("logout", "--format", "table")
    assert (done.out.strip(), done.err) == (f"removed the token for {served.url}", "MREG_TOKEN is still set\n")
    assert command("logout", "--all", "--format", "table").out.strip() == "no tokens are saved"


def test_a_profile_shows_that_a_token_has_no_server(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_TOKEN", "mreg_x")
    assert command("profile", "show").err == "commands fail here: MREG_TOKEN is set, and no server is named\n"
    assert command("profile", "show", "local").err == ""


def test_a_profile_shows_what_names_the_registry(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MREG_SERVER", "https://models.example")
    rows = command("profile", "show").out.splitlines()
    assert rows[1] == "name\tlocal\tdefault; its registry is overridden by MREG_SERVER"
    assert command("profile", "list").err == "MREG_SERVER names the registry: https://models.example is used\n"
    assert "through https://models.example, which MREG_SERVER names: " in command("restore", "x").err
    monkeypatch.delenv("MREG_SERVER")
    assert command("profile", "show").out.splitlines()[1] == "name\tlocal\tdefault"
    monkeypatch.setenv("MREG_CATALOG", "catalog.db")
    assert command("profile", "show").out.splitlines()[1].endswith("overridden by MREG_CATALOG")
    assert command("whoami").err.startswith("error: MREG_CATALOG names no server\n")


# The token command


def run_command(*words: str, folder: str = "") -> str:
    return credentials.run_token_command(TokenCommand(words=words, place="config.yaml, line 3", folder=folder)).reveal()


def test_a_token_command_prints_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text('#!/bin/sh\necho " mreg_$(basename $PWD)_$1_${MREG_TOKEN:-none}"\n')
    (tmp_path / "token").chmod(0o700)
    monkeypatch.setenv("MREG_TOKEN", "mreg_hunter2")
    assert run_command("./token", "$HOME", folder=str(tmp_path)) == f"mreg_{tmp_path.name}_$HOME_none"


COMMANDS = [
    (("/nowhere/token",), Unavailable, "failed: No such file or directory"),
    (("false",), Unavailable, "failed: exit code 1"),
    (("true",), BadInput, "has no token"),
    (("printf", "mreg_a\\nmreg_b\\n"), BadInput, "printed more than one line"),
    (("printf", "mreg a"), BadInput, "contains a character that cannot be part of a token"),
    (("cat", "/dev/zero"), Unavailable, "failed: it took over 0.5 s"),
    (("sleep", "100"), Unavailable, "failed: it took over 0.5 s"),
    (("sh", "-c", "sleep 100 & sleep 100"), Unavailable, "failed: it took over 0.5 s"),
    (("sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' a"), BadInput, "is too long for a token"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "kind", "message"), COMMANDS, ids=lambda value: str(value))
def test_a_token_command_that_prints_no_token_is_an_error(
    words: tuple[str, ...], kind: type[MregError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "COMMAND_SECONDS", 0.5)
    with pytest.raises(kind) as caught:
        run_command(*words)
    assert message in caught.value.message
    if words == ("true",):
        assert caught.value.hint == "run it by hand: it must print the token to standard output"
    assert "config.yaml, line 3" in caught.value.message
    assert "mreg_" not in caught.value.message


def test_a_process_that_a_token_command_left_is_not_waited_for() -> None:
    assert run_command("sh", "-c", "sleep 30 & echo mreg_x") == "mreg_x"


def test_a_program_in_the_working_folder_is_not_run_by_its_bare_name(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("token-of-mine").write_text("#!/bin/sh\necho mreg_evil\n")
    Path("token-of-mine").chmod(0o700)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    with pytest.raises(Unavailable, match="No such file or directory"):
        run_command("token-of-mine", folder="/")
    with pytest.raises(Unavailable, match="No such file or directory"):
        run_command("token-of-mine", folder=os.getcwd())


def test_a_token_is_read_once(served: Serving, tmp_path: Path) -> None:
    user_file(
        f"default: team\nprofiles:\n  team:\n    server: {served.url}\n"
        f"    token_command: [sh, -c, 'echo x >> {tmp_path}/runs; echo {served.secrets['ada']}']\n"
    )
    with mreg.open_registry() as registry:
        assert not (tmp_path / "runs").exists()
        registry.models()
        registry.models()
    assert (tmp_path / "runs").read_text() == "x\n"
    assert load_profile().token_command is not None
