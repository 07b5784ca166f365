"""Contract tests of catalogs, for every database."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import operator
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mreg.catalog.catalog import Catalog
from mreg.catalog.database import Database
from mreg.catalog.policies import Policies, PolicyWriter
from mreg.catalog.reader import Reader
from mreg.catalog.requests import RECENT, Requests, RequestWriter, StoredRequest
from mreg.catalog.tokens import Tokens, TokenWriter
from mreg.catalog.writer import Writer
from mreg.domain.digest import Digest
from mreg.domain.events import first_broken
from mreg.domain.expression import FIELDS, And, Compare, Expression, Field, FieldKind, Missing, Not, Or, Sort
from mreg.domain.metadata import VersionMetadata
from mreg.domain.model import ArtifactKind, ModelArtifact, ModelStage, ModelVersion, RegisteredModel, Source
from mreg.domain.names import ModelName, Selector
from mreg.domain.scope import ModelScope
from mreg.errors import AlreadyExists, BadInput, Conflict, NotFound
from mreg.results.tokens import Role, Token, TokenInfo

T = TypeVar("T")

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
M = ModelName("m")


def artifact(number: int = 1) -> ModelArtifact:
    """Return a file artifact with size and digest derived from a number."""
    digest = Digest.sha256(f"{number:064x}")
    return ModelArtifact(
        kind=ArtifactKind.FILE, name="m.pkl", path="", size_bytes=number, digest=digest, format="pickle"
    )


def push(writer: Writer, name: str = "m", number: int = 1, **fields: Any) -> ModelVersion:
    """Add a version to a model, and register the model if it does not exist."""
    model = writer.model(ModelName(name)) or writer.register(name=ModelName(name))
    names = {field.name for field in dataclasses.fields(VersionMetadata)} & fields.keys()
    metadata = VersionMetadata(**{name: fields.pop(name) for name in names})
    return writer.add_version(model, artifact=artifact(number), metadata=metadata, **fields)


class CatalogContract(abc.ABC):
    """Contract of `Catalog`, `Reader` and `Writer`."""

    @abc.abstractmethod
    def database(self, folder: Path) -> Database:
        """Return a new, empty database; the folder is empty and exists until the end of the test."""

    @pytest.fixture
    def catalog(self, tmp_path: Path) -> Iterator[Catalog]:
        """Yield an empty catalog; the audit chain is verified at the end."""
        catalog = Catalog(self.database(tmp_path), lambda digest: f"store:/{digest.value}")
        yield catalog
        assert first_broken(catalog.read(lambda reader: reader.events(newest_first=False))) is None
        catalog.close()

    def write(self, catalog: Catalog, fn: Callable[[Writer], T], at: datetime = AT) -> T:
        """Run a function in one write transaction."""
        return catalog.write(fn, actor="me", at=at)

    def test_statements_of_a_scope_see_the_models_that_its_patterns_match(self, catalog: Catalog) -> None:
        names = ("a", "A", "ab", "a_b", "axb", "a-b", "a.b", "aXb", "a/b", "A/b", "a/b/c", "a/b_c", "a/bxc", "b", "b/a")
        self.write(catalog, lambda writer: [push(writer, name, metrics={name: 1.0}) for name in names])
        pieces = ("a", "b", "A", "_", ".", "-", "/", "*", "?", "x", "c")
        chosen = random.Random(7)
        scopes = [ModelScope((name,)) for name in names]
        while len(scopes) < 150:
            with contextlib.suppress(BadInput):
                patterns = [
                    "".join(chosen.choices(pieces, k=chosen.randint(1, 5))) for _ in range(chosen.randint(1, 3))
                ]
                scopes.append(ModelScope(tuple(patterns)))

        def look(reader: Reader) -> None:
            for scope in scopes:
                limited = Reader(reader.connection, lambda digest: digest.value, scope)
                allowed = sorted(name for name in names if scope.allows(name))
                assert sorted(str(found.model.name) for found in limited.models()) == allowed, scope
                assert list(limited.model_names()) == allowed, scope
                assert list(limited.metric_names()) == allowed, scope
                assert sorted(str(version.model_name) for version in limited.search(None)) == allowed, scope
                assert sorted({event.model for event in limited.events()}) == allowed, scope

        catalog.read(look)

    def test_models_read_together_equal_models_read_singly(self, catalog: Catalog) -> None:
        def fill(writer: Writer) -> None:
            for number in range(230):
                name = f"m{number}"
                writer.register(
                    name=ModelName(name),
                    tags={"n": name},
                    directions={"cost": "lower"},
                    primary_metric="cost" if number % 3 == 0 else "",
                )
                for version in range(number % 4):
                    metrics = {"cost": version, "f1_score": version / 2} if number % 2 else {"auc": version / 4}
                    made = push(writer, name, number * 5 + version + 1, metrics=metrics if number % 5 else {})
                    if version < 2:
                        writer.change_stage(made, (ModelStage.PRODUCTION, ModelStage.STAGING)[version])
                    if version == 1:
                        writer.set_alias(made, "champ")

        self.write(catalog, fill)

        def look(reader: Reader) -> None:
            summaries = reader.models()
            assert len(summaries) == 230
            assert reader.models(limit=7) == summaries[:7]
            for summary in summaries:
                model = summary.model
                assert model == reader.model(model.name)
                assert summary.metric == reader.primary_metric(model)
                for value, version in (
                    (summary.latest_value, model.latest_version),
                    (summary.production_value, model.production_version),
                ):
                    found = reader.version(model, version) if version else None
                    assert value == (found.metrics.get(summary.metric) if found else None)

        catalog.read(look)

    def test_a_request_is_found_by_its_key_and_its_caller_only(self, catalog: Catalog) -> None:
        fingerprint = Digest.sha256("a" * 64)

        def ask(writer: Writer) -> int:
            version = push(writer)
            RequestWriter(writer).record_request("key", "ci", fingerprint, version.version_id)
            return version.version_id

        def record(key: str, writer: Writer) -> None:
            RequestWriter(writer).record_request(key, "ci", fingerprint, version_id)

        version_id = self.write(catalog, ask)

        def look(reader: Reader) -> list[StoredRequest | None]:
            requests = Requests(reader)
            return [requests.request(*one) for one in (("key", "ci"), ("key", "eve"), ("ci", "key"), ("Key", "ci"))]

        assert catalog.read(look) == [StoredRequest(fingerprint=fingerprint, version_id=version_id), None, None, None]
        with pytest.raises(Conflict, match="repeated idempotency key"):
            self.write(catalog, ask)
        model = catalog.read(lambda reader: reader.model(M))
        assert model is not None
        assert model.version_count == 1
        for bad in ("", " ", "a\nb", "x" * 1000):
            with pytest.raises(BadInput, match="invalid idempotency key"):
                self.write(catalog, partial(record, bad))

    def test_old_requests_are_forgotten_some_at_a_time(self, catalog: Catalog) -> None:
        fingerprint = Digest.sha256("a" * 64)

        def ask(count: int, prefix: str, writer: Writer, version_id: int = 1) -> None:
            for number in range(count):
                RequestWriter(writer).record_request(f"{prefix}{number}", "ci", fingerprint, version_id)

        def count(reader: Reader) -> int:
            return len(reader.connection.query("SELECT key FROM requests", {}))

        self.write(catalog, partial(ask, 150, "old"))
        self.write(catalog, partial(ask, 1, "day", version_id=1 + RECENT), AT + timedelta(hours=47))
        self.write(catalog, partial(ask, 1, "ahead", version_id=1 + RECENT), AT + timedelta(days=365))
        assert catalog.read(count) == 152  # by a clock that is wrong
        self.write(catalog, partial(ask, 1, "new", version_id=2 + RECENT), AT + timedelta(hours=49))
        assert catalog.read(count) == 53
        self.write(catalog, partial(ask, 1, "newer", version_id=2 + RECENT), AT + timedelta(hours=50))
        assert catalog.read(count) == 4

    def test_a_token_is_read_as_it_was_created(self, catalog: Catalog) -> None:
        token = Token(
            name="ci",
            role=Role.WRITER,
            digest=Digest.sha256("b" * 64),
            models=("team-a/*", "x"),
            expires=AT + timedelta(days=1, microseconds=7),
        )
        created = self.write(catalog, lambda writer: TokenWriter(writer).create(token))
        assert (created.name, created.created_at, created.created_by) == ("ci", AT, "me")

        def look(reader: Reader) -> None:
            tokens = Tokens(reader)
            assert tokens.by_digest(token.digest) == (token, created)
            assert tokens.by_digest(Digest.sha256("c" * 64)) is None
            assert tokens.usable() == (created,)
            assert tokens.any_active(AT)
            assert not tokens.any_active(AT + timedelta(days=2))

        catalog.read(look)
        (event,) = catalog.read(lambda reader: reader.events())
        assert (event.action, event.model, dict(event.details)) == (
            "token.created",
            "",
            {
                "token": "ci",
                "role": "writer",
                "models": ["team-a/*", "x"],
                "expires": "2026-03-02T12:00:00.000007Z",
            },
        )

    def test_a_name_is_that_of_one_active_token(self, catalog: Catalog) -> None:
        def made(digit: str, expires: datetime | None = None) -> Token:
            return Token(name="ci", role=Role.READER, digest=Digest.sha256(digit * 64), expires=expires)

        def create(token: Token, writer: Writer) -> TokenInfo:
            return TokenWriter(writer).create(token)

        self.write(catalog, partial(create, made("1", AT + timedelta(hours=1))))
        with pytest.raises(AlreadyExists, match="token 'ci' already exists"):
            self.write(catalog, partial(create, made("2")))
        self.write(catalog, partial(create, made("2")), AT + timedelta(hours=1))
        revoked = self.write(catalog, lambda writer: TokenWriter(writer).revoke("ci"), AT + timedelta(hours=2))
        assert revoked.revoked_at == AT + timedelta(hours=2)
        with pytest.raises(NotFound, match="token 'ci' was revoked already, at 2026-03-01T14:00"):
            self.write(catalog, lambda writer: TokenWriter(writer).revoke("ci"))
        with pytest.raises(NotFound, match="token 'ic' not found"):
            self.write(catalog, lambda writer: TokenWriter(writer).revoke("ic"))
        self.write(catalog, partial(create, made("3")), AT + timedelta(hours=3))

        def look(reader: Reader) -> list[datetime | None]:
            found = [Tokens(reader).by_digest(Digest.sha256(digit * 64)) for digit in "123"]
            return [one[1].revoked_at for one in found if one]

        assert catalog.read(look) == [AT + timedelta(hours=1), AT + timedelta(hours=2), None]
        assert [event.action for event in catalog.read(lambda reader: reader.events(newest_first=False))] == [
            "token.created", "token.created", "token.revoked", "token.created"
        ]  # fmt: skip

    def test_a_use_of_a_token_is_recorded_once_an_hour_and_is_no_event(self, catalog: Catalog) -> None:
        digest = Digest.sha256("b" * 64)
        token = Token(name="ci", role=Role.READER, digest=digest)
        self.write(catalog, lambda writer: TokenWriter(writer).create(token))

        def use(uses: dict[Digest, datetime], writer: Writer) -> None:
            TokenWriter(writer).record_uses(uses)

        seen = []
        for minutes in (1, 30, 60, 62):
            uses = {digest: AT + timedelta(minutes=minutes), Digest.sha256("c" * 64): AT}
            self.write(catalog, partial(use, uses))
            (info,) = catalog.read(lambda reader: Tokens(reader).usable())
            seen.append(info.last_used_at)
        first, last = AT + timedelta(minutes=1), AT + timedelta(minutes=62)
        assert seen == [first, first, first, last]
        assert len(catalog.read(lambda reader: reader.events())) == 1

    def find(self, catalog: Catalog, selector: str, name: str = "m") -> int | None:
        """Return the number of the version that a selector picks, or None."""

        def look(reader: Reader) -> int | None:
            model = reader.model(ModelName(name))
            assert model is not None
            version = reader.find(model, Selector.parse(selector))
            return version.version if version else None

        return catalog.read(look)

    def test_a_version_is_read_as_it_was_added(self, catalog: Catalog) -> None:
        source = Source(git_commit="a" * 40, git_dirty=False, environment={"python": "3.11", "größe": "ü"})
        fields: dict[str, Any] = {
            "description": "d\x1b[2J", "tags": {"b": "2", "a": "1"}, "parameters": {"lr": "0.1", "x": "[red]"},
            "metrics": {"big": 2**60 + 1, "zero": -0.0, "tiny": 1e-300, "accuracy": 0.95}, "run_id": "r",
            "experiment_id": "e", "source": source,
        }  # fmt: skip
        added = self.write(catalog, lambda writer: push(writer, **fields))
        assert isinstance(added, ModelVersion)
        assert self.find(catalog, "1") == 1
        model = catalog.read(lambda reader: reader.model(M))
        assert model is not None
        (again,) = catalog.read(lambda reader: reader.versions(model))
        assert again == added
        for name, value in fields.items():
            assert getattr(again, name) == value
        assert str(again.metrics["zero"]) == "-0.0"
        assert again.artifact.path == f"store:/{1:064x}"
        assert (again.created_at, again.created_by, again.stage) == (AT, "me", ModelStage.NONE)

    def test_version_numbers_are_consecutive_and_never_reused(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> list[int]:
            versions = [push(writer, number=number) for number in range(1, 4)]
            writer.delete_version(versions[2])
            return [*(version.version for version in versions), push(writer).version]

        assert self.write(catalog, story) == [1, 2, 3, 4]

    def test_version_numbers_continue_after_a_model_is_deleted(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> int:
            push(writer)
            push(writer)
            model = writer.model(M)
            assert model is not None
            writer.delete_model(model)
            assert writer.model(M) is None
            return push(writer).version

        assert self.write(catalog, story) == 3

    def test_a_reference_under_an_old_name_never_names_another_artifact(self, catalog: Catalog) -> None:
        def renamed(writer: Writer, name: str, to: str) -> RegisteredModel:
            model = writer.model(ModelName(name))
            assert model is not None
            return writer.rename(model, ModelName(to))

        def story(writer: Writer) -> tuple[int, int]:
            push(writer)
            push(writer)
            renamed(writer, "m", "n")
            renamed(writer, "n", "m")
            renamed(writer, "m", "n")
            return push(writer, "m").version, push(writer, "n").version

        assert self.write(catalog, story) == (3, 3)
        with pytest.raises(AlreadyExists):
            self.write(catalog, lambda writer: renamed(writer, "n", "m"))
        self.write(catalog, lambda writer: renamed(writer, "m", "o"))
        with pytest.raises(AlreadyExists) as caught:
            self.write(catalog, lambda writer: renamed(writer, "n", "m"))
        assert caught.value.message == "cannot rename n to m: another model had that name until version 3"

    def test_selectors_pick_the_right_versions(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> None:
            values = enumerate([0.5, 0.9, 0.7, 0.9, 0.1], 1)
            versions = [push(writer, number=number, metrics={"accuracy": value}) for number, value in values]
            for place in (0, 1, 2):
                writer.change_stage(versions[place], ModelStage.PRODUCTION)
                if place:
                    writer.change_stage(versions[place - 1], ModelStage.ARCHIVED)
            writer.set_alias(versions[0], "champ")
            writer.set_alias(versions[3], "champ")
            writer.change_stage(versions[4], ModelStage.ARCHIVED)

        self.write(catalog, story)
        expected = {
            "1": 1, "v2": 2, "9": None, "latest": 4, "latest~1": 3, "latest~2": None, "best": 4, "best~1": 2,
            "best~2": 1, "best~3": None, "production": 3, "production~1": 2, "production~2": 1, "production~3": None,
            "staging": None, "champ": 4, "champ~1": 1, "champ~2": None, "3~1": 2, "3~2": 1, "3~3": None, "9~1": None,
            f"sha256:{3:064x}": 3, "sha256:ffffffff": None, "other": None, "archived": 5,
        }  # fmt: skip
        assert {selector: self.find(catalog, selector) for selector in expected} == expected
        with pytest.raises(BadInput, match="5 digests of m begin with it"):
            self.find(catalog, "sha256:00000000")

    def test_a_rollback_goes_further_back_each_time(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> None:
            versions = [push(writer, number=place) for place in (1, 2, 3)]
            for place, version in enumerate(versions):
                writer.change_stage(version, ModelStage.PRODUCTION)
                if place:
                    writer.change_stage(versions[place - 1], ModelStage.ARCHIVED)

        self.write(catalog, story)

        def back(writer: Writer) -> int:
            model = writer.model(M)
            assert model is not None
            now = writer.in_stage(model, ModelStage.PRODUCTION)[0]
            before = writer.find(model, Selector.parse("production~1"))
            assert before is not None
            writer.change_stage(now, ModelStage.ARCHIVED)
            return writer.change_stage(before, ModelStage.PRODUCTION, returned=True).version

        assert [self.write(catalog, back), self.write(catalog, back)] == [2, 1]
        assert self.find(catalog, "production~1") is None

    def test_a_version_that_left_a_stage_can_be_selected(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> None:
            version = writer.change_stage(push(writer), ModelStage.PRODUCTION)
            writer.change_stage(version, ModelStage.ARCHIVED)

        self.write(catalog, story)
        assert self.find(catalog, "production") is None
        assert self.find(catalog, "production~1") == 1

    def test_deleted_versions_are_skipped(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> None:
            versions = [push(writer, number=place, parent=None) for place in (1, 2, 3)]
            child = push(writer, number=4, parent=versions[1])
            for version in versions:
                writer.change_stage(version, ModelStage.PRODUCTION)
            writer.set_alias(versions[1], "champ")
            writer.delete_version(versions[1])
            assert str(child.parent) == "m@2"

        self.write(catalog, story)
        assert self.find(catalog, "production~1") == 1
        assert self.find(catalog, "3~1") == 1
        assert self.find(catalog, "champ") is None
        model = catalog.read(lambda reader: reader.model(M))
        assert model is not None
        assert (model.version_count, model.latest_version, model.aliases) == (3, 4, {})
        newest = catalog.read(lambda reader: reader.versions(model, limit=1))[0]
        assert str(newest.parent) == "m@2"
        parent = catalog.read(lambda reader: reader.parent_of(newest.version_id)) or 0
        assert catalog.read(lambda reader: reader.descendants(parent, 10)) == {parent: [newest.version_id]}
        assert catalog.read(lambda reader: reader.ancestors(newest.version_id)) == {
            newest.version_id: parent,
            parent: None,
        }

    def test_the_current_versions_of_a_stage_come_before_the_former_ones(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> list[int]:
            versions = [push(writer, number=place) for place in (1, 2, 3)]
            for version in versions:
                writer.change_stage(version, ModelStage.PRODUCTION)
            writer.change_stage(versions[2], ModelStage.ARCHIVED)
            return list(writer.last_holders(writer.reload_model(M), Selector.parse("production")))[:2]

        assert self.write(catalog, story) == [2, 1]

    def test_the_artifact_of_the_last_version_with_its_bytes_is_deleted(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> list[ModelVersion]:
            return [push(writer, number=7) for _ in range(2)]

        for version, known in zip(self.write(catalog, story), (True, False), strict=True):
            self.write(catalog, partial(Writer.delete_version, version=version))
            assert bool(catalog.read(lambda reader: reader.files_of_size(7, 1))) is known

    def test_the_event_of_a_push_has_its_data_only_if_data_is_given(self, catalog: Catalog) -> None:
        self.write(catalog, lambda writer: (push(writer), push(writer, data={"train": "s3://b/k"})))
        pushed = [
            event.details.get("data")
            for event in catalog.read(lambda reader: reader.events(newest_first=False))
            if event.action == "version.pushed"
        ]
        assert pushed == [None, {"train": "s3://b/k"}]

    def test_every_change_is_an_event(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> None:
            model = writer.register(name=M, description="d", tags={"a": "1"}, directions={"x": "lower"})
            version = push(writer)
            writer.change_stage(version, ModelStage.STAGING, reason="why")
            writer.set_alias(version, "champ")
            writer.set_alias(version, "champ")
            writer.edit_version(version, description="new", set_tags={"t": "1"})
            writer.edit_model(model, remove_tags=("a",), primary_metric="auc", directions={"x": ""})
            model = writer.rename(model, ModelName("n"))
            writer.remove_alias(model, "champ")
            writer.delete_model(model)

        self.write(catalog, story)
        events = catalog.read(lambda reader: reader.events(newest_first=False))
        assert [event.action for event in events] == [
            "model.registered", "version.pushed", "version.stage_changed", "alias.set", "version.edited",
            "model.edited", "model.renamed", "alias.removed", "version.deleted", "model.deleted",
        ]  # fmt: skip
        assert events[5].details == {
            "tags": [{"a": "1"}, {}],
            "primary_metric": ["", "auc"],
            "directions": [{"x": "lower"}, {}],
        }
        assert {event.actor for event in events} == {"me"}
        assert len({event.model_id for event in events}) == 1

    def test_metrics_of_a_version_are_added_and_replaced(self, catalog: Catalog) -> None:
        self.write(catalog, lambda writer: (push(writer, metrics={"accuracy": 0.93, "n": 2**60}), push(writer)))
        later = AT + timedelta(hours=1)

        def evaluate(writer: Writer) -> ModelVersion:
            version = self._version(writer, 1)
            metrics = {"accuracy": 0.95, "auc": 2**60 + 1}
            after, voided = writer.set_metrics(version, metrics, dataset="holdout", reason="wrong split")
            assert voided == ()
            return after

        after = self.write(catalog, evaluate, later)
        assert after.metrics == {"accuracy": 0.95, "auc": 2**60 + 1, "n": 2**60}
        assert (after.created_at, after.updated_at) == (AT, later)
        assert catalog.read(lambda reader: self._version(reader, 1)) == after
        assert catalog.read(lambda reader: self._version(reader, 2)).metrics == {}
        event = catalog.read(lambda reader: reader.events())[0]
        assert (event.action, event.version, event.details) == (
            "version.evaluated",
            1,
            {
                "metrics": {"accuracy": 0.95, "auc": 2**60 + 1},
                "replaced": {"accuracy": 0.93},
                "dataset": "holdout",
                "reason": "wrong split",
            },
        )
        self.write(catalog, lambda writer: writer.set_metrics(self._version(writer, 2), {"accuracy": 0.5}), later)
        assert catalog.read(lambda reader: reader.events())[0].details == {"metrics": {"accuracy": 0.5}}

    def test_a_replaced_metric_voids_the_approvals_of_its_version(self, catalog: Catalog) -> None:
        def story(writer: Writer) -> None:
            for number in (1, 2):
                version = push(writer, number=number, metrics={"accuracy": 0.9})
                PolicyWriter(writer).decide(version, "Production", approved=True, comment="")

        self.write(catalog, story)

        def decide(writer: Writer, target: str, approved: bool) -> None:
            PolicyWriter(writer).decide(self._version(writer, 1), target, approved=approved, comment="")

        later = AT + timedelta(minutes=1)
        catalog.write(partial(decide, target="champion", approved=True), actor="ben", at=later)
        catalog.write(partial(decide, target="Production", approved=False), actor="eve", at=later)
        _, voided = self.write(catalog, lambda writer: writer.set_metrics(self._version(writer, 1), {"auc": 0.9}))
        assert voided == ()
        _, voided = self.write(catalog, lambda writer: writer.set_metrics(self._version(writer, 1), {"accuracy": 1}))
        assert [(decision.person, decision.target) for decision in voided] == [
            ("me", "Production"),
            ("ben", "champion"),
        ]

        def left(reader: Reader, number: int) -> list[tuple[str, bool]]:
            decisions = Policies(reader).decisions_on(self._version(reader, number))
            return [(decision.person, decision.approved) for decision in decisions]

        assert catalog.read(partial(left, number=1)) == [("eve", False)]
        assert catalog.read(partial(left, number=2)) == [("me", True)]
        assert catalog.read(lambda reader: reader.events())[0].details["voided"] == [
            {"person": "me", "target": "Production"},
            {"person": "ben", "target": "champion"},
        ]

    @staticmethod
    def _version(reader: Reader, number: int) -> ModelVersion:
        model = reader.model(M)
        assert model is not None
        version = reader.version(model, number)
        assert version is not None
        return version

    def test_models_are_listed_last_changed_first(self, catalog: Catalog) -> None:
        for hour, name in enumerate(["a", "b", "c", "a"]):
            metrics = {"accuracy": 0.9 + hour / 100}
            self.write(catalog, partial(push, name=name, metrics=metrics), AT + timedelta(hours=hour))
        summaries = catalog.read(lambda reader: reader.models())
        assert [str(summary.model.name) for summary in summaries] == ["a", "c", "b"]
        assert (summaries[0].metric, summaries[0].latest_value, summaries[0].production_value) == (
            "accuracy",
            0.93,
            None,
        )
        assert len(catalog.read(lambda reader: reader.models(limit=2))) == 2

    def test_names_are_completed_and_similar_names_are_found(self, catalog: Catalog) -> None:
        for name in ("classifier", "clusterer", "ranker"):
            self.write(catalog, partial(push, name=name, metrics={f"{name}_score": 1, "accuracy": 1}))
        assert catalog.read(lambda reader: reader.model_names("cl")) == ("classifier", "clusterer")
        assert catalog.read(lambda reader: reader.near_names("clasifier"))[0] == "classifier"
        assert catalog.read(lambda reader: reader.metric_names()) == (
            "accuracy",
            "classifier_score",
            "clusterer_score",
            "ranker_score",
        )
        assert catalog.read(lambda reader: reader.metric_names("c")) == ("classifier_score", "clusterer_score")

    # Search, compared with the reference implementation `holds`

    STORY: tuple[tuple[Any, ...], ...] = (
        (
            "a",
            {"accuracy": 0.5, "loss": 2},
            {"team": "fraud"},
            {"lr": "0.1", "opt": "adam"},
            "run1",
            "Staging",
            ["champ"],
        ),
        ("a", {"accuracy": 0.9}, {"team": "mail", "draft": ""}, {"lr": "1e-1"}, "", "Production", []),
        ("b", {"loss": -1, "accuracy": 0.9}, {}, {"lr": "big"}, "run2", "None", ["best-of-b", "other"]),
        ("team/c", {}, {"team": "fraud"}, {}, "run1", "Archived", []),
        ("B", {"accuracy": 1}, {"team": "Fraud"}, {"lr": "10"}, "", "None", []),
    )

    def _add(self, number: int, row: tuple[Any, ...], writer: Writer) -> None:
        name, metrics, tags, parameters, run_id, stage, aliases = row
        version = push(writer, name, number, metrics=metrics, tags=tags, parameters=parameters, run_id=run_id)
        for alias in aliases:
            version = writer.set_alias(version, alias)
        if stage != "None":
            writer.change_stage(version, ModelStage.parse(stage))

    @pytest.fixture
    def searched(self, tmp_path: Path) -> Iterator[Catalog]:
        """Yield a catalog with the versions of `STORY`."""
        catalog = Catalog(self.database(tmp_path), lambda digest: digest.value)
        for number, row in enumerate(self.STORY, 1):
            self.write(catalog, partial(self._add, number, row), AT + timedelta(days=number))
        yield catalog
        catalog.close()

    @settings(
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors], max_examples=250
    )
    @given(where=st.deferred(lambda: expressions()), sort=st.deferred(lambda: sorts()), limit=st.integers(1, 6))
    def test_a_search_finds_what_the_expression_means(
        self, searched: Catalog, where: Expression, sort: Sort | None, limit: int
    ) -> None:
        everything = searched.read(lambda reader: reader.search(None))
        wanted = {str(version.reference) for version in everything if holds(where, version)}
        found = searched.read(lambda reader: reader.search(where, sort=sort))
        assert {str(version.reference) for version in found} == wanted
        assert len(found) == len(wanted)
        if sort is not None:
            keys = [value_of(sort.field, version) for version in found]
            present = [key for key in keys if key is not None]
            assert keys[: len(present)] == present
            if sort.field.group != "params":
                assert present == sorted(present, reverse=sort.descending)  # type: ignore[type-var]
        limited = searched.read(lambda reader: reader.search(where, sort=sort, limit=limit))
        assert limited == found[:limit]


def value_of(field: Field, version: ModelVersion) -> object:
    """Return the value of a field, None if it is missing; for aliases the first one."""
    if field.group:
        return {"metrics": version.metrics, "params": version.parameters, "tags": version.tags}[field.group].get(
            field.key
        )
    if field.key == "alias":
        return min(version.aliases, default=None)
    simple = {
        "name": str(version.model_name), "stage": version.stage.value, "status": version.status.value,
        "format": version.artifact.format, "size_bytes": version.artifact.size_bytes,
        "checksum": version.artifact.digest.value, "git_commit": version.source.git_commit,
        "git_branch": version.source.git_branch,
    }  # fmt: skip
    value = simple[field.key] if field.key in simple else getattr(version, field.key)
    if isinstance(value, datetime):
        from mreg.domain.events import time_text

        return time_text(value)
    return None if value == "" and field.kind is FieldKind.TEXT else value


def holds(where: Expression, version: ModelVersion) -> bool:
    """Return whether a version matches an expression: the reference implementation for the search."""
    if isinstance(where, And):
        return all(holds(operand, version) for operand in where.operands)
    if isinstance(where, Or):
        return any(holds(operand, version) for operand in where.operands)
    if isinstance(where, Not):
        return not holds(where.operand, version)
    if isinstance(where, Missing):
        return value_of(where.field, version) is None
    values = version.aliases if where.field == Field("", "alias") else [value_of(where.field, version)]
    return any(_compares(where, value) for value in values if value is not None)


def _compares(where: Compare, value: Any) -> bool:
    wanted: list[object] = list(where.values)
    if where.field == Field("", "alias"):  # aliases are case-insensitive
        value, wanted = str(value).lower(), [str(alias).lower() for alias in wanted]
    if where.field.group == "params" and not isinstance(wanted[0], str):
        try:
            value = float(str(value))
        except ValueError:
            return False
    if where.operator == "in":
        return value in wanted
    if where.operator == "like":
        import fnmatch

        return fnmatch.fnmatchcase(str(value).lower(), str(wanted[0]).lower().replace("%", "*").replace("_", "?"))
    first: Any = wanted[0]
    compare: dict[str, Callable[[Any, Any], bool]] = {
        "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    }  # fmt: skip
    return compare[where.operator](value, first)


FIELD = st.sampled_from(
    [
        Field("metrics", "accuracy"), Field("metrics", "loss"), Field("metrics", "none"), Field("tags", "team"),
        Field("tags", "draft"), Field("params", "lr"), Field("params", "opt"),
        *(Field("", name) for name in FIELDS if name not in ("updated_at", "deployed_at")),
    ]
)  # fmt: skip
OPERATORS = ["=", "!=", "<", "<=", ">", ">="]
TEXTS = st.sampled_from(
    [
        "fraud",
        "Fraud",
        "mail",
        "a",
        "b",
        "team/c",
        "run1",
        "run2",
        "champ",
        "other",
        "adam",
        "pickle",
        "%a%",
        "r__1",
        "",
    ]
)


@st.composite
def comparisons(draw: st.DrawFn) -> Expression:
    """Return one comparison of a field with values that occur in `STORY`."""
    field = draw(FIELD)
    if field.kind is FieldKind.NUMBER or (field.group == "params" and draw(st.booleans())):
        value: st.SearchStrategy[Any] = st.sampled_from([0.5, 0.9, 1, 2, -1, 0, 10, 0.1])
    elif field.kind is FieldKind.STAGE:
        value = st.sampled_from([stage.value for stage in ModelStage])
    elif field.kind is FieldKind.STATUS:
        value = st.sampled_from(["ready", "failed"])
    elif field.kind is FieldKind.TIME:
        value = st.sampled_from([f"2026-03-0{day}T12:00:00.000000Z" for day in range(1, 7)])
    elif field.key == "checksum":
        value = st.sampled_from([f"{number:064x}" for number in range(1, 7)])
    else:
        value = TEXTS
    kind = draw(st.sampled_from(["compare", "compare", "compare", "in", "like", "missing"]))
    if kind == "missing":
        return Missing(field)
    if kind == "in":
        return Compare(field, "in", tuple(draw(st.lists(value, min_size=1, max_size=3))))
    if kind == "like" and field.kind is FieldKind.TEXT and field.key != "checksum":
        return Compare(field, "like", (draw(TEXTS),))
    return Compare(field, draw(st.sampled_from(OPERATORS)), (draw(value),))


def expressions() -> st.SearchStrategy[Expression]:
    """Return expressions of comparisons, joined by and, or and not."""
    return st.recursive(
        comparisons(),
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, min_size=2, max_size=3).map(lambda some: And(tuple(some))),
            st.lists(inner, min_size=2, max_size=3).map(lambda some: Or(tuple(some))),
        ),
        max_leaves=5,
    )


def sorts() -> st.SearchStrategy[Sort | None]:
    """Return orders of the results, or None for the default."""
    return st.none() | st.builds(Sort, FIELD, st.booleans())
