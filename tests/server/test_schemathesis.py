"""A machine that reads the OpenAPI document and tries what it allows and what it does not: no answer is a 5xx."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import FULL
from tests.server.conftest import Served
from tests.server.test_schemas import fill

EXAMPLES = 60 if FULL else 8

KNOWN = """
[parameters]
"path.model" = "classifier"
"path.version" = ["1", "2", "latest", "production"]
"path.repo" = "classifier"
"path.revision" = ["1", "main", "production"]
"path.path" = "model.pkl"
"""
"""Parts of paths that name something, so that what lies behind them is tried as well."""


@pytest.mark.parametrize("config", ["", KNOWN], ids=["anything", "what is there"])
def test_schemathesis_finds_no_failure_of_the_server(server: Served, tmp_path: Path, config: str) -> None:
    fill(server)
    (tmp_path / "schemathesis.toml").write_text(config)
    spared = ["--exclude-method", "DELETE", "--exclude-path-regex", "rename"] if config else []
    done = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"), "run", f"{server.url}/openapi.json", "--checks",
            "not_a_server_error", "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "7",
            "--suppress-health-check", "all", "--no-color", "--request-timeout", "30", *spared,
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    assert "Traceback" not in server.log.read_text()
    lines = server.lines()
    assert len(lines) > 500
    assert not [line for line in lines if (line["status"] or 500) >= 500]
