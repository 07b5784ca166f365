"""The command push."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mreg.cli.arguments import pairs
from mreg.cli.completion import complete_alias, complete_model, complete_reference, complete_stage
from mreg.cli.invocation import invocation_of
from mreg.cli.options import (
    FILES,
    METADATA,
    METRICS,
    Ci,
    Description,
    Exclude,
    Include,
    Metrics,
    MetricsFiles,
    MetricsPrefixes,
    Tags,
)
from mreg.cli.references import reference_within
from mreg.domain.names import ModelName
from mreg.domain.text import counted, quoted
from mreg.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from mreg.domain.metrics import MetricValue

T = TypeVar("T")


def _metric_option(flag: str) -> object:
    name = flag.removeprefix("--").replace("-", "_")
    return typer.Option(flag, metavar="NUMBER", help=f"Metric {name}.", rich_help_panel=METRICS)


def push(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="File or folder.")],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            "-n",
            metavar="NAME",
            help="Model name (default: inferred from the path).",
            autocompletion=complete_model,
        ),
    ] = None,
    accuracy: Annotated[str | None, _metric_option("--accuracy")] = None,
    f1_score: Annotated[str | None, _metric_option("--f1-score")] = None,
    precision: Annotated[str | None, _metric_option("--precision")] = None,
    recall: Annotated[str | None, _metric_option("--recall")] = None,
    latency_ms: Annotated[str | None, _metric_option("--latency-ms")] = None,
    metric: Metrics = None,
    metrics_file: MetricsFiles = None,
    metrics_prefix: MetricsPrefixes = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="KEY=VALUE", help="Parameter.", rich_help_panel=METADATA),
    ] = None,
    params_file: Annotated[
        list[str] | None,
        typer.Option(
            "--params-file", metavar="FILE", help="File of parameters in JSON or YAML.", rich_help_panel=METADATA
        ),
    ] = None,
    tags: Tags = None,
    alias: Annotated[
        list[str] | None, typer.Option("--alias", metavar="ALIAS", help="Alias to set.", autocompletion=complete_alias)
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option("--stage", metavar="STAGE", help="Stage to enter (default: None).", autocompletion=complete_stage),
    ] = None,
    description: Description = None,
    run_id: Annotated[
        str,
        typer.Option("--run-id", metavar="ID", help="Training run (default: the CI job).", rich_help_panel=METADATA),
    ] = "",
    experiment_id: Annotated[
        str, typer.Option("--experiment-id", metavar="ID", help="Experiment.", rich_help_panel=METADATA)
    ] = "",
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent",
            metavar="REF",
            help="Parent: the version that this one was made from.",
            autocompletion=complete_reference,
            rich_help_panel=METADATA,
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", metavar="NAME=URI[@DIGEST]", help="Reference to training data.", rich_help_panel=METADATA
        ),
    ] = None,
    artifact_format: Annotated[
        str,
        typer.Option(
            "--artifact-format",
            metavar="FORMAT",
            help="Format of the artifact (default: detected).",
            rich_help_panel=METADATA,
        ),
    ] = "",
    existing: Annotated[bool, typer.Option("--existing", help="Refuse to register a new model.")] = False,
    include: Include = None,
    exclude: Exclude = None,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Push what links point to.", rich_help_panel=FILES)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the files with their sizes; push nothing.", rich_help_panel="Output")
    ] = False,
    python: Annotated[
        str | None,
        typer.Option(
            "--python",
            metavar="PATH",
            help="Interpreter or environment of the training (default: the active one).",
            rich_help_panel=METADATA,
        ),
    ] = None,
    ci: Ci = False,
) -> None:
    """Upload a file or folder as a new version.

    The first push of a name registers the model. Without --name, the model is MREG_MODEL, or model: of mreg.yaml or the
    profile, or is inferred from the path; a note on standard error says which. With --existing, a name that is not
    registered is refused (exit code 4).

    Of a folder, .git, __pycache__, .venv, files of mreg and the like are left out, and what .mregignore in the folder
    and --exclude name. With --include, only files that match it are pushed.
    The versions of Python and of known frameworks are recorded, from the active virtual or conda environment, or from
    --python. Without either they are those of the environment in which mreg is installed.

    Examples:
      mreg push model.pkl --accuracy 0.95
      mreg push model.pkl --name churn --metrics-file metrics.json --tag team=crm
      mreg push checkpoints/final --name llm --metric perplexity=7.2
      mreg push checkpoints/final --exclude 'optimizer.*' --dry-run
      mreg push hub/models--org--bert/snapshots/1a2b3c -n bert --follow-links
      mreg push model.pkl --python .venv/bin/python
      mreg push model.pkl --parent base@2 --data train=s3://lake/churn/2026-03
    """
    from mreg.cli.views.models import pushed
    from mreg.domain.metadata import VersionMetadata

    run = invocation_of(ctx)
    if ci and not dry_run:
        from mreg.cli.ci import Report

        report = Report(run.output, os.environ)
    from mreg.registry.environments import active_environment

    known = {
        "accuracy": accuracy,
        "f1_score": f1_score,
        "precision": precision,
        "recall": recall,
        "latency_ms": latency_ms,
    }
    given = {key: value for key, value in known.items() if value is not None}
    metadata = VersionMetadata(
        metrics=all_metrics(given, metric or (), metrics_from(run.output.note, metrics_file, metrics_prefix)),
        parameters=_parameters(param or (), params_file or ()),
        tags=pairs("tag", tags),
        aliases=tuple(alias or ()),
        description=description or "",
        run_id=run_id,
        experiment_id=experiment_id,
        data=pairs("data", data),
        format=artifact_format,
    )
    if dry_run:
        run.output.result(
            run.registry.plan_push(
                path,
                name=name,
                include=include or (),
                exclude=exclude or (),
                follow_links=follow_links,
                existing=existing,
            )
        )
        return
    # Over a network, a large file is hashed first, since the store or server can have it already.
    with run.output.progress("push", again="send") as progress:
        version = run.registry.push(
            path,
            name=name,
            metadata=metadata,
            stage=stage,
            parent=parent and reference_within(parent, ModelName(name) if name else run.default_model()),
            existing=existing,
            include=include or (),
            exclude=exclude or (),
            follow_links=follow_links,
            python=active_environment(os.environ, run.output.note) if python is None else python,
            progress=progress,
        )
    run.output.result(version, pushed)
    if ci:
        report.push(version)


def all_metrics(
    given: dict[str, str], words: list[str] | tuple[()], files: list[dict[str, MetricValue]]
) -> dict[str, MetricValue]:
    """Return the metrics of flags, ``--metric`` and files; one that is given twice is rejected."""
    from mreg.domain.metrics import known_metric, parse_metric

    metrics: dict[str, MetricValue] = {key: parse_metric(key, value) for key, value in given.items()}
    for key, value in pairs("metric", words, last=True).items():
        _add("metric", metrics, {known_metric(key): parse_metric(key, value)})
    for source in files:
        _add("metric", metrics, source)
    return metrics


def metrics_from(
    note: Callable[[str], None], files: list[str] | None, prefixes: list[str] | None
) -> list[dict[str, MetricValue]]:
    """Return the metrics of each file, with the prefixes of ``--metrics-prefix``.

    Args:
        note: Shows what was skipped.

    Raises:
        BadInput: A file is invalid, or there is neither one prefix nor one for each file.
    """
    prefixes = prefixes or [""]
    if len(prefixes) not in (1, len(files or ())):
        raise BadInput(
            f"{len(prefixes)} prefixes for {counted(len(files or ()), 'metrics file')}",
            hint="give --metrics-prefix once, or once for each --metrics-file",
        )
    if prefixes != [""] and not files:
        raise BadInput("--metrics-prefix without --metrics-file", hint="add --metrics-file FILE")
    if not files:
        return []
    from mreg.documents.metrics import read_metrics

    found = []
    for file, prefix in zip(files, prefixes * len(files), strict=False):
        measured = read_metrics(file, prefix)
        for text in measured.notes:
            note(text)
        found.append(measured.metrics)
    return found


def _parameters(words: list[str] | tuple[()], files: list[str] | tuple[()]) -> dict[str, str]:
    parameters = pairs("param", words)
    if files:
        from mreg.documents.parameters import read_parameters

        for file in files:
            _add("parameter", parameters, read_parameters(file))
    return parameters


def _add(kind: str, values: dict[str, T], more: dict[str, T]) -> None:
    for key, value in more.items():
        if key in values:
            raise BadInput(f"the {kind} {quoted(key)} is given twice", hint="give it once: by flag or in a file")
        values[key] = value
