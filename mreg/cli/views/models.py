"""Tables of models and versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mreg.cli.table import Cell, Rendering, Row, Table, Toned, one_line, rendering_of, stage_cell
from mreg.cli.views import View
from mreg.domain.model import ModelVersion, RegisteredModel
from mreg.domain.text import counted
from mreg.results.models import ModelSummary, ModelVersions

BARS = "▁▂▃▄▅▆▇█"


def _summaries(values: Sequence[ModelSummary]) -> Rendering:
    rows = []
    for summary in values:
        model = summary.model
        rows.append(
            (
                Toned(str(model.name), "strong"),
                _latest(model),
                summary.metric or None,
                summary.latest_value,
                model.staging_version,
                Toned(model.production_version, "good"),
                summary.production_value,
                model.version_count,
                model.updated_at,
            )
        )
    columns = (
        "model", ">latest", "metric", ">latest value", ">staging", ">production", ">production value", ">versions",
        "updated",
    )  # fmt: skip
    table = Table(
        columns=columns,
        rows=tuple(rows),
        optional=("updated", ">versions", ">staging", "metric", ">latest value", ">production value"),
    )
    exact_rows = tuple(
        (row[0], summary.model.latest_version, *row[2:]) for summary, row in zip(values, rows, strict=True)
    )
    marked = any(summary.model.newer_archived for summary in values)
    return Rendering(
        tables=(table,),
        flat=replace(table, rows=exact_rows),
        summary="* newer versions are archived; mreg show NAME lists them" if marked else "",
    )


def _latest(model: RegisteredModel) -> Cell:
    if not model.newer_archived:
        return model.latest_version
    return "*" if model.latest_version is None else f"{model.latest_version} *"


def _metric_names(versions: Sequence[ModelVersion], first: str = "") -> list[str]:
    from mreg.domain.metrics import WELL_KNOWN

    names = {name for version in versions for name in version.metrics}
    known = [name for name in (first, *WELL_KNOWN) if name in names]
    return list(dict.fromkeys([*known, *sorted(names)]))


def _version_table(versions: Sequence[ModelVersion], names: Sequence[str], *, by: str, title: str = "") -> Table:
    rows: list[Row] = []
    for version in versions:
        label = str(version.reference) if by == "reference" else version.version
        rows.append(
            (
                Toned(label, "strong"),
                stage_cell(version.stage),
                *(version.metrics.get(name) for name in names),
                ", ".join(version.aliases),
                version.artifact.format,
                version.artifact.size_bytes,
                version.created_at,
                version.created_by,
            )
        )
    columns = (
        by if by == "reference" else f">{by}", "stage", *(f">{name}" for name in names), "aliases", "format", ">bytes",
        "created", "by",
    )  # fmt: skip
    optional = ("format", *(f">{name}" for name in reversed(names[1:])), "by", ">bytes", "created", "aliases")
    return Table(title=title, columns=columns, rows=tuple(rows), optional=optional)


def _versions(versions: Sequence[ModelVersion]) -> Rendering:
    names = _metric_names(versions)
    return rendering_of(_version_table(versions, names, by="reference"))


def _model_facts(model: RegisteredModel) -> list[Row]:
    rows: list[Row] = [
        ("description", model.description),
        ("tags", _mapping(model.tags)),
        ("aliases", _mapping({alias: str(version) for alias, version in model.aliases.items()})),
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


def _latest_with_newer(model: RegisteredModel) -> Cell:
    if not model.newer_archived:
        return model.latest_version
    return f"{model.latest_version or 'none'} ({model.newer_archived})"


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
    names = _metric_names(found.versions, found.metric)
    facts = _model_facts(found.model)
    values = [version.metrics[found.metric] for version in reversed(found.versions) if found.metric in version.metrics]
    if len(values) > 1:
        line = f"{sparkline([float(value) for value in values])}  {found.metric} {values[0]:.6g} to {values[-1]:.6g}"
        facts.append(("trend", line))
    versions = _version_table(found.versions, names, by="version")
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
        ("version", version.version),
        ("stage", stage_cell(version.stage)),
        ("status", version.status.value),
        ("aliases", ", ".join(version.aliases)),
        ("description", version.description),
        *((f"metrics.{name}", value) for name, value in version.metrics.items()),
        *((f"params.{name}", value) for name, value in version.parameters.items()),
        *((f"data.{name}", value) for name, value in version.data.items()),
        *((f"tags.{name}", value) for name, value in version.tags.items()),
        ("file", artifact.name),
        ("format", artifact.format),
        ("bytes", artifact.size_bytes),
        ("files", artifact.file_count if artifact.kind.value == "folder" else None),
        ("checksum", str(artifact.digest)),
        ("stored at", artifact.path),
        ("run", version.run_id),
        ("run page", source.run_url),
        ("experiment", version.experiment_id),
        ("parent", str(version.parent) if version.parent else None),
        ("git commit", source.git_commit),
        ("git branch", source.git_branch),
        ("git remote", source.git_remote),
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
    size = counted(artifact.size_bytes, "byte")
    sentence = f"{version.reference}: {size}{files}, {artifact.format}, {artifact.digest}"
    return one_line(
        ("reference", "stage", "format", "bytes", "checksum"),
        (str(version.reference), stage_cell(version.stage), artifact.format, artifact.size_bytes, str(artifact.digest)),
        sentence,
    )


VIEWS = (
    View(RegisteredModel, render=_model, references=lambda model: [str(model.name)]),
    View(ModelSummary, render_list=_summaries, references=lambda summary: [str(summary.model.name)]),
    View(ModelVersion, render=_version, render_list=_versions, references=lambda version: [str(version.reference)]),
    View(
        ModelVersions,
        render=_model_versions,
        references=lambda found: [str(version.reference) for version in found.versions],
    ),
)
