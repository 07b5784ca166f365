"""What a reference names, and what each kind of reference that names nothing is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

import mreg
from mreg.domain.events import time_text
from mreg.domain.names import ModelName, VersionRef
from mreg.errors import Corrupt
from mreg.registry.references import as_name, as_reference, find_with_note, model_now, naming_version, version_now


@pytest.fixture
def registry(tmp_path: Path) -> mreg.Registry:
    """``churn`` with versions 1 to 4, of which 2 is deleted; ``empty``; and ``bare`` with a version without metrics."""
    opened = mreg.open_registry(user="ann")
    for number, accuracy in enumerate((0.9, 0.8, 0.7, 0.6), 1):
        Path("file").write_text(str(number))
        opened.push("file", name="churn", metrics={"accuracy": accuracy})
    opened.delete("churn@2")
    opened.promote("churn@3", to="production")
    opened.set_alias("churn@3", "champion")
    opened.register("empty")
    opened.push("file", name="bare")
    return opened


NOTHING: dict[str, tuple[str, str]] = {
    "chrun": ("model 'chrun' not found", "did you mean churn?"),
    "xyzzy": ("model 'xyzzy' not found", "list the models: mreg list"),
    "latest": ("model 'latest' not found", "for a version, write NAME@latest, or @latest of the default model"),
    "7": ("model '7' not found", "for a version, write NAME@7, or @7 of the default model"),
    "x/9": ("model 'x/9' not found", "list the models: mreg list"),
    "empty": ("empty has no versions", "mreg push PATH --name empty"),
    "empty@7": ("empty has no versions", "mreg push PATH --name empty"),
    "churn@7": ("churn has no version 7", "list the versions: mreg show churn"),
    "churn/7": ("churn has no version 7", "list the versions: mreg show churn"),
    "churn@staging": ("no version of churn is in Staging", "mreg promote churn@latest --to Staging"),
    "churn@archived": ("no version of churn is in Archived", "list the versions: mreg show churn"),
    "bare@production": ("no version of bare is in Production", "mreg promote bare@latest --to Production"),
    "churn@production~1": (
        "Production of churn has no version that far back: production~1", "show the earlier versions: mreg history churn",
    ),
    "churn@latest~9": ("no version is 9 back from churn@latest", "list the versions: mreg show churn"),
    "churn@3~2": ("no version is 2 back from churn@3", "list the versions: mreg show churn"),
    "churn@champion~5": ("no version is 5 back from churn@champion", "list the versions: mreg show churn"),
    "churn@champoin": ("churn has no alias 'champoin'", "did you mean churn@champion?"),
    "churn@lates": ("churn has no alias 'lates'", "did you mean churn@latest?"),
    "churn@zzz": ("churn has no alias 'zzz'", "list the versions: mreg show churn"),
    "bare@best": ("bare has no best version: it has no primary metric", "mreg edit bare --primary-metric METRIC"),
    f"churn@sha256:{'0' * 64}": (f"no version of churn has the digest sha256:{'0' * 64}", "list the versions: mreg show churn"),
}  # fmt: skip


def test_a_reference_to_nothing_is_answered_with_the_next_step(registry: mreg.Registry) -> None:
    for reference, expected in NOTHING.items():
        with pytest.raises(mreg.NotFound) as caught:
            registry.version(reference)
        assert (caught.value.message, caught.value.hint) == expected
        kind = "model" if caught.value.message.startswith("model ") else "version"
        assert caught.value.details["kind"] == kind
        if kind == "version":
            name, _, selector = reference.replace("/", "@").partition("@")
            assert caught.value.details["name"] == name
            assert caught.value.details["selector"] == (selector or "latest")


def test_the_best_version_needs_a_direction_and_a_version_with_the_metric(registry: mreg.Registry) -> None:
    registry.edit("bare", primary_metric="novelty")
    with pytest.raises(mreg.NotFound) as caught:
        registry.version("bare@best")
    assert caught.value.message == "bare has no best version: the direction of the metric novelty is unknown"
    assert caught.value.hint == "mreg edit bare --direction novelty=higher"
    registry.edit("bare", primary_metric="accuracy")
    with pytest.raises(mreg.NotFound) as caught:
        registry.version("bare@best")
    assert caught.value.message == "no version of bare has its primary metric 'accuracy'"
    assert caught.value.hint == "mreg edit bare --primary-metric METRIC"


def test_a_model_whose_versions_are_archived_has_no_latest_one(registry: mreg.Registry) -> None:
    registry.promote("bare@1", to="archived")
    with pytest.raises(mreg.NotFound) as caught:
        registry.version("bare")
    assert caught.value.message == "bare has no latest version: all versions are archived"
    assert registry.version("bare@1").version == 1


def test_a_deleted_version_and_a_renamed_model_are_named(registry: mreg.Registry) -> None:
    deleted = next(event for event in registry.history("churn") if event.action == "version.deleted")
    with pytest.raises(mreg.NotFound) as caught:
        registry.version("churn@2")
    assert caught.value.message == f"churn has no version 2: ann deleted it at {time_text(deleted.at)}"
    assert caught.value.hint == "mreg history churn@2"
    assert (caught.value.details["name"], caught.value.details["selector"]) == ("churn", "2")
    with pytest.raises(mreg.NotFound, match=r"^no version is 1 back from churn@2$"):
        registry.version("churn@2~1")
    registry.rename("churn", "loss")
    with pytest.raises(mreg.NotFound) as caught:
        registry.version("churn@1")
    assert (caught.value.message, caught.value.hint) == ("model 'churn' not found", "it was renamed to loss")


NOTES = {
    "churn@3": "",
    "churn": "churn is churn@4",
    "churn@latest": "churn@latest is churn@4",
    "churn@production": "churn@production is churn@3",
    "churn@champion": "churn@champion is churn@3",
    "churn@best": "churn@best is churn@1",
    "churn/1": "churn/1 is churn@1",
}


def test_a_reference_without_a_number_is_told_with_it(registry: mreg.Registry) -> None:
    registry.edit("churn", primary_metric="accuracy")
    read = registry._session.catalog.read  # type: ignore[attr-defined]
    for reference, expected in NOTES.items():
        version, note = read(lambda reader, one=reference: find_with_note(reader, VersionRef.parse(one)))
        assert note == expected
        assert str(version.version) in (note or reference)


def test_the_latest_version_is_told_with_the_archived_ones_after_it(registry: mreg.Registry) -> None:
    registry.promote("churn@4", to="archived")
    newer = registry.model("churn").newer_archived
    assert newer
    read = registry._session.catalog.read  # type: ignore[attr-defined]
    for reference in ("churn", "churn@latest"):
        note = read(lambda reader, one=reference: find_with_note(reader, VersionRef.parse(one)))[1]
        assert note == f"{reference} is churn@3; {newer}"
    note = read(lambda reader: find_with_note(reader, VersionRef.parse("churn@champion")))[1]
    assert note == "churn@champion is churn@3"


def test_every_value_of_a_registry_is_a_reference_and_a_name(registry: mreg.Registry) -> None:
    version, model = registry.version("churn@3"), registry.model("churn")
    for value, text in (
        ("churn@3", "churn@3"),
        (VersionRef.parse("churn@best"), "churn@best"),
        (ModelName("churn"), "churn"),
        (version, "churn@3"),
        (model, "churn"),
    ):
        assert str(as_reference(value)) == text
    for name in ("churn", ModelName("churn"), version, model):
        assert as_name(name) == ModelName("churn")
    for convert, what in ((as_reference, "reference"), (as_name, "model name")):
        with pytest.raises(mreg.BadInput) as caught:
            convert(3)  # type: ignore[arg-type]
        assert caught.value.message == f"invalid {what} of type int"
        assert caught.value.hint == "pass a text, or a version or model of a registry"


def test_a_version_that_was_passed_is_found_after_a_rename_and_is_no_other(registry: mreg.Registry) -> None:
    version = registry.version("churn@3")
    registry.rename("churn", "loss")
    assert str(registry.version(version).reference) == "loss@3"
    Path("file").write_text("other")
    for _ in range(3):
        registry.push("file", name="churn")
    assert str(registry.version(version).reference) == "loss@3"
    with mreg.open_registry(catalog=str(Path("other.db").absolute())) as other:
        for _ in range(3):
            other.push("file", name="churn")
        with pytest.raises(mreg.NotFound) as caught:
            other.version(version)
        assert caught.value.message == (
            f"churn@3 of this registry is another version: expected {version.artifact.digest}, "
            f"got {other.version('churn@3').artifact.digest}"
        )
        assert caught.value.hint == "mreg show churn@3"


def test_the_state_of_a_deleted_version_or_model_is_the_last_one_known(registry: mreg.Registry) -> None:
    read = registry._session.catalog.read  # type: ignore[attr-defined]
    version, model = registry.version("churn@4"), registry.model("churn")
    registry.promote("churn@4", to="staging")
    registry.edit("churn", description="new")
    assert read(lambda reader: version_now(reader, version)).stage.value == "Staging"
    assert read(lambda reader: model_now(reader, model)).description == "new"
    registry.delete("churn", force=True)
    assert read(lambda reader: version_now(reader, version)) == version
    assert read(lambda reader: model_now(reader, model)) == model


def test_an_error_about_damaged_bytes_names_the_version_if_there_is_one() -> None:
    for reference, message in ((VersionRef.parse("churn@3"), "churn@3: damaged"), (None, "damaged")):
        with pytest.raises(Corrupt) as caught, naming_version(reference):
            raise Corrupt("damaged", hint="push again", digest="d")
        assert (caught.value.message, caught.value.hint) == (message, "push again")
        assert caught.value.details == {"digest": "d"} | ({"reference": "churn@3"} if reference else {})
