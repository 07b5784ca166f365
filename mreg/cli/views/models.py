"""Tables of models and versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mreg.cli.columns import Column, Columns
from mreg.cli.table import (
    STAGE_TONES,
    Cell,
    Items,
    Link,
    Rendering,
    Row,
    Size,
    Table,
    Toned,
    data_cell,
    one_line,
    rendering_of,
    stage_cell,
)
from mreg.cli.views import View
from mreg.domain.model import UNKNOWN_FORMAT, ModelVersion, RegisteredModel
from mreg.domain.names import ModelName
from mreg.domain.text import counted, size_text
from mreg.results.models import ModelSummary, ModelVersions

BARS = "▁▂▃▄▅▆▇█"


SUMMARIES: Columns[ModelSummary] = Columns(
    usual=(
        Column("model", lambda summary: Toned(str(summary.model.name), "strong")),
        Column(">latest", lambda summary: _latest(summary.model)),
        Column("metric", lambda summary: summary.metric or None),
        Column(">latest value", lambda summary: summary.latest_value),
        Column(">staging", lambda summary: Toned(summary.model.staging_version, STAGE_TONES["Staging"])),
        Column(">production", lambda summary: Toned(summary.model.production_version, STAGE_TONES["Production"])),
        Column(">production value", lambda summary: summary.production_value),
        Column(">versions", lambda summary: summary.model.version_count),
        Column("updated", lambda summary: summary.model.updated_at),
    ),
    more=(
        Column("created", lambda summary: summary.model.created_at),
        Column("by", lambda summary: summary.model.created_by),
        Column("aliases", lambda summary: _aliases(summary.model)),
        Column("tags", lambda summary: _mapping(summary.model.tags)),
        Column("description", lambda summary: summary.model.description),
    ),
    optional=("updated", ">versions", ">production value", ">staging", ">latest value", "metric"),
    essential=(">staging", ">latest value", "metric"),
    synonyms={"name": "model", "latest version": "latest", "production version": "production"},
    empty="no models",
)
"""The columns of a list of models."""


def summaries(values: Sequence[ModelSummary], columns: str | None = None) -> Rendering:
    """Return the table of a list of models.

    Args:
        columns: Names of columns, separated by commas (default: the usual ones).

    Raises:
        BadInput: A name is unknown.
    """
    table = SUMMARIES.table(values, columns)
    marked = any(summary.model.newer_archived and summary.model.latest_version is not None for summary in values)
    marked = marked and ">latest" in table.columns
    summary = "* newer versions are archived; mreg show NAME lists them" if marked else ""
    return Rendering(tables=(table,), flat=table, summary=summary)


def _latest(model: RegisteredModel) -> Cell | Toned:
    if not model.newer_archived:
        return model.latest_version
    if model.latest_version is None:
        return Toned(None, "dim", mark="all archived")
    return Toned(model.latest_version, "", mark="*")


def _metric_names(versions: Sequence[ModelVersion], first: str = "") -> list[str]:
    from mreg.domain.metrics import WELL_KNOWN

    names = {name for version in versions for name in version.metrics}
    known = [name for name in (first, *WELL_KNOWN) if name in names]
    return list(dict.fromkeys([*known, *sorted(names)]))


def version_columns(
    versions: Sequence[ModelVersion], primary: str = "", *, usual_only: bool = False
) -> Columns[ModelVersion]:
    """Return the columns of a list of versions.

    Args:
        primary: The metric that comes first.
        usual_only: Leave out the columns of parameters, tags and data, whose names take a while to collect.
    """
    names = _metric_names(versions, primary)
    params, tags, data = (
        sorted({name for version in versions for name in getattr(version, field)}) if not usual_only else ()
        for field in ("parameters", "tags", "data")
    )
    return Columns(
        usual=(
            Column(">version", lambda version: Toned(version.version, "strong")),
            *_usual(names),
        ),
        more=(
            Column("reference", lambda version: str(version.reference)),
            Column("model", lambda version: str(version.model_name)),
            Column("status", lambda version: version.status.value),
            Column("kind", lambda version: version.artifact.kind.value),
            Column(">files", lambda version: version.artifact.file_count),
            Column("checksum", lambda version: str(version.artifact.digest)),
            Column("description", lambda version: version.description),
            Column("run", lambda version: version.run_id),
            Column("experiment", lambda version: version.experiment_id),
            Column("parent", lambda version: str(version.parent) if version.parent else None),
            Column("git commit", lambda version: version.source.git_commit),
            Column("git branch", lambda version: version.source.git_branch),
            Column("updated", lambda version: version.updated_at),
            Column("deployed", lambda version: version.deployed_at),
            *(Column(f"params.{name}", _entry("parameters", name)) for name in params),
            *(Column(f"tags.{name}", _entry("tags", name)) for name in tags),
            *(Column(f"data.{name}", _entry("data", name)) for name in data),
        ),
        optional=_optional(names),
        synonyms={
            "size": "bytes", "size bytes": "bytes", "alias": "aliases", "run id": "run", "experiment id": "experiment",
            "created at": "created", "updated at": "updated", "deployed at": "deployed", "created by": "by",
            **{f"metrics.{name}": name for name in names},
        },
        empty="no versions",
    )  # fmt: skip


def _usual(names: Sequence[str]) -> tuple[Column[ModelVersion], ...]:
    return (
        Column("stage", lambda version: stage_cell(version.stage)),
        *(Column(f">{name}", _entry("metrics", name)) for name in names),
        Column("aliases", lambda version: Items(version.aliases)),
        Column("format", lambda version: version.artifact.format),
        Column(">bytes", lambda version: Size(version.artifact.size_bytes)),
        Column("created", lambda version: version.created_at),
        Column("by", lambda version: version.created_by),
    )


def _entry(field: str, name: str) -> Callable[[ModelVersion], Cell]:
    """Return the function that returns a metric, a parameter or a tag of a version."""
    return lambda version: getattr(version, field).get(name)


def _optional(names: Sequence[str]) -> tuple[str, ...]:
    return ("format", *(f">{name}" for name in reversed(names[1:])), "by", ">bytes", "created", "aliases")


def versions_with_references(versions: Sequence[ModelVersion], columns: str | None = None) -> Rendering:
    """Return the table of versions of any models.

    Args:
        columns: Names of columns, separated by commas (default: the usual ones).

    Raises:
        BadInput: A name is unknown.
    """
    if columns is not None:
        return rendering_of(version_columns(versions).table(versions, columns))
    names = _metric_names(versions)
    reference: Column[ModelVersion] = Column("reference", lambda version: Toned(str(version.reference), "strong"))
    usual = Columns(usual=(reference, *_usual(names)), optional=_optional(names), synonyms={}, empty="no versions")
    return rendering_of(usual.table(versions))


def _model_facts(model: RegisteredModel) -> list[Row]:
    rows: list[Row] = [
        ("mlflow name", _original(model.name)),
        ("description", model.description),
        ("tags", _mapping(model.tags)),
        ("aliases", _aliases(model)),
        ("primary metric", model.primary_metric),
        ("directions", _mapping(model.directions)),
        ("production", model.production_version),
        ("staging", model.staging_version),
        ("latest", _latest_with_newer(model)),
        ("versions", model.version_count),
        ("created", model.created_at),
        ("by", model.created_by),
    ]
    return [row for row in rows if row[1] not in ("", None)]


def _original(name: ModelName) -> str:
    if "x" not in str(name):  # no escape, so that most commands do not import the module
        return ""
    from mreg.domain.mlflow_names import original_name

    return original_name(name)


def _latest_with_newer(model: RegisteredModel) -> Cell:
    if not model.newer_archived:
        return model.latest_version
    return f"{model.latest_version or 'none'} ({model.newer_archived})"


def _aliases(model: RegisteredModel) -> str:
    return _mapping({alias: str(version) for alias, version in model.aliases.items()})


def _mapping(values: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _model(model: RegisteredModel) -> Rendering:
    facts = Table(title=str(model.name), columns=("field", "value"), rows=tuple(_model_facts(model)), facts=True)
    rows = [row for row in facts.rows if row[0] != "latest" or model.latest_version is not None]
    exact_rows = tuple((row[0], model.latest_version) if row[0] == "latest" else row for row in rows)
    return Rendering(
        tables=(facts,),
        flat=Table(columns=("field", "value"), rows=(("name", str(model.name)), *exact_rows)),
    )


def _model_versions(found: ModelVersions) -> Rendering:
    facts = _model_facts(found.model)
    ordered = sorted(found.versions, key=lambda version: version.version)
    values = [version.metrics[found.metric] for version in ordered if found.metric in version.metrics]
    if len(values) > 1:
        line = f"{sparkline([float(value) for value in values])}  {found.metric} {values[0]:.6g} to {values[-1]:.6g}"
        facts.append(("trend", line))
    versions = version_columns(found.versions, found.metric, usual_only=True).table(found.versions)
    about = Table(title=str(found.model.name), columns=("field", "value"), rows=tuple(facts), facts=True)
    return Rendering(tables=(about, versions), flat=versions if versions.rows else _model(found.model).flat)


def sparkline(values: Sequence[float], width: int = 40) -> str:
    """Return the last values as bars of eight heights; the lowest value has the lowest bar."""
    shown = values[-width:]
    low, high = min(shown), max(shown)
    # Halved before the subtraction, because the span of the largest floats would be infinite.
    span = high / 2 - low / 2
    return "".join(BARS[int((value / 2 - low / 2) / span * (len(BARS) - 1)) if span else 3] for value in shown)


def _version(version: ModelVersion) -> Rendering:
    source = version.source
    artifact = version.artifact
    rows: list[Row] = [
        ("model", str(version.model_name)),
        ("mlflow name", _original(version.model_name)),
        ("version", version.version),
        ("stage", stage_cell(version.stage)),
        ("status", version.status.value),
        ("aliases", ", ".join(version.aliases)),
        ("description", version.description),
        *((f"metrics.{name}", value) for name, value in version.metrics.items()),
        *((f"params.{name}", value) for name, value in version.parameters.items()),
        *((f"data.{name}", data_cell(value)) for name, value in version.data.items()),
        *((f"tags.{name}", value) for name, value in version.tags.items()),
        ("file", artifact.name),
        ("format", artifact.format),
        ("bytes", Size(artifact.size_bytes)),
        ("files", artifact.file_count if artifact.kind.value == "folder" else None),
        ("checksum", str(artifact.digest)),
        ("stored at", artifact.path),
        ("run", version.run_id),
        ("run page", Link(source.run_url)),
        ("experiment", version.experiment_id),
        ("parent", str(version.parent) if version.parent else None),
        ("git commit", source.git_commit),
        ("git branch", source.git_branch),
        ("git remote", Link(source.git_remote)),
        ("git state", {True: "changed files", False: "clean", None: None}[source.git_dirty]),
        *((f"environment.{name}", value) for name, value in source.environment.items()),
        ("created", version.created_at),
        ("updated", version.updated_at),
        ("deployed", version.deployed_at),
        ("by", version.created_by),
    ]
    table = Table(
        title=str(version.reference),
        columns=("field", "value"),
        rows=tuple(row for row in rows if row[1] not in ("", None)),
        facts=True,
    )
    return rendering_of(table)


def pushed(version: ModelVersion) -> Rendering:
    """Return the tables of a version after its push: one line."""
    artifact = version.artifact
    files = f", {counted(artifact.file_count, 'file')}" if artifact.kind.value == "folder" else ""
    size = size_text(artifact.size_bytes)
    detected = "unknown format" if artifact.format == UNKNOWN_FORMAT else artifact.format
    sentence = f"{version.reference}: {size}{files}, {detected}, {artifact.digest}"
    return one_line(
        ("reference", "stage", "format", "bytes", "checksum", "files"),
        (
            str(version.reference),
            stage_cell(version.stage),
            artifact.format,
            artifact.size_bytes,
            str(artifact.digest),
            artifact.file_count,
        ),
        sentence,
    )


VIEWS = (
    View(RegisteredModel, render=_model, references=lambda model: [str(model.name)]),
    View(ModelSummary, render_list=summaries, references=lambda summary: [str(summary.model.name)]),
    View(
        ModelVersion,
        render=_version,
        render_list=versions_with_references,
        references=lambda version: [str(version.reference)],
    ),
    View(
        ModelVersions,
        render=_model_versions,
        references=lambda found: [str(version.reference) for version in found.versions],
    ),
)
