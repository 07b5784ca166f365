"""A registry that is limited to some models: nothing of the others can be seen or changed, whatever is asked."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import mreg
from mreg.catalog.statements import _FOLDER, statement
from mreg.domain.model import ModelStage
from mreg.domain.names import ModelName, VersionRef
from mreg.domain.policy import Policy, parse_policy
from mreg.domain.scope import EVERYTHING, ModelScope
from mreg.errors import BadInput, MregError, NotFound, OutsideScope
from mreg.registry.local import LocalRegistry
from mreg.wire import encode
from tests.places import catalogs_of
from tests.scoped import ABSENT, HIDDEN, INSIDE, SCOPE, World, copied_world, new_world, versions_of

LATER = "2100-01-01"


@pytest.fixture(params=["file", "postgresql"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[World]:
    catalog = catalogs_of(request.param, request, monkeypatch, tmp_path)()
    with mreg.open_registry(catalog=catalog, artifacts=str(tmp_path / "artifacts")) as registry:
        assert isinstance(registry, LocalRegistry)
        made = (
            copied_world(request.getfixturevalue("template"), registry)
            if request.param == "file"
            else new_world(registry)
        )
        yield made
        registry.verify_audit()


def _reads(registry: LocalRegistry) -> Iterator[object]:
    """Yield the result of every operation that reads."""
    yield registry.models()
    yield registry.models(limit=2)
    yield list(registry.completions(""))
    yield list(registry.completions("zz"))
    yield list(registry.completions(f"{HIDDEN}@"))
    yield list(registry.metric_names())
    yield list(registry.metric_names("zz"))
    for words in ("", "metrics.accuracy > 0", "name like '%e%'", "stage = 'None'", "not metrics.accuracy > 0.5"):
        for sort in (None, "-metrics.accuracy", "name", "created_at", "size_bytes"):
            yield registry.search(words, sort=sort)
    yield registry.search(f"name = '{HIDDEN}' or tags.zz-hidden-tag = 'zz-hidden-value'")
    yield registry.history()
    yield registry.approvals()
    yield registry.policy()
    yield registry.check_policy(Policy())
    for name in INSIDE:
        yield registry.model(name)
        yield registry.show(name)
        yield registry.history(name)
        yield registry.stages_at(name, LATER)
        yield registry.policy(name)
        yield registry.deployments(name)
        yield registry.check_policy(parse_policy({"Staging": {"gates": ["accuracy > 0.1"]}}), name)
        yield list(registry.completions(f"{name}@"))
    versions = versions_of(registry, INSIDE)
    for version in versions:
        yield version
        for read in (registry.lineage, registry.why, registry.plan, registry.history, registry.files):
            try:
                yield read(version)
            except MregError as error:
                yield [error.message, error.hint, dict(error.details)]
        yield registry.compare(versions[0], version)
        yield registry.verify(version)


def test_nothing_that_a_limited_registry_reads_shows_another_model(world: World) -> None:
    seen = [json.dumps(_plain(result)) for result in _reads(world.limited)]
    assert len(seen) > 60
    for text in seen:
        assert not world.leaks(text), text
    whole = [json.dumps(_plain(result)) for result in _reads(world.whole)]
    assert sum(bool(world.leaks(text)) for text in whole) > 30  # the canaries are found where they are


def _plain(result: object) -> object:
    if isinstance(result, (list, dict)):
        return result
    return encode(result)


def test_notices_do_not_show_other_models(world: World) -> None:
    notices: list[str] = []
    registry = world.whole.acting_as("limited", notices.append, scope=SCOPE)
    for _ in _reads(registry):
        pass
    registry.search("metrics.zz_hid > 1")
    registry.show("team-a/churn@latest")
    Path("m").write_text("shared")
    registry.push("m", name="team-a/churm")
    registry.push("m", name="team-a/fraud")
    assert notices
    assert not world.leaks("\n".join(notices))


def test_pages_and_counts_are_those_of_the_visible_models(world: World) -> None:
    limited = world.limited
    assert [str(found.model.name) for found in limited.models()] == ["team-a/moved", "team-a/fraud", "team-a/churn"]
    first = limited.models(limit=3)
    assert len(first) == 3 and not first.more
    assert limited.models(limit=2).more and not limited.models(limit=2, offset=1).more
    everything = limited.search()
    assert {version.model_name.value for version in everything} == set(INSIDE)
    assert len(everything) == len(versions_of(limited, INSIDE)) == 6
    pages = [version.reference for start in range(7) for version in limited.search(limit=1, offset=start)]
    assert pages == [version.reference for version in everything]
    assert not limited.search(limit=6).more and limited.search(limit=5).more
    events = limited.history()
    assert {event.model for event in events} == {*INSIDE, "team-a/deleted"}
    paged = [event.seq for start in range(len(events)) for event in limited.history(limit=1, offset=start)]
    assert paged == [event.seq for event in events]
    assert list(limited.metric_names()) == ["accuracy", "auc"]
    assert set(world.whole.metric_names()) > {"zz_hidden_metric"}


def test_lineage_ends_at_a_version_outside(world: World) -> None:
    churn = world.limited.lineage("team-a/churn@1")
    assert churn.version.parent is None and churn.parents == ()
    assert [str(node.reference) for node in churn.children] == ["team-a/churn@2"]
    assert churn.children[0].related == ()  # fraud@2 is a child of a hidden version again
    fraud = world.limited.lineage("team-a/fraud@1")
    assert fraud.version.parent is None and fraud.parents == () and fraud.children == ()
    assert [str(node.reference) for node in world.whole.lineage("team-a/fraud@1").parents] == ["zz-hidden/child@1"]


def _of_hidden(name: str, path: Path) -> list[tuple[str, Callable[[LocalRegistry], object]]]:
    """Return every operation on a model, or on a version of it."""
    one = f"{name}@1"
    inside = "team-a/churn@1"
    return [
        ("model", lambda r: r.model(name)),
        ("version", lambda r: r.version(one)),
        ("alias", lambda r: r.version(f"{name}@zz-hidden-alias")),
        ("slash", lambda r: r.version(f"{name}/1")),
        ("mlflow", lambda r: r.version(f"models:/{name}/1")),
        ("show", lambda r: r.show(name)),
        ("show version", lambda r: r.show(one)),
        ("history", lambda r: r.history(name)),
        ("version history", lambda r: r.history(one)),
        ("history of a deleted version", lambda r: r.history(f"{name}@2")),
        ("stages at", lambda r: r.stages_at(name, LATER)),
        ("version at", lambda r: r.version_at(f"{name}@staging", LATER)),
        ("lineage", lambda r: r.lineage(one)),
        ("why", lambda r: r.why(one)),
        ("plan", lambda r: r.plan(one)),
        ("compare", lambda r: r.compare(one, inside)),
        ("compare with", lambda r: r.compare(inside, one)),
        ("files", lambda r: r.files(one)),
        ("file", lambda r: r.file(one)),
        ("pull", lambda r: r.pull(one, path / "out")),
        ("stream", lambda r: r.stream(one, io.BytesIO())),
        ("locate", lambda r: r.locate(one)),
        ("verify", lambda r: r.verify(name)),
        ("verify version", lambda r: r.verify(one)),
        ("verify copy", lambda r: r.verify_copy("model.pkl", one)),
        ("wait", lambda r: r.wait(one, timeout=0.01)),
        ("revision", lambda r: r.revision(VersionRef.parse(one).name, "main")),
        ("export", lambda r: r.export(name, path / "out.mreg")),
        ("policy", lambda r: r.policy(name)),
        ("apply policy", lambda r: r.apply_policy(Policy(), name)),
        ("remove policy", lambda r: r.apply_policy(None, name)),
        ("check policy", lambda r: r.check_policy(Policy(), name)),
        ("deployments", lambda r: r.deployments(name)),
        ("deploy", lambda r: r.deploy(one)),
        ("promote", lambda r: r.promote(one, "Production")),
        ("archive", lambda r: r.archive(one)),
        ("rollback", lambda r: r.rollback(name)),
        ("roll back to", lambda r: r.rollback("team-a/moved", to=one)),
        ("approve", lambda r: r.approve(one)),
        ("reject", lambda r: r.reject(one, reason="bad")),
        ("withdraw", lambda r: r.withdraw_decision(one)),
        ("set alias", lambda r: r.set_alias(one, "champion")),
        ("remove alias", lambda r: r.remove_alias(name, "zz-hidden-alias")),
        ("tag", lambda r: r.tag(name, add={"a": "b"})),
        ("tag version", lambda r: r.tag(one, add={"a": "b"})),
        ("untag", lambda r: r.tag(one, remove=["zz-hidden-tag"])),
        ("edit", lambda r: r.edit(name, description="x")),
        ("edit version", lambda r: r.edit(one, description="x")),
        ("parent", lambda r: r.edit(inside, parent=one)),
        ("evaluate", lambda r: r.evaluate(one, {"accuracy": 0.99})),
        ("delete", lambda r: r.delete(name, force=True)),
        ("delete dry run", lambda r: r.delete(name, force=True, dry_run=True)),
        ("delete version", lambda r: r.delete(one, force=True)),
        ("rename", lambda r: r.rename(name, "team-a/taken")),
        ("rename to", lambda r: r.rename("team-a/churn", name)),
        ("register", lambda r: r.register(name)),
        ("push", lambda r: r.push("model.pkl", name=name)),
        ("push onto", lambda r: r.push("model.pkl", name=name, existing=True)),
        ("push with parent", lambda r: r.push("model.pkl", name="team-a/churn", parent=one)),
        ("plan push", lambda r: r.plan_push("model.pkl", name=name, existing=True)),
    ]


def _answer(call: Callable[[LocalRegistry], object], registry: LocalRegistry, name: str) -> tuple[Any, ...]:
    notices: list[str] = []
    with pytest.raises(MregError) as caught:
        call(registry.acting_as("limited", notices.append))
    error = caught.value
    answer = json.dumps([type(error).__name__, error.message, error.hint, dict(error.details), notices])
    return type(error), answer.replace(name, "NAME")


def test_every_operation_on_a_hidden_model_answers_as_for_no_model(world: World, tmp_path: Path) -> None:
    Path("model.pkl").write_text("new")
    before = (world.whole.history(limit=1)[0].seq, world.whole.show(HIDDEN))
    for (what, on_hidden), (_, on_absent) in zip(
        _of_hidden(HIDDEN, tmp_path), _of_hidden(ABSENT, tmp_path), strict=True
    ):
        kind, answer = _answer(on_hidden, world.limited, HIDDEN)
        assert (kind, answer) == _answer(on_absent, world.limited, ABSENT), what
        assert kind is (OutsideScope if what in ("register", "push", "rename to") else NotFound), (what, answer)
    assert (world.whole.history(limit=1)[0].seq, world.whole.show(HIDDEN)) == before


def test_former_names_say_nothing(world: World) -> None:
    for name in ("zz-hidden/moved", "team-a/gone", "zz-hidden/deleted"):
        with pytest.raises(NotFound) as caught:
            world.limited.model(name)
        assert "renamed" not in caught.value.hint
        assert not world.leaks(caught.value.hint)
    with pytest.raises(NotFound, match="not found") as whole:
        world.whole.model("zz-hidden/moved")
    assert whole.value.hint == "it was renamed to team-a/moved"


def test_a_version_object_from_elsewhere_opens_no_hidden_model(world: World) -> None:
    secret = world.whole.version(f"{HIDDEN}@1")
    for read in (world.limited.version, world.limited.lineage, world.limited.why, world.limited.history):
        with pytest.raises(NotFound) as caught:
            read(secret)
        assert caught.value.message == f"model '{HIDDEN}' not found"


def test_a_name_outside_is_refused_with_the_pattern(world: World) -> None:
    with pytest.raises(OutsideScope) as caught:
        world.limited.register("team-b/new")
    assert caught.value.message == "cannot register team-b/new: you are limited to the models team-a/*"
    assert caught.value.hint == "choose a name that matches team-a/*"
    assert caught.value.details == {"models": ["team-a/*"]}
    with pytest.raises(OutsideScope) as caught:
        ModelScope(("team-a/*", "churn")).check_name(ModelName("team-b/new"), "register")
    assert caught.value.message == "cannot register team-b/new: you are limited to the models team-a/*, churn"
    with pytest.raises(OutsideScope, match="cannot rename team-a/churn to team-b/churn: you are limited"):
        world.limited.rename("team-a/churn", "team-b/churn")
    world.limited.rename("team-a/churn", "team-a/churn-2")
    world.limited.register("team-a/new")


WHOLE: list[tuple[str, Callable[[LocalRegistry], object]]] = [
    ("verify the audit trail", lambda r: r.verify_audit()),
    ("collect garbage", lambda r: r.gc(grace=timedelta(0), remove=True)),
    ("examine the registry", lambda r: r.examine()),
    ("check the registry", lambda r: r.check()),
    ("back up the catalog", lambda r: r.backup("backup.db")),
    ("restore a backup", lambda r: r.restore("backup.db")),
    ("upgrade the catalog", lambda r: r.upgrade()),
]
BY_MODEL: list[tuple[str, str, Callable[[LocalRegistry], object]]] = [
    ("verify the artifacts of all models", "mreg verify team-a/NAME", lambda r: r.verify()),
    ("run the pending deployments of all models", "mreg deploy team-a/NAME@production", lambda r: r.deploy()),
    ("change the default policy", "mreg policy apply FILE --model team-a/NAME", lambda r: r.apply_policy(Policy())),
    ("change the default policy", "mreg policy remove --model team-a/NAME", lambda r: r.apply_policy(None)),
]
"""Operations on the whole registry with the command that does the same for one model."""


@pytest.mark.parametrize("world", ["file"], indirect=True)
def test_operations_on_the_whole_registry_need_all_models(world: World) -> None:
    before = world.whole.history(limit=1)
    for action, command, call in (*((action, "", call) for action, call in WHOLE), *BY_MODEL):
        with pytest.raises(OutsideScope) as caught:
            call(world.limited)
        assert caught.value.message == f"cannot {action}: you are limited to the models team-a/*"
        other = f"for one model: {command}\nor " if command else ""
        assert caught.value.hint == f"{other}use a token for all models"
    assert world.whole.history(limit=1) == before
    assert not Path("backup.db").exists()


@pytest.mark.parametrize("world", ["file"], indirect=True)
def test_a_hidden_parent_stays_when_other_fields_change(world: World) -> None:
    world.limited.edit("team-a/churn@1", description="new")
    world.limited.tag("team-a/churn@1", add={"a": "b"})
    assert str(world.whole.version("team-a/churn@1").parent) == f"{HIDDEN}@1"
    changed = world.limited.edit("team-a/churn@1", parent="")
    assert changed.parent is None  # type: ignore[union-attr]
    assert world.whole.version("team-a/churn@1").parent is None
    assert world.whole.history(limit=1)[0].details["parent"] == [f"{HIDDEN}@1", ""]  # the audit trail is true
    assert world.limited.history(limit=1)[0].details["parent"] == ["", ""]


@pytest.mark.parametrize("world", ["file"], indirect=True)
def test_a_cycle_through_a_hidden_version_is_refused(world: World) -> None:
    with pytest.raises(MregError, match="cannot be the parent of team-a/churn@1: it is a descendant") as caught:
        world.limited.edit("team-a/churn@1", parent="team-a/fraud@1")
    assert not world.leaks(caught.value.message + caught.value.hint)


@pytest.mark.parametrize("world", ["file"], indirect=True)
def test_bytes_that_a_hidden_version_has_are_kept_and_not_told(world: World) -> None:
    version = world.limited.version("team-a/fraud@2")
    assert version.artifact.artifact_id == 0
    with world.limited.open_upload() as upload:
        upload.write(b"hidden 1")
        new = world.limited.push_upload(upload, "m", "team-a/churn", mreg.VersionMetadata())
    assert new.artifact.artifact_id == 0  # an old number would show that another model has these bytes
    world.limited.delete("team-a/fraud@2", force=True)
    world.limited.delete(new, force=True)
    world.whole.gc(grace=timedelta(0), remove=True)
    for number in (1, 3):
        assert not world.whole.verify(f"{HIDDEN}@{number}").problems


@pytest.mark.parametrize("world", ["file"], indirect=True)
def test_the_events_of_a_limited_registry_are_whole_but_not_linked(world: World) -> None:
    for event in world.limited.history():
        assert event.previous == "0" * 64
        assert event.hash not in world.hashes
    mine = world.whole.history("team-a/churn")
    shown = world.limited.history("team-a/churn")
    assert [(event.seq, event.action, event.version) for event in mine] == [
        (event.seq, event.action, event.version) for event in shown
    ]
    assert world.limited.stages_at("team-a/moved", LATER).stages == {ModelStage.PRODUCTION: (1,)}
    assert world.limited.why("team-a/moved@1").entered.model == "team-a/moved"  # type: ignore[union-attr]


@pytest.mark.parametrize("world", ["file"], indirect=True)
def test_an_exported_model_can_be_imported(world: World, tmp_path: Path) -> None:
    for name in INSIDE:
        bundle = world.limited.export(name, tmp_path / f"{name.replace('/', '-')}.mreg").destination
        assert not world.leaks(Path(bundle).read_bytes().decode("latin-1"))
        with mreg.open_registry(catalog=str(tmp_path / "other.db"), artifacts=str(tmp_path / "other")) as other:
            assert [version.already_there for version in other.import_bundle(bundle).versions].count(True) == 0
            assert all(version.already_there for version in other.import_bundle(bundle).versions)
        with pytest.raises(OutsideScope):
            world.limited.import_bundle(bundle, "team-b/copy")


def test_a_limited_registry_stays_limited(world: World) -> None:
    for again in (world.limited.acting_as("other"), world.limited.acting_as("other", scope=EVERYTHING)):
        assert again.scope == SCOPE
        with pytest.raises(NotFound):
            again.model(HIDDEN)
    with pytest.raises(BadInput, match="the registry is limited to the models team-a/"):
        world.limited.acting_as("other", scope=ModelScope(("zz-hidden/*",)))
    assert world.whole.acting_as("other", scope=ModelScope(("*",))).model(HIDDEN)


OF_ONE_MODEL = {
    *(f"models.{name}" for name in "by_name by_id given_up".split()),
    *(f"versions.{name}" for name in (
        "by_number by_id of_model in_stage latest below last_in_stage exists by_alias alias_history "
        "stage_history stage_moves stage_entries was_in_stage by_digest best_high best_low has_metric "
        "metrics_of_version parameters_of_version tags_of_version aliases_of_version parent descendants ancestors "
        "artifact"
    ).split()),
    *(f"events.{name}" for name in "of_model of_model_newest_first of_version of_version_newest_first using "
        "stage_entered by_seq link last_move last deletion".split()),
    *(f"deployments.{name}" for name in "of_model by_id by_key counts count open".split()),
    *("policies.of", "policies.decisions"),
}  # fmt: skip
"""Statements on a model, version, artifact or event that its caller found within the scope, or that hooks use."""

OF_ALL_MODELS = {
    *("versions.with_artifact", "versions.staged", "versions.artifacts_after", "versions.newest_artifacts"),
    *("versions.metric_names", "events.after", "writes.find", "removals.any", "removals.of", "removals.stuck"),
    *(
        "tokens.any",
        "tokens.by_digest",
        "tokens.by_name",
        "tokens.names",
        "tokens.usable",
        "tokens.count",
        "tokens.any_active",
        "requests.of",
    ),
}
"""Statements that only unlimited readers use, that are part of composed ones, or that concern no model."""


def test_every_statement_that_reads_is_marked_or_listed() -> None:
    names = {
        f"{file.stem}.{line.removeprefix('-- name: ').strip()}"
        for file in Path(_FOLDER).glob("*.sql")
        for line in file.read_text().splitlines()
        if line.startswith("-- name: ")
    }
    reading = {name for name in names if statement(name).lstrip().startswith(("SELECT", "WITH"))}
    marked = {name for name in reading if " within */" in statement(name)}
    assert reading - marked == OF_ONE_MODEL | OF_ALL_MODELS


COMPOSED = {"copying.py", "models.py", "reader.py", "scoped.py", "search.py", "stored_artifacts.py", "summaries.py"}
"""Modules that compose statements: each selects by ids of rows that were found, has the scope, or is for the whole."""


def test_every_module_that_composes_statements_is_known() -> None:
    modules = Path(_FOLDER).parent.glob("*.py")
    assert {module.name for module in modules if ".query(" in module.read_text()} == COMPOSED
