"""The lowest allowed version of each dependency works and has no known advisory."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FULL, ROOT
from tests.environments import installed, lowest_environment, requirements

FIXED = {
    "fastapi": "0.109.1",  # CVE-2024-24762
    "h11": "0.16.0",  # CVE-2025-43859
    "jinja2": "3.1.6",  # CVE-2025-27516
    "python-multipart": "0.0.31",  # CVE-2026-53540
    "pyyaml": "5.4",  # CVE-2020-14343
    "starlette": "1.3.1",  # CVE-2026-54283
    "urllib3": "2.7.0",  # CVE-2026-44431
    "uvicorn": "0.11.7",  # CVE-2020-7695
}
"""The first version of each without a known advisory, where there ever was one."""

SHARE = (
    "test_api.py::test_the_eight_routes_keep_their_paths_keys_and_statuses",
    "test_api.py::test_the_openapi_document_names_every_route_with_its_answers",
    "test_api.py::test_errors_are_problems_with_the_codes_and_hints_of_the_command_line",
    "test_api.py::test_an_upload_keeps_everything_that_is_said_of_it",
    "test_api.py::test_a_policy_holds_over_http_as_everywhere",
    "test_api.py::test_lists_come_in_pages_that_name_the_next",
    "test_api.py::test_health_and_metrics_are_told",
    "test_download.py::test_ranges_are_given_as_http_has_them",
    "test_download.py::test_an_entity_tag_is_the_checksum_and_is_heeded",
    "test_page.py::test_every_link_of_every_page_leads_somewhere",
    "test_page.py::test_what_a_page_says_is_what_the_registry_has",
    "test_upload.py::test_a_form_that_is_not_taken_leaves_nothing",
    "test_upload.py::test_fields_may_come_before_and_behind_the_file_and_in_the_query",
    "test_upload.py::test_bytes_of_every_size_come_back_as_they_were",
)
SERVER_TESTS = (
    "test_schemas.py",
    *(("test_api.py", "test_download.py", "test_page.py", "test_upload.py") if FULL else SHARE),
    "test_safety.py::test_what_is_no_request_is_refused_and_the_server_goes_on",
    "test_safety.py::test_pages_of_other_origins_may_not_ask",
    "test_safety.py::test_a_role_may_do_what_its_place_allows_and_no_more",
    "test_safety.py::test_a_server_that_is_told_to_stop_ends_well",
)
NOT_HERE = "bucket or memory"
"""Left out there: tests that need another server, and the longest one."""


def parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def test_each_dependency_has_a_lower_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    everything = [
        *project["build-system"]["requires"],
        *requirements(),
        *project["project"]["optional-dependencies"]["test"],
    ]
    for one in everything:
        if not one.startswith("mreg["):
            assert re.match(r"[A-Za-z0-9._-]+(\[[a-z]+\])?(>=|~=|==)\d", one), one


def test_no_lower_bound_allows_a_version_with_a_known_advisory() -> None:
    bounds = dict(
        re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?>=([\d.]+)", "\n".join(requirements()), re.MULTILINE | re.IGNORECASE)
    )
    for name, version in FIXED.items():
        assert parts(bounds[name]) >= parts(version)[: len(parts(bounds[name]))], name
        assert (*parts(bounds[name]), 0, 0) >= parts(version), name


def run(python: Path, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([str(python), *words], capture_output=True, text=True, check=False, env=env, **options)


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_the_commands_and_the_server_work_with_the_lowest_versions(tmp_path: Path) -> None:
    python = lowest_environment()
    found = installed(python)
    for name, version in FIXED.items():
        assert parts(found[name]) >= parts(version), name
    (tmp_path / "model.pkl").write_bytes(b"x")
    for command in (
        ("--version",),
        ("push", "model.pkl", "-n", "m", "--accuracy", "0.9"),
        ("promote", "m@1"),
        ("list",),
        ("show", "m@1", "--json"),
        ("history", "m"),
        ("pull", "m@1", "out.pkl"),
        ("verify",),
        ("doctor",),
        ("serve", "--help"),
    ):
        done = run(python, "-W", "error", "-m", "mreg", *command, cwd=tmp_path, timeout=60)
        assert done.returncode == 0, (command, done.stderr)
    done = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", f"not ({NOT_HERE})",
        *(f"tests/server/{name}" for name in SERVER_TESTS), cwd=ROOT, timeout=800,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]


def test_the_signature_of_requests_overrides_only_public_methods_of_botocore() -> None:
    from mreg.stores.boto import Signer

    own = {name for name in vars(Signer) if not name.startswith("__")}
    assert own == {"payload"}
