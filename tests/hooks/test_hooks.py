"""Hooks: what a change sets off is run once it is durable, bounded in time and output, and never lost."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.hook import parse_hooks
from mreg.errors import BadInput
from mreg.hooks import command as command_module
from mreg.registry import deploy as deploy_module
from tests.conftest import Mreg


def hooks(*texts: str) -> None:
    """Write a profile file with hooks, each a YAML flow mapping."""
    Path("config.yaml").write_text(
        "default: here\nprofiles:\n  here:\n    catalog: catalog.db\n    hooks:\n"
        + "".join(f"      - {text}\n" for text in texts)
    )
    os.environ["MREG_CONFIG"] = str(Path("config.yaml").absolute())


@pytest.fixture
def pushed(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> Mreg:
    """Three versions of m, by a profile without hooks."""
    monkeypatch.setenv("MREG_CONFIG", "")
    monkeypatch.setenv("MREG_CATALOG", str(Path("catalog.db").absolute()))
    for number in (1, 2, 3):
        Path("model").write_text(str(number))
        assert command("push", "model", "-n", "m").code == 0
    return command


def told(command: Mreg) -> list[dict[str, Any]]:
    return list(json.loads(command("deployments", "m", "--json").out))


def test_a_command_is_told_what_happened(pushed: Mreg) -> None:
    hooks("{name: deploy, stage: Production, command: [sh, -c, 'cat > in.json; env | grep ^MREG_ > env; echo done']}")
    done = pushed("promote", "m@1", "--to", "production")
    assert done.code == 0
    said = json.loads(Path("in.json").read_text())
    assert (said["type"], said["data"]["reference"], said["data"]["stage"]) == (
        "version.stage_changed",
        "m@1",
        "Production",
    )
    assert said["data"]["event"]["details"]["from"] == "None"
    variables = dict(line.split("=", 1) for line in Path("env").read_text().splitlines())
    assert variables["MREG_REFERENCE"] == "m@1"
    assert (variables["MREG_STAGE"], variables["MREG_VERSION"], variables["MREG_EVENT_MODEL"]) == (
        "Production",
        "1",
        "m",
    )
    (deployment,) = told(pushed)
    assert (deployment["status"], deployment["outcome"], deployment["output"]) == ("deployed", 0, "done")
    assert deployment["key"] == said["data"]["id"] == variables["MREG_DEPLOYMENT"]
    assert json.loads(pushed("show", "m@1", "--json").out)["status"] == "deployed"
    assert pushed("audit", "verify").code == 0


def test_a_hook_is_for_its_models_stages_and_actions(pushed: Mreg) -> None:
    hooks(
        "{name: staging, stage: staging, command: [sh, -c, 'echo staging $MREG_REFERENCE >> log']}",
        "{name: both, stage: [Production, Archived], models: 'm*', command: [sh, -c, 'echo both $MREG_REFERENCE >> log']}",
        "{name: other, stage: Production, models: 'x*', command: [sh, -c, 'echo other >> log']}",
        "{name: approved, on: [version.approved, alias.set], command: [sh, -c, 'echo $MREG_EVENT >> log']}",
    )
    pushed("promote", "m@1")
    pushed("promote", "m@1", "--to", "production")
    pushed("promote", "m@2", "--to", "production")
    pushed("approve", "m@3", "--to", "staging")
    pushed("alias", "m@3", "champion")
    assert Path("log").read_text().splitlines() == [
        "staging m@1",
        "both m@1",
        "both m@1",
        "both m@2",
        "version.approved",
        "alias.set",
    ]


def test_a_hook_that_fails_keeps_the_change_and_is_said(pushed: Mreg) -> None:
    hooks("{name: deploy, stage: Production, command: [sh, -c, 'echo on the way; echo no room >&2; exit 7']}")
    done = pushed("promote", "m@1", "--to", "production")
    assert done.code == 1
    assert done.out.splitlines()[1].startswith("m@1\tProduction")
    assert "the hook deploy failed for m@1 in Production: exit code 7, no room\n" in done.err
    assert "error: the hook deploy failed\n  the change was made before" in done.err
    shown = json.loads(pushed("show", "m@1", "--json").out)
    assert (shown["stage"], shown["status"]) == ("Production", "failed")
    assert pushed("deploy", "m@1").err.endswith(
        "error: the hook deploy failed\n  what the hook said: mreg deployments m\n"
    )
    hooks("{name: deploy, stage: Production, command: ['true']}")
    assert pushed("deploy", "m@1").code == 0
    assert [one["status"] for one in told(pushed)] == ["deployed", "failed", "failed"]
    assert json.loads(pushed("show", "m@1", "--json").out)["status"] == "failed"  # of what entering the stage set off


def test_a_failure_may_roll_the_change_back_once(pushed: Mreg) -> None:
    hooks("{name: deploy, stage: Production, on_failure: rollback, command: [sh, -c, '[ $MREG_VERSION = 1 ]']}")
    assert pushed("promote", "m@1", "--to", "production").code == 0
    done = pushed("promote", "m@2", "--to", "production")
    assert done.code == 1
    assert "rolled back: m@1 is in Production again" in done.err
    assert pushed("show", "m@production", "-q").out == "m@1\n"
    assert [(one["reference"], one["status"]) for one in told(pushed)] == [
        ("m@1", "deployed"),
        ("m@2", "failed"),
        ("m@1", "deployed"),
    ]
    hooks("{name: deploy, stage: Production, on_failure: rollback, command: ['false']}")
    assert pushed("promote", "m@3", "--to", "production").code == 1
    assert pushed("show", "m@production", "-q").out == "m@1\n"


ROLL_BACK = "{name: deploy, stage: Production, on_failure: rollback, command: [sh, -c, '[ $MREG_VERSION = 1 ]']}"


def test_a_result_says_the_state_after_a_hook_rolled_it_back(pushed: Mreg) -> None:
    pushed("promote", "m@1", "--to", "production")
    hooks(ROLL_BACK)
    done = pushed("promote", "m@2", "--to", "production", "--format", "table")
    assert (done.code, done.out) == (1, "m@2 is in Archived (was None); m@1 is in Production\n")
    assert "  the change was rolled back: m@1 is in Production; what the hook said: mreg deployments m\n" in done.err
    assert pushed("promote", "m@3", "--to", "production").out.splitlines()[1] == "m@3\tArchived\tNone\t"
    done = pushed("promote", "m@3", "--to", "production", "--json")
    said = json.loads(done.out)
    assert (said["reference"], said["stage"], said["previous_stage"], said["changed"], said["archived"]) == (
        "m@3",
        "Archived",
        "Archived",
        True,
        [],
    )
    assert {key: said[key] for key in ("stage", "status", "updated_at")} == {
        key: json.loads(pushed("show", "m@3", "--json").out)[key] for key in ("stage", "status", "updated_at")
    }
    assert pushed("promote", "m@3", "--to", "production", "-q").out == ""
    assert pushed("show", "m@production", "-q").out == "m@1\n"


def test_a_push_says_the_state_after_a_hook_rolled_it_back(pushed: Mreg) -> None:
    pushed("promote", "m@1", "--to", "production")
    hooks(ROLL_BACK)
    Path("model").write_text("4")
    done = pushed("push", "model", "-n", "m", "--stage", "production", "--json")
    assert (done.code, json.loads(done.out)["stage"]) == (1, "Archived")
    assert "rolled back: m@1 is in Production again\n" in done.err
    assert "replaced it" not in done.err
    hooks("{name: deploy, stage: Production, command: ['false']}")  # which keeps the change
    Path("model").write_text("5")
    done = pushed("push", "model", "-n", "m", "--stage", "production", "--json")
    assert (done.code, json.loads(done.out)["stage"], json.loads(done.out)["status"]) == (1, "Production", "failed")
    assert "m@1 is archived: m@5 replaced it in Production\n" in done.err


@pytest.mark.parametrize(
    ("first", "second", "stage", "status"),
    [
        ("'true', on_failure: rollback", "'true'", "Production", "deployed"),
        ("'true', on_failure: rollback", "'false'", "Production", "failed"),
        ("'true'", "'false', on_failure: rollback", "Archived", None),
        ("'false', on_failure: rollback", "'true'", "Archived", None),
        ("'false'", "'true', on_failure: rollback", "Production", "failed"),
    ],
)
def test_of_several_hooks_the_failed_one_decides(
    first: str, second: str, stage: str, status: str | None, pushed: Mreg
) -> None:
    pushed("promote", "m@1", "--to", "production")
    one, two = (text.split(",", 1) if "," in text else (text, "on_failure: keep") for text in (first, second))
    hooks(
        f"{{name: one, stage: Production, command: [{one[0]}], {one[1]}}}",
        f"{{name: two, stage: Production, command: [{two[0]}], {two[1]}}}",
    )
    done = pushed("promote", "m@2", "--to", "production", "--json")
    said = json.loads(done.out)
    assert (done.code, said["stage"]) == (0 if status == "deployed" else 1, stage)
    if status is not None:
        assert (said["status"], said["archived"]) == (status, ["m@1"])
    shown = json.loads(pushed("show", "m@2", "--json").out)
    assert {key: said[key] for key in shown} == shown


def test_every_result_is_the_state_after_the_hooks(pushed: Mreg) -> None:
    """The hook tags the version or model of each event, by a command of its own."""
    tag = f"{sys.executable} -m mreg tag $MREG_REFERENCE seen=$MREG_EVENT"
    actions = (
        "model.registered", "model.edited", "model.renamed", "version.pushed", "version.edited", "version.stage_changed",
        "version.approved", "version.evaluated", "alias.set", "alias.removed",
    )  # fmt: skip
    # A command of a hook runs mreg without hooks, or it would set itself off for ever.
    hooks(f"{{name: tag, on: [{', '.join(actions)}], env: [PYTHONPATH], command: [sh, -c, '{tag}']}}")
    settings = Path("config.yaml").read_text()
    assert "hooks" in settings
    Path("model").write_text("4")
    for words, action in (
        (["register", "other"], "model.registered"),
        (["edit", "other", "--description", "x"], "model.edited"),
        (["tag", "other", "a=b"], "model.edited"),
        (["push", "model", "-n", "m"], "version.pushed"),
        (["edit", "m@1", "--description", "x"], "version.edited"),
        (["promote", "m@1"], "version.stage_changed"),
        (["evaluate", "m@1", "--metric", "auc=0.9"], "version.evaluated"),
        (["alias", "m@1", "champion"], "alias.set"),
    ):
        done = pushed(*words, "--json")
        assert (done.code, json.loads(done.out)["tags"].get("seen")) == (0, action), (words, done.err)


def test_a_decision_says_the_state_after_the_hooks(pushed: Mreg) -> None:
    pushed("promote", "m@1", "--to", "production")
    move = f"{sys.executable} -m mreg promote $MREG_REFERENCE --to archived --yes"
    hooks(f"{{name: out, on: [version.rejected], env: [PYTHONPATH], command: [sh, -c, '{move}']}}")
    done = pushed("reject", "m@1", "--reason", "biased", "--yes", "--json")
    assert (done.code, json.loads(done.out)["stage"]) == (0, "Archived"), done.err


@pytest.mark.parametrize(
    ("words", "decision"),
    [(["approve", "m@1"], "approved"), (["reject", "m@1", "--reason", "biased", "--yes"], "rejected")],
)
def test_a_decision_on_a_version_that_a_hook_deletes_is_as_it_was_made(
    pushed: Mreg, words: list[str], decision: str
) -> None:
    delete = f"{sys.executable} -m mreg delete $MREG_REFERENCE --yes"
    actions = "version.approved, version.rejected"
    hooks(f"{{name: out, on: [{actions}], env: [PYTHONPATH], command: [sh, -c, '{delete}']}}")
    done = pushed(*words, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["reference"], said["stage"], said["decision"]) == ("m@1", "None", decision)
    assert pushed("show", "m@1").code == 4


def test_a_move_of_a_version_whose_model_a_hook_deletes_is_as_it_was_made(pushed: Mreg) -> None:
    pushed("promote", "m@1", "--to", "production")
    delete = f"{sys.executable} -m mreg delete m --force --yes"
    hooks(f"{{name: out, stage: Production, env: [PYTHONPATH], command: [sh, -c, '{delete}']}}")
    done = pushed("promote", "m@2", "--to", "production", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert (said["reference"], said["stage"], said["archived"]) == ("m@2", "Production", ["m@1"])
    assert pushed("show", "m").code == 4


def test_a_plan_names_the_hooks_that_would_run(pushed: Mreg) -> None:
    hooks("{name: deploy, stage: Production, command: ['true']}", "{name: try, stage: Staging, command: ['true']}")
    for stage, expected in (("production", ["deploy"]), ("staging", ["try"]), ("archived", [])):
        done = pushed("promote", "m@1", "--to", stage, "--plan", "--json")
        assert (done.code, json.loads(done.out)["hooks"]) == (0, expected), done.err
    assert pushed("promote", "m@1", "--to", "staging").code == 0
    done = pushed("promote", "m@1", "--to", "staging", "--plan", "--json")
    assert json.loads(done.out)["hooks"] == []  # it stays there


def test_a_hook_never_rolls_staging_back_to_the_version_in_production(pushed: Mreg) -> None:
    pushed("promote", "m@1", "--to", "staging")
    pushed("promote", "m@1", "--to", "production")
    hooks("{name: try, stage: Staging, on_failure: rollback, command: ['false']}")
    done = pushed("promote", "m@2", "--to", "staging", "--json")
    assert (done.code, json.loads(done.out)["stage"], json.loads(done.out)["status"]) == (1, "Staging", "failed")
    assert "m@2 in Staging could not be rolled back: cannot take m@1 out of Production" in done.err
    assert "the change was made before" in done.err
    assert pushed("show", "m@production", "-q").out == "m@1\n"


COMMANDS = {
    "does not exist": ("[/no/such/program]", None, "cannot run /no/such/program: No such file or directory"),
    "is no program": ("[./config.yaml]", None, "cannot run ./config.yaml: Permission denied"),
    "hangs": ("[sleep, '100']", None, "timed out after 1 s"),
    "ignores SIGTERM": (
        "[sh, -c, 'trap \"\" TERM; echo deaf; while :; do sleep 1; done']",
        None,
        "timed out after 1 s",
    ),
    "dies": ("[sh, -c, 'kill -9 $$']", -9, ""),
    "does not read": ("[sh, -c, 'exec 0<&-; echo fine; exit 3']", 3, "fine"),
    "prints a lot": (
        "[sh, -c, 'head -c 300000000 /dev/zero | tr \"\\\\0\" x; echo; echo the end; exit 1']",
        1,
        "the end",
    ),
    "prints escapes": ("[sh, -c, 'printf \"\\\\033[2Jx\\\\n\"; exit 1']", 1, "\x1b[2Jx"),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_a_command_can_not_hold_mreg_up_or_harm_it(what: str, pushed: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_module, "TERMINATION_SECONDS", 0.5)
    words, outcome, output = COMMANDS[what]
    seconds = 60 if what == "prints a lot" else 1
    hooks(f"{{name: deploy, stage: Production, timeout: {seconds}, command: {words}}}")
    done = pushed("promote", "m@1", "--to", "production")
    assert done.code == 1
    (deployment,) = told(pushed)
    assert (deployment["status"], deployment["outcome"]) == ("failed", outcome)
    assert deployment["output"].splitlines()[-1:] == output.splitlines()
    assert len(deployment["output"]) < 9_000
    assert "\x1b" not in done.err + pushed("deployments", "m").out


def test_what_a_killed_promote_set_off_is_run_by_the_next(pushed: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks("{name: deploy, stage: Production, command: [sh, -c, 'echo $MREG_DEPLOYMENT $MREG_REFERENCE >> log']}")
    with monkeypatch.context() as dying:
        dying.setattr(deploy_module, "deliver", lambda _session: ())
        assert pushed("promote", "m@1", "--to", "production").code == 0
    assert [one["status"] for one in told(pushed)] == ["pending"]
    assert json.loads(pushed("show", "m@1", "--json").out)["status"] == "deploying"
    assert pushed("deploy", "--pending").code == 0
    assert pushed("deploy", "--pending").out.count("\n") == 1
    assert [line.split()[1] for line in Path("log").read_text().splitlines()] == ["m@1"]
    assert [one["status"] for one in told(pushed)] == ["deployed"]


def test_a_hook_whose_process_was_killed_is_run_again_under_the_same_key(pushed: Mreg, process: Mreg) -> None:
    hooks("{name: deploy, stage: Production, command: [sh, -c, 'echo $MREG_DEPLOYMENT >> log; [ -e go ] || sleep 60']}")
    running = subprocess.Popen([sys.executable, "-m", "mreg", "promote", "m@1", "--to", "production"])
    while not Path("log").exists():
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert pushed("show", "m@production", "-q").out == "m@1\n"
    Path("go").touch()
    assert pushed("deploy", "--pending").out.count("\n") == 1  # it may still be alive
    raw = sqlite3.connect("catalog.db")
    with raw:
        raw.execute("UPDATE deployments SET claimed_until = '2026-01-01T00:00:00.000000Z'")
    raw.close()
    assert process("tag", "m@2", "a=b").code == 0  # any change by one who has the hook
    keys = Path("log").read_text().split()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert [(one["status"], one["attempts"]) for one in told(pushed)] == [("deployed", 2)]


def test_who_does_not_have_the_hook_does_not_run_it(pushed: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks("{name: deploy, stage: Production, command: [touch, ran]}")
    with monkeypatch.context() as dying:
        dying.setattr(deploy_module, "deliver", lambda _session: ())
        pushed("promote", "m@1", "--to", "production")
    hooks("{name: another, stage: Production, command: ['true']}")
    assert pushed("deploy", "--pending").code == 0
    assert not Path("ran").exists()
    assert [one["status"] for one in told(pushed)] == ["pending"]
    done = pushed("deploy", "m@2")
    assert (done.code, done.err.splitlines()[0]) == (1, "error: cannot run hooks for m@2: it has not entered a stage")


def test_what_a_hook_changes_sets_nothing_off(pushed: Mreg) -> None:
    command = f"{sys.executable} -m mreg tag m@1 n=$MREG_DEPLOYMENT; echo x >> log"
    hooks(f"{{name: loop, on: [version.edited, version.stage_changed], command: [sh, -c, '{command}']}}")
    assert pushed("promote", "m@1").code == 0
    assert Path("log").read_text() == "x\n"
    assert [one["status"] for one in told(pushed)] == ["deployed"]


def test_a_project_file_can_not_have_hooks(pushed: Mreg) -> None:
    Path("mreg.yaml").write_text("hooks: [{stage: Production, command: [touch, ran]}]\n")
    done = pushed("promote", "m@1", "--to", "production")
    assert done.code == 2
    assert "hooks is not allowed in a project file" in done.err
    assert not Path("ran").exists()


def test_two_processes_run_a_hook_once(pushed: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks("{name: deploy, stage: Production, command: [sh, -c, 'echo x >> log; sleep 0.5']}")
    with monkeypatch.context() as dying:
        dying.setattr(deploy_module, "deliver", lambda _session: ())
        pushed("promote", "m@1", "--to", "production")
    running = [subprocess.Popen([sys.executable, "-m", "mreg", "deploy", "--pending", "-q"]) for _ in range(4)]
    assert [one.wait(60) for one in running] == [0, 0, 0, 0]
    assert Path("log").read_text() == "x\n"


# Webhooks


class Receiver:
    """A server that answers as a test says, and keeps what it got."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Callable[[BaseHTTPRequestHandler], object] = lambda handler: _say(handler, 200, b"thanks")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
                receiver.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"


def _say(handler: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_a_webhook_is_signed_as_the_convention_says(
    pushed: Mreg, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = base64.b64encode(b"0123456789abcdef01234567").decode()
    monkeypatch.setenv("HOOK_SECRET", f"whsec_{secret}")
    hooks(f"{{stage: Production, webhook: '{receiver.url}/hook?x=1', secret_env: HOOK_SECRET}}")
    assert pushed("promote", "m@1", "--to", "production").code == 0
    ((path, headers, body),) = receiver.got
    assert path == "/hook?x=1"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(base64.b64decode(secret), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    assert json.loads(body)["data"]["reference"] == "m@1"
    (deployment,) = told(pushed)
    assert (deployment["hook"], deployment["outcome"], deployment["output"]) == ("127.0.0.1", 200, "thanks")
    assert secret not in Path("catalog.db").read_bytes().decode("latin-1")


def test_a_webhook_is_tried_again_with_the_same_id(pushed: Mreg, receiver: Receiver) -> None:
    hooks(f"{{name: w, stage: Production, webhook: '{receiver.url}'}}")
    receiver.answer = lambda handler: _say(handler, 503 if len(receiver.got) < 3 else 204)
    assert pushed("promote", "m@1", "--to", "production").code == 0
    assert len(receiver.got) == 3
    assert len({(headers["webhook-id"], body) for _, headers, body in receiver.got}) == 1


def _drip(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b".")
        handler.wfile.flush()
        time.sleep(0.05)


ANSWERS: dict[str, tuple[Callable[[BaseHTTPRequestHandler], object], int | None, str]] = {
    "refuses": (lambda handler: _say(handler, 400, b"no"), 400, "no"),
    "redirects": (lambda handler: _say(handler, 302, b"", Location="file:///etc/passwd"), 302, "it redirects"),
    "elsewhere": (lambda handler: _say(handler, 307, b"", Location="http://169.254.169.254/"), 307, "it redirects"),
    "garbage": (lambda handler: handler.wfile.write(b"what?\r\n\r\n"), None, "cannot reach it"),
    "hangs": (lambda _handler: time.sleep(5), None, "no response in time"),
    "hangs up": (lambda handler: handler.connection.close(), None, "cannot reach it"),
    "a lot": (lambda handler: _say(handler, 400, b"x" * 50_000_000), 400, "xxxx"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_a_receiver_can_not_hold_mreg_up_or_lead_it_astray(what: str, pushed: Mreg, receiver: Receiver) -> None:
    receiver.answer, outcome, words = ANSWERS[what]
    hooks(f"{{name: w, stage: Production, timeout: 2, webhook: '{receiver.url}'}}")
    done = pushed("promote", "m@1", "--to", "production")
    assert done.code == 1
    (deployment,) = told(pushed)
    assert (deployment["status"], deployment["outcome"]) == ("failed", outcome)
    assert words in deployment["output"]
    assert len(deployment["output"]) < 9_000
    assert all(path == "/" for path, _, _ in receiver.got)


def test_an_answer_that_drips_is_not_waited_for(pushed: Mreg, receiver: Receiver) -> None:
    receiver.answer = _drip
    hooks(f"{{name: w, stage: Production, timeout: 2, webhook: '{receiver.url}'}}")
    assert pushed("promote", "m@1", "--to", "production").code == 0  # it ends, and the answer does not


def test_a_secret_that_is_not_set_is_told_and_nothing_is_sent(pushed: Mreg, receiver: Receiver) -> None:
    hooks(f"{{name: w, stage: Production, webhook: '{receiver.url}', secret_env: NOT_SET}}")
    done = pushed("promote", "m@1", "--to", "production")
    assert (done.code, "the environment variable NOT_SET with the secret is not set" in done.err) == (1, True)
    assert receiver.got == []


WRONG = [
    ("x", "hooks must be a list"),
    (["x"], "a hook must be a mapping"),
    ([{}], "a command or a webhook"),
    ([{"stage": "Production", "command": "rm -rf /"}], "must be a list of words"),
    ([{"stage": "Production", "command": ["a"], "webhook": "https://x"}], "a command or a webhook"),
    ([{"command": ["a"]}], "needs a stage or an action"),
    ([{"stage": "X", "command": ["a"]}], ""),
    ([{"on": "version.pushd", "command": ["a"]}], "invalid action 'version.pushd' in a hook"),
    ([{"stage": "Production", "comand": ["a"]}], "unknown key 'comand' in a hook"),
    ([{"stage": "Production", "command": ["a"], "timeout": 0}], "timeout of the hook a"),
    ([{"stage": "Production", "command": ["a"], "timeout": "nan"}], "timeout of the hook a"),
    ([{"stage": "Production", "command": ["a"], "on_failure": "cry"}], "on_failure of the hook a"),
    ([{"stage": "Production", "webhook": "file:///etc/passwd"}], "begins with https://"),
    ([{"stage": "Production", "webhook": "https://u:p@x"}], "contains a user name or password"),
    ([{"stage": "Production", "webhook": "https://x y"}], "begins with https://"),
    (
        [{"stage": "Production", "command": ["a"], "secret_env": "s3cr3t!"}],
        "must be the name of an environment variable",
    ),
    ([{"stage": "Production", "command": ["a"], "name": "../x"}], "invalid hook name '../x'"),
    ([{"stage": "Production", "command": ["a\0b"]}], "NUL"),
    ([{"stage": "Production", "command": ["a"]}] * 2, "duplicate hook name 'a'"),
    ([{"stage": "Production", "command": ["a"]}] * 51, "too many hooks: 51"),
]


@pytest.mark.parametrize(("document", "words"), WRONG)
def test_a_hook_that_makes_no_sense_is_refused(document: object, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_hooks(document, "/x")
    assert words in caught.value.message


def test_a_broken_hook_is_told_with_file_and_line_and_changes_nothing(pushed: Mreg) -> None:
    hooks("{stage: Prodction, command: [a]}")
    done = pushed("promote", "m@1", "--to", "production")
    assert done.code == 2
    assert "config.yaml, line 6:" in done.err
    assert pushed("show", "m@1", "--profile", "local").code == 2


def test_the_python_api_gives_the_hooks_that_ran(pushed: Mreg) -> None:
    hooks("{name: deploy, stage: Production, command: ['false']}")
    log = mreg.HookLog()
    with mreg.open_registry(catalog="catalog.db", hook_log=log) as registry:
        change = registry.promote("m@1", to="Production")
        assert change.changed
        assert change.version == registry.version("m@1")
        assert change.version.status.value == "failed"
        assert [run.status.value for run in log.deployments] == ["failed"]
