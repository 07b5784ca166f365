"""Imports from MLflow: what comes over, what a second run changes, and what happens to what cannot be read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.domain.events import first_broken
from mreg.domain.policy import parse_policy
from mreg.errors import BadInput, NotFound, Unavailable
from mreg.registry.local import LocalRegistry
from mreg.results.imports import ImportEntry, ImportReport
from tests.conftest import Mreg
from tests.mlflow_source import GAPS, ODD, VERSIONS, Server, Source
from tests.proxy import Proxy

NUMBERS = [number for number in range(1, VERSIONS + 1) if number not in GAPS]
NAMES = {"churn": "churn", "Fraud model (v2)": "Fraud_x20_model_x20__x28_v2_x29_", "prévision": "pr_xE9_vision"}


@pytest.fixture
def mine(mlflow_source: Source, tmp_path: Path) -> Source:
    """A database that the test may change; its artifacts are those of all tests."""
    return mlflow_source.copy(tmp_path / "mine")


def contents(registry: LocalRegistry) -> list[Any]:
    """Everything that a registry has, events included."""
    found = []
    for name in sorted(NAMES.values()):
        found += [registry.model(name).to_dict(), registry.show(name).to_dict(), registry.history(name).to_dicts()]
    return found


def statuses(report: ImportReport) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in report.versions:
        found[entry.status.value] = found.get(entry.status.value, 0) + 1
    return found


def entry_of(report: ImportReport, source: str) -> ImportEntry:
    (found,) = (entry for entry in report.versions if entry.source == source)
    return found


def added_to(report: mreg.ImportReport) -> set[str]:
    return {entry.source for entry in report.versions if entry.status.value == "added"}


@pytest.fixture(params=["database", "folder", "server"])
def uri(request: pytest.FixtureRequest) -> str:
    if request.param == "server":
        server: Server = request.getfixturevalue("mlflow_server")
        return server.url
    if request.param == "folder":
        return str(request.getfixturevalue("mlflow_folder"))
    source: Source = request.getfixturevalue("mlflow_source")
    return source.uri


def test_an_import_copies_everything_and_a_second_one_changes_nothing(
    registry: LocalRegistry, uri: str, tmp_path: Path
) -> None:
    progress: list[tuple[int, int]] = []
    planned = registry.import_mlflow(uri, dry_run=True)
    assert statuses(planned) == {"planned": 54}
    assert registry.models() == ()
    report = registry.import_mlflow(uri, progress=lambda done, total: progress.append((done, total)))
    expected = [(entry.source, entry.stage, entry.aliases) for entry in planned.versions]
    outcome = [(entry.source, entry.stage, entry.aliases) for entry in report.versions]
    assert [entry for entry in expected if entry[0] in added_to(report)] == [
        entry for entry in outcome if entry[0] in added_to(report)
    ]
    assert entry_of(planned, "churn/3").aliases == ("champion",)
    assert entry_of(planned, "churn/3").stage.value == "Production"
    unserved = uri.startswith("http")
    assert statuses(report) == ({"added": 53, "failed": 1} if unserved else {"added": 54})
    assert [entry.problem for entry in report.failed] == unserved * [
        "cannot read the file '100...bin': the server does not have it"
    ]
    assert progress[-1] == (54, 54)
    assert sorted(map(str, report.models)) == sorted(NAMES.values())
    for source, name in NAMES.items():
        model = registry.model(name)
        assert model.description == f"{source}: tells things apart\n"
        assert model.tags == {"team": "risk"}
        assert model.aliases == {"champion": 3, "x32_nd": 6}
        numbers = NUMBERS[:-1] if unserved and name == "churn" else NUMBERS
        assert [v.version for v in registry.show(name).versions][::-1] == numbers  # type: ignore[union-attr]
    version = registry.version("churn@3")
    assert (version.stage.value, version.metrics, version.parameters) == (
        "Production",
        {"accuracy": 0.51},
        {"lr": "0.1"},
    )
    assert (version.description, version.tags["stamp"], version.artifact.format) == ("version 3", "3", "mlflow")
    assert version.run_id and version.experiment_id
    assert registry.version("churn@staging").version == 5
    assert registry.version("churn@1").stage.value == "Archived"
    registry.pull("churn@3", tmp_path / "pulled")
    for name in ODD:
        assert (tmp_path / "pulled" / name).read_bytes() == f"churn 3 {name}".encode().ljust(100, b".")
    pushed = registry.history("churn@3")[-1]
    origin = pushed.details["imported"]
    assert isinstance(origin, dict)
    assert (origin["reference"], origin["stage"], origin["aliases"]) == ("mlflow:churn/3", "Production", ["champion"])
    assert origin["from"].endswith(uri.removeprefix("file://"))
    assert origin["created_at"] < mreg.domain.events.time_text(pushed.at)
    before = contents(registry)
    again = registry.import_mlflow(uri)
    assert statuses(again) == ({"present": 53, "failed": 1} if unserved else {"present": 54})
    assert entry_of(again, "churn/3").aliases == ("champion",)
    assert entry_of(again, "churn/3").stage.value == "Production"
    assert entry_of(again, "churn/1").stage.value == "Archived"
    assert contents(registry) == before
    assert not registry.verify().problems
    assert first_broken(registry.history(limit=10_000)[::-1]) is None


def test_the_same_registry_at_another_address_is_recognized(
    registry: LocalRegistry, mlflow_server: Server, mlflow_source: Source
) -> None:
    registry.import_mlflow(mlflow_source.uri, models=["churn"])
    assert statuses(registry.import_mlflow(mlflow_server.url, models=["churn"])) == {"present": 18}


def test_a_second_import_adds_new_versions_and_aliases_and_changes_nothing_else(
    registry: LocalRegistry, mine: Source
) -> None:
    registry.import_mlflow(mine.uri, models=["churn"])
    before = registry.version("churn@3")
    mine.execute(
        "INSERT INTO model_versions SELECT name, 21, 99, 99, 'new', user_id, 'Production', source, run_id, status, "
        "status_message, run_link, storage_location, workspace FROM model_versions WHERE name = 'churn' AND version = 20"
    )
    mine.execute("UPDATE model_versions SET current_stage = 'Archived' WHERE name = 'churn' AND version = 3")
    mine.execute("UPDATE registered_model_aliases SET version = 21 WHERE name = 'churn' AND alias = 'champion'")
    mine.execute("INSERT INTO registered_model_aliases (name, alias, version) VALUES ('churn', 'fresh', 21)")
    planned = registry.import_mlflow(mine.uri, models=["churn"], dry_run=True)
    report = registry.import_mlflow(mine.uri, models=["churn"])
    assert statuses(planned) == {"present": 17 + 1, "planned": 1}
    assert statuses(report) == {"present": 17 + 1, "added": 1}
    for entry in (entry_of(planned, "churn/21"), entry_of(report, "churn/21")):
        assert (entry.stage.value, entry.aliases) == ("None", ("fresh",))
        assert entry.left_out == (
            "stage Production: churn@3 is in it here",
            "alias champion: it names churn@3 here",
        )
    assert registry.version("churn@3") == before
    assert registry.version("churn@21").stage.value == "None"


def test_a_version_that_failed_keeps_its_number_when_a_later_import_adds_it(
    registry: LocalRegistry, mine: Source, command: Mreg
) -> None:
    mine.execute("UPDATE model_versions SET storage_location = storage_location || '-gone' WHERE version IN (2, 20)")
    done = command("import", f"mlflow:{mine.uri}", "--model", "churn", "--json")
    assert done.code == 4
    report = json.loads(done.out)
    failed = [entry for entry in report["versions"] if entry["status"] == "failed"]
    assert [(entry["source"], entry["reference"], entry["code"]) for entry in failed] == [
        ("churn/2", None, "not_found"),
        ("churn/20", None, "not_found"),
    ]
    assert json.loads(done.err)["message"].startswith("2 of 18 versions were not imported; churn/2: cannot read the ")
    assert registry.version("churn@latest").version == 19
    mine.execute("UPDATE model_versions SET storage_location = replace(storage_location, '-gone', '')")
    assert statuses(registry.import_mlflow(mine.uri, models=["churn"])) == {"present": 16, "added": 2}
    assert [v.version for v in registry.show("churn").versions][::-1] == NUMBERS  # type: ignore[union-attr]
    assert registry.push(__file__, name="churn").version == 21
    assert not registry.verify().problems
    assert all(finding.state == "fine" for finding in registry.examine())


def test_a_number_that_is_another_version_here_is_not_imported(registry: LocalRegistry, mlflow_source: Source) -> None:
    first = registry.push(__file__, name="churn")
    gone = registry.push(__file__, name="churn")
    registry.delete(gone)
    report = registry.import_mlflow(mlflow_source.uri, models=["churn"])
    assert statuses(report) == {"failed": 2, "added": 16}
    assert [(entry.problem, entry.code) for entry in report.failed] == [
        ("the number is taken: churn@1 is another version", "already_exists"),
        ("the number is taken: churn@2 was another version", "already_exists"),
    ]
    assert registry.version("churn@1") == first


def test_a_number_that_an_earlier_model_of_this_name_had_is_not_used_again(
    registry: LocalRegistry, mlflow_source: Source
) -> None:
    registry.push(__file__, name="churn")
    registry.delete("churn")
    report = registry.import_mlflow(mlflow_source.uri, models=["churn"])
    assert [entry.problem for entry in report.failed] == ["the number is taken: churn@1 is another version"]
    assert statuses(report) == {"failed": 1, "added": 17}


def test_an_imported_version_that_was_deleted_here_is_not_added_again(
    registry: LocalRegistry, mlflow_source: Source
) -> None:
    registry.import_mlflow(mlflow_source.uri, models=["churn"])
    registry.delete("churn@7")
    report = registry.import_mlflow(mlflow_source.uri, models=["churn"])
    assert statuses(report) == {"present": 17, "deleted": 1}
    assert entry_of(report, "churn/7").reference is None


def test_names_that_would_collide_after_escaping_stay_apart(registry: LocalRegistry, mine: Source) -> None:
    for table in ("model_versions", "registered_model_aliases", "registered_model_tags", "model_version_tags"):
        mine.execute(f"DELETE FROM {table} WHERE name NOT IN ('churn', 'prévision')")
    mine.execute("DELETE FROM registered_models WHERE name NOT IN ('churn', 'prévision')")
    mine.execute("PRAGMA foreign_keys = OFF")
    for table in (
        "model_versions",
        "registered_models",
        "registered_model_aliases",
        "registered_model_tags",
        "model_version_tags",
    ):
        mine.execute(f"UPDATE {table} SET name = 'a b' WHERE name = 'churn'")
        mine.execute(f"UPDATE {table} SET name = 'a_x20_b' WHERE name = 'prévision'")
    report = registry.import_mlflow(mine.uri)
    assert sorted(map(str, report.models)) == ["a_x20_b", "a_x5F_x20_b"]
    assert statuses(report) == {"added": 36}


def test_values_that_cannot_be_stored_are_left_out_and_named(
    registry: LocalRegistry, mine: Source, command: Mreg
) -> None:
    run = mine.execute("SELECT run_id FROM model_versions WHERE name = 'churn' AND version = 1")[0][0]
    for key, value, is_nan in (("nothing", 0, 1), ("a=b", 1, 0), ("kept", -0.5, 0)):
        mine.execute("INSERT INTO latest_metrics VALUES (?, ?, 0, 0, ?, ?)", key, value, is_nan, run)
    mine.execute("INSERT INTO params VALUES ('long', ?, ?)", "x" * 6000, run)
    mine.execute("INSERT INTO registered_model_aliases (name, alias, version) VALUES ('churn', 'production', 1)")
    mine.execute("INSERT INTO registered_model_tags (name, key, value) VALUES ('churn', 'a\x1bb', 'x')")
    done = command("import", f"mlflow:{mine.uri}", "--model", "churn")
    assert done.code == 0
    assert registry.version("churn@1").metrics == {"accuracy": 0.51, "kept": -0.5}
    assert [line for line in done.err.splitlines() if "left out" in line] == [
        "left out of churn: tag a\\x1bb: invalid tag name 'a\\x1bb'",
        "left out of churn@1 and 3 more: metric nothing: invalid value of the metric 'nothing': nan",
        "left out of churn@1 and 3 more: metric a=b: invalid metric name 'a=b'",
        "left out of churn@1 and 3 more: parameter long: the value of parameter 'long' has 6000 characters; the limit is "
        "5000",
        "left out of churn@1: alias production: invalid alias 'production': it has another meaning in references",
    ]


def test_a_version_whose_run_is_gone_is_imported_without_its_metrics(registry: LocalRegistry, mine: Source) -> None:
    mine.execute("UPDATE model_versions SET run_id = 'feedface' WHERE name = 'churn' AND version = 2")
    report = registry.import_mlflow(mine.uri, models=["churn"])
    assert entry_of(report, "churn/2").left_out == ("metrics and parameters: MLflow no longer has the run feedface",)
    assert registry.version("churn@2").metrics == {}


def test_the_policy_decides_about_stages_and_aliases(registry: LocalRegistry, mlflow_source: Source) -> None:
    registry.apply_policy(
        parse_policy({"Production": {"approvals": 1}, "aliases": {"champion": {"gates": ["accuracy >= 0.9"]}}})
    )
    report = registry.import_mlflow(mlflow_source.uri, models=["churn"])
    third = entry_of(report, "churn/3")
    assert [text.partition(":")[0] for text in third.left_out] == ["stage Production", "alias champion"]
    assert (third.aliases, registry.version("churn@3").stage.value) == ((), "None")


def test_an_import_that_was_killed_is_continued(registry: LocalRegistry, mlflow_source: Source, tmp_path: Path) -> None:
    killer = (
        "import os, signal\n"
        "from mreg.registry import mlflow_import\n"
        "mlflow_import.BATCH_VERSIONS = 5\n"
        "real = mlflow_import._Import._add\n"
        "def add(self, model, items, count=[]):\n"
        "    count.append(1)\n"
        "    if len(count) == 3: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(self, model, items)\n"
        "mlflow_import._Import._add = add\n"
        "from mreg.cli import app\n"
        f"app.run(['import', 'mlflow:{mlflow_source.uri}', '--model', 'churn'])\n"
    )
    done = subprocess.run([sys.executable, "-c", killer], capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert len(registry.show("churn").versions) == 10  # type: ignore[union-attr]
    assert statuses(registry.import_mlflow(mlflow_source.uri, models=["churn"])) == {"present": 10, "added": 8}
    assert [v.version for v in registry.show("churn").versions][::-1] == NUMBERS  # type: ignore[union-attr]
    assert registry.model("churn").aliases == {"champion": 3, "x32_nd": 6}


@pytest.fixture
def flaky(mlflow_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    proxy = Proxy(mlflow_server.port)
    yield proxy
    proxy.stop()


def test_a_server_that_fails_half_way_costs_the_versions_that_it_fails_for(
    registry: LocalRegistry, flaky: Proxy, command: Mreg
) -> None:
    broken = ("500 Internal Server Error", "text/html", "<h1>oh no</h1>")
    flaky.answer = lambda line: broken if "/model-7/MLmodel " in line else None
    done = command("import", f"mlflow:{flaky.endpoint}", "--model", "churn", "--format", "plain")
    assert done.code == 8
    assert "2 of 18 versions were not imported; churn/7: cannot read the file 'MLmodel'" in done.err
    assert "  the others were imported; after the cause is removed, run the command again\n" in done.err
    flaky.heal()
    assert statuses(registry.import_mlflow(flaky.endpoint, models=["churn"])) == {
        "present": 16,
        "added": 1,
        "failed": 1,
    }


def test_an_import_gives_up_on_a_server_that_keeps_failing(registry: LocalRegistry, flaky: Proxy) -> None:
    seen: list[str] = []

    def answer(line: str) -> tuple[str, str, str] | None:
        seen.append(line)
        return ("500 Internal Server Error", "text/html", "") if "mlflow-artifacts" in line and len(seen) > 40 else None

    flaky.answer = answer
    report = registry.import_mlflow(flaky.endpoint, models=["churn"])
    assert len(report.failed) > 3
    assert {entry.code for entry in report.failed} == {"unavailable"}
    assert report.failed[-1].problem == "not read, since the source failed 3 times in a row"
    assert len(seen) < 60


@pytest.mark.parametrize(
    ("place", "kind", "message"),
    [
        ("sqlite:///nowhere.db", NotFound, "the database '{here}/nowhere.db' does not exist"),
        (
            "sqlite:///other.db",
            NotFound,
            "the database '{here}/other.db' is not MLflow's: it has no table of registered models",
        ),
        ("sqlite:///text.db", Unavailable, "cannot read the database '{here}/text.db': file is not a database"),
        ("sqlite://text.db", BadInput, "invalid database 'sqlite://text.db'"),
        ("sqlite://me:hunter2@host/x.db", BadInput, "invalid database 'sqlite://***@host/x.db'"),
        ("empty", NotFound, "no MLflow registry in '{here}/empty': it has no folder named models"),
        ("file:///nowhere", NotFound, "the folder '/nowhere' does not exist"),
        ("nowhere", NotFound, "the folder '{here}/nowhere' does not exist"),
        (".", NotFound, "no MLflow registry in '{here}': it has no folder named models"),
        ("text.db", NotFound, "'{here}/text.db' is not the folder of a file store"),
        ("", BadInput, "the address of the MLflow registry is empty"),
        ("postgresql://u:secret@h/db", BadInput, "cannot import from a place of the scheme 'postgresql'"),
        ("http://ada:secret@h:1", BadInput, "the URL of a tracking server must not have a user and password"),
        ("http://h:1?x=1", BadInput, "invalid URL of a tracking server: 'http://h:1?***'"),
        ("http://", BadInput, "invalid URL of a tracking server: 'http://'"),
    ],
)
def test_a_place_that_is_no_registry_of_mlflow_is_refused_and_left_as_it_was(
    registry: LocalRegistry, place: str, kind: type[mreg.MregError], message: str
) -> None:
    import sqlite3

    sqlite3.connect("other.db").close()
    Path("text.db").write_text("text" * 1000)
    Path("empty").mkdir()
    before = sorted(os.listdir())
    with pytest.raises(kind) as caught:
        registry.import_mlflow(place)
    assert caught.value.message == message.format(here=os.getcwd())
    assert sorted(os.listdir()) == before
    assert os.listdir("empty") == []


def test_a_server_that_cannot_be_reached_is_named(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Unavailable) as caught:
        registry.import_mlflow("http://127.0.0.1:1")
    assert caught.value.message == "cannot read the registered models of http://127.0.0.1:1: Connection refused"
    assert caught.value.hint == "check the address, and that the tracking server runs"


def test_a_pattern_without_a_match_names_similar_models(registry: LocalRegistry, mlflow_source: Source) -> None:
    with pytest.raises(NotFound) as caught:
        registry.import_mlflow(mlflow_source.uri, models=["churm"])
    assert (caught.value.message, caught.value.hint) == (
        f"no model of {mlflow_source.uri} matches 'churm'",
        "similar: 'churn'",
    )


def test_a_pattern_without_a_similar_model_names_the_list(registry: LocalRegistry, mlflow_source: Source) -> None:
    with pytest.raises(NotFound) as caught:
        registry.import_mlflow(mlflow_source.uri, models=["zzzzzzzz*"])
    assert caught.value.hint == f"list the models: mreg import mlflow:{mlflow_source.uri} --dry-run"


def test_an_import_without_mlflow_names_the_extra(
    registry: LocalRegistry, mlflow_source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(BadInput) as caught:
        registry.import_mlflow(mlflow_source.uri)
    assert caught.value.message.startswith("an import from MLflow needs MLflow: ")
    assert caught.value.hint == "pip install 'mreg[mlflow]'"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mlflow:x", "--as", "y"], "--name is for imports from the Hugging Face Hub and of bundles"),
        (["mlflow:x", "--aliases"], "--aliases is for imports of bundles"),
        (["hf:x", "--aliases"], "--aliases is for imports of bundles"),
        (["hf:x", "--model", "y"], "--model is for imports from MLflow"),
        (["x.mreg", "--model", "y"], "--model is for imports from MLflow"),
        (["x.mreg", "--dry-run"], "--dry-run is for imports from MLflow and from the Hugging Face Hub"),
    ],
)
def test_options_of_the_other_kind_of_import_are_refused(command: Mreg, words: list[str], message: str) -> None:
    done = command("import", *words)
    assert (done.code, done.err) == (2, f"error: {message}\n  leave it out\n")


def test_settings_of_mlflow_are_as_before_after_an_import(registry: LocalRegistry, mlflow_source: Source) -> None:
    before = dict(os.environ)
    here = sorted(os.listdir())
    registry.import_mlflow(mlflow_source.uri, dry_run=True)
    assert dict(os.environ) == before
    assert sorted(os.listdir()) == here
