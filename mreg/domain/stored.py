"""Checks of models, versions and events that are read from a bundle or a catalog.

The values of a push are checked on input by the same functions of `mreg.domain.text`, `mreg.domain.names` and
`mreg.domain.paths`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from mreg.domain.digest import Digest
from mreg.domain.events import Event
from mreg.domain.metrics import Direction, check_metric
from mreg.domain.model import ModelArtifact, ModelStage, ModelVersion, Source
from mreg.domain.names import LARGEST_VERSION, ModelName, check_alias
from mreg.domain.paths import check_artifact_name
from mreg.domain.text import ENTRIES_LIMIT, check_key, check_line, check_text, check_value, quoted
from mreg.errors import BadInput

SIZE_LIMIT = 2**63 - 1
"""Maximum size in bytes, and maximum of any other number in a catalog: the largest signed 64-bit integer."""

SEQ_LIMIT = 2**62
"""Maximum seq of an event; leaves room for further events."""

FILES_LIMIT = 1_000_000
"""Maximum number of files in a folder."""

FIRST_YEAR, LAST_YEAR = 1900, 2999
"""Range of years; their times can be shown in every time zone."""


def check_whole(what: str, value: object, low: int, high: int) -> int:
    """Return the value if it is an integer between two bounds, both included.

    Raises:
        BadInput: It is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise BadInput(f"{what} must be an integer from {low} to {high}")
    return value


def check_optional_line(what: str, text: str) -> str:
    """Return the text if it is empty or a line; see `mreg.domain.text.check_line`."""
    return check_line(what, text) if text else text


def check_entries(kind: str, entries: Mapping[str, str]) -> None:
    """Check parameters, tags or environment entries of a model or version.

    Raises:
        BadInput: A name or value cannot be stored, or there are too many entries.
    """
    _check_count(f"{kind}s", len(entries))
    for key, value in entries.items():
        check_value(kind, check_key(kind, key), value)


def _check_count(what: str, count: int) -> None:
    if count > ENTRIES_LIMIT:
        raise BadInput(f"too many {what}: {count}; the limit is {ENTRIES_LIMIT}")


def check_year(at: datetime) -> datetime:
    """Return the time if its year is from `FIRST_YEAR` to `LAST_YEAR`.

    Raises:
        BadInput: The year is outside this range.
    """
    if not FIRST_YEAR <= at.year <= LAST_YEAR:
        raise BadInput(f"the year {at.year} is out of range: expected {FIRST_YEAR} to {LAST_YEAR}")
    return at


def check_model(
    name: ModelName, description: str, tags: Mapping[str, str], directions: Mapping[str, str], primary_metric: str
) -> None:
    """Check the fields of a model.

    Raises:
        BadInput: A value cannot be stored in a registry.
    """
    check_text(f"description of {name}", description)
    check_entries("tag", tags)
    _check_count("directions", len(directions))
    for metric, better in directions.items():
        check_key("metric", metric)
        if Direction.parse(better).value != better:
            raise BadInput(f"invalid direction {quoted(better)}", hint="write higher or lower")
    if primary_metric:
        check_key("metric", primary_metric)


def check_version(version: ModelVersion) -> None:
    """Check the fields of a version.

    Raises:
        BadInput: A value cannot be stored in a registry.
    """
    check_whole("the number of a version", version.version, 1, LARGEST_VERSION)
    check_text("description", version.description)
    check_entries("tag", version.tags)
    check_entries("parameter", version.parameters)
    for what, held in (("metrics", version.metrics), ("data", version.data), ("aliases", version.aliases)):
        _check_count(what, len(held))
    for name, number in version.metrics.items():
        check_metric(check_key("metric", name), number)
    if version.data:
        from mreg.domain.lineage import check_data  # few versions need it

        for name, address in version.data.items():
            check_data(check_key("data", name), address)
    for alias in version.aliases:
        check_alias(alias)
    _check_artifact(version.artifact)
    check_source(version.source)
    check_optional_line("run id", version.run_id)
    check_optional_line("experiment id", version.experiment_id)
    check_line("created_by", version.created_by)


def _check_artifact(artifact: ModelArtifact) -> None:
    check_artifact_name(artifact.name)
    check_whole("the size of an artifact", artifact.size_bytes, 1, SIZE_LIMIT)
    check_whole("the number of files", artifact.file_count, 1, FILES_LIMIT)
    check_line("format", artifact.format)


def check_source(source: Source) -> Source:
    """Return the source if its fields are valid.

    Raises:
        BadInput: A text is too long or not printable, or there are too many packages.
    """
    check_entries("environment", source.environment)
    for what, line in (
        ("commit", source.git_commit),
        ("branch", source.git_branch),
        ("remote", source.git_remote),
        ("run's page", source.run_url),
    ):
        check_optional_line(what, line)
    return source


def check_event(event: Event) -> Event:
    """Return the event if its fields are valid; whether the hash matches them is not checked.

    Raises:
        BadInput: A number, text or digest is invalid.
    """
    check_whole("the seq of an event", event.seq, 1, SEQ_LIMIT)
    check_year(event.at)
    check_line("actor", event.actor)
    check_line("action", event.action)
    check_whole("the model's id", event.model_id, 0, SIZE_LIMIT)
    if event.model:
        ModelName(event.model)
    if event.version is not None:
        check_whole("the version of an event", event.version, 1, LARGEST_VERSION)
    Digest.sha256(event.previous)
    Digest.sha256(event.hash)
    return event


def check_target(target: str) -> str:
    """Return the target of a decision if it is a stage or a valid alias.

    Raises:
        BadInput: It is neither.
    """
    return target if target in _STAGES else check_alias(target)


_STAGES = frozenset(stage.value for stage in ModelStage)
