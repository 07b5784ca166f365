"""A hook's command receives a documented minimum of variables, and no secret of the process that runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from mreg.domain.hook import parse_hooks
from mreg.errors import BadInput
from mreg.hooks.run import PASSED
from tests.conftest import Mreg

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "aws-secret",
    "PGPASSWORD": "pg-secret",
    "MREG_WEBHOOK_SECRET": "webhook-secret",
    "MREG_SERVER_TOKENS": "tokens-secret",
    "GITHUB_TOKEN": "github-secret",
    "MREG_MODEL": "of-a-push",
    "DEPLOY_KEY": "asked-for",
}
DUMP = "import json, os; json.dump(dict(os.environ), open('env.json', 'w'))"


@pytest.fixture
def pushed(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> Mreg:
    """m@1 in a catalog of a profile whose hook dumps its environment; secrets are in this process's environment."""
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_CTYPE", "C.UTF-8")
    monkeypatch.delenv("MREG_SERVER_TOKENS")
    Path("config.yaml").write_text(
        "default: other\nprofiles:\n  other: {catalog: other.db}\n  here:\n    catalog: catalog.db\n    hooks:\n"
        f"      - {{name: dump, stage: Production, env: [DEPLOY_KEY, NOT_SET], command: {json.dumps([sys.executable, '-c', DUMP])}}}\n"
        "      - {name: chat, on: version.rejected, webhook: 'http://127.0.0.1:9/', secret_env: MREG_WEBHOOK_SECRET}\n"
    )
    Path("model").write_text("1")
    assert command("--config", "config.yaml", "--profile", "here", "push", "model", "-n", "m").code == 0
    monkeypatch.setenv("MREG_SERVER_TOKENS", SECRETS["MREG_SERVER_TOKENS"])
    return command


def check(found: dict[str, str]) -> None:
    folder = str(Path.cwd())
    assert not set(SECRETS.values()) - {"asked-for"} & set(found.values())
    others = {name for name in found if not name.startswith(("MREG_", "LC_"))} - PASSED
    others -= {"PWD", "OLDPWD", "SHLVL", "_", "__CF_USER_TEXT_ENCODING"}  # what programs set themselves
    assert others == {"DEPLOY_KEY"}
    assert found["LC_CTYPE"] == "C.UTF-8"
    assert {name: found[name] for name in found if name.startswith("MREG_")} == {
        "MREG_EVENT": "version.stage_changed", "MREG_HOOK": "dump", "MREG_DEPLOYMENT": found["MREG_DEPLOYMENT"],
        "MREG_REFERENCE": "m@1", "MREG_VERSION": "1", "MREG_STAGE": "Production", "MREG_EVENT_MODEL": "m",
        "MREG_PROFILE": "here", "MREG_CONFIG": f"{folder}/config.yaml", "MREG_USER": found["MREG_USER"],
        "MREG_CATALOG": f"{folder}/catalog.db", "MREG_ARTIFACTS": f"{folder}/artifacts",
    }  # fmt: skip


def test_the_environment_of_a_hook_of_the_command_line_holds_no_secret(pushed: Mreg) -> None:
    assert pushed("--config", "config.yaml", "--profile", "here", "promote", "m@1", "--to", "production").code == 0
    check(json.loads(Path("env.json").read_text()))


def test_the_environment_of_a_hook_of_the_server_holds_no_secret(pushed: Mreg, tmp_path: Path) -> None:
    log = tmp_path / "log"
    made = json.loads(pushed("--json", "token", "create", "ci", "--role", "writer", "--line").out)
    words = ["--config", "config.yaml", "--profile", "here", "serve", "--port", "0"]
    variables = {**os.environ, "MREG_SERVER_TOKENS": made["line"]}
    with log.open("wb") as stream:
        server = subprocess.Popen([sys.executable, "-m", "mreg", *words], stdout=stream, stderr=stream, env=variables)
    try:
        while not (found := re.search(r" at (http://\S+),", log.read_text())):
            assert server.poll() is None, log.read_text()
            time.sleep(0.05)
        request = Request(
            f"{found[1]}/models/m/versions/1/transition",
            json.dumps({"stage": "Production"}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {made['secret']}"},
        )
        assert urlopen(request, timeout=60).status == 200
    finally:
        server.terminate()
        server.wait(60)
    environment = json.loads(Path("env.json").read_text())
    assert made["line"] not in environment.values()
    check(environment)


def test_the_mreg_commands_of_a_hook_find_the_same_registry(pushed: Mreg) -> None:
    text = Path("config.yaml").read_text()
    line = f"{sys.executable} -m mreg show $MREG_REFERENCE --json > shown.json"
    Path("config.yaml").write_text(re.sub(r"command: .*}", f"command: [sh, -c, '{line}']}}", text, count=1))
    assert pushed("--config", "config.yaml", "--profile", "here", "promote", "m@1", "--to", "production").code == 0
    assert json.loads(Path("shown.json").read_text())["stage"] == "Production"


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ([{"stage": "Production", "command": ["a"], "env": ["TOKEN=x"]}], "invalid variable name 'TOKEN=x' in env"),
        ([{"stage": "Production", "command": ["a"], "env": {"TOKEN": "x"}}], "env of a hook must be a list of strings"),
        ([{"stage": "Production", "webhook": "https://x", "env": ["TOKEN"]}], "env applies only to a command"),
        (
            [
                {"stage": "Production", "command": ["a"], "env": ["KEY"]},
                {"stage": "Production", "webhook": "https://x", "secret_env": "KEY"},
            ],
            "env of the hook a lists KEY, the secret_env of the hook x",
        ),
    ],
)
def test_an_impossible_env_is_refused(documents: list[object], words: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_hooks(documents, "/x")
    assert words in caught.value.message
