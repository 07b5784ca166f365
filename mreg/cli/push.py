"""push: a file or folder becomes the next version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from mreg.cli.arguments import pairs
from mreg.cli.completion import complete_metric, complete_model, complete_reference, complete_stage
from mreg.cli.invocation import invocation_of
from mreg.cli.options import Description, Tags
from mreg.domain.text import counted, quoted
from mreg.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from mreg.domain.metrics import MetricValue

T = TypeVar("T")


def _known(flag: str) -> object:
    return typer.Option(flag, metavar="NUMBER", help=f"The metric {flag.removeprefix('--').replace('-', '_')}.")


def push(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The file or folder.")],
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", metavar="NAME", help="The model; else found.", autocompletion=complete_model),
    ] = None,
    accuracy: Annotated[str | None, _known("--accuracy")] = None,
    f1_score: Annotated[str | None, _known("--f1-score")] = None,
    precision: Annotated[str | None, _known("--precision")] = None,
    recall: Annotated[str | None, _known("--recall")] = None,
    latency_ms: Annotated[str | None, _known("--latency-ms")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option("--metric", metavar="NAME=NUMBER", help="Any other metric.", autocompletion=complete_metric),
    ] = None,
    metrics_file: Annotated[
        list[str] | None,
        typer.Option("--metrics-file", metavar="FILE", help="Metrics in JSON, YAML or CSV (repeatable)."),
    ] = None,
    metrics_prefix: Annotated[
        list[str] | None,
        typer.Option(
            "--metrics-prefix",
            metavar="TEXT",
            help="Text before the names of the metrics files; if repeated, one for each file.",
        ),
    ] = None,
    param: Annotated[list[str] | None, typer.Option("--param", metavar="KEY=VALUE", help="A parameter.")] = None,
    params_file: Annotated[
        list[str] | None, typer.Option("--params-file", metavar="FILE", help="Parameters in JSON or YAML.")
    ] = None,
    tags: Tags = None,
    alias: Annotated[
        list[str] | None, typer.Option("--alias", metavar="ALIAS", help="Point this alias to the version.")
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option("--stage", metavar="STAGE", help="The stage to enter at once.", autocompletion=complete_stage),
    ] = None,
    description: Description = None,
    run_id: Annotated[str, typer.Option("--run-id", metavar="ID", help="The run; else the CI job's.")] = "",
    experiment_id: Annotated[str, typer.Option("--experiment-id", metavar="ID", help="The experiment.")] = "",
    parent: Annotated[
        str | None,
        typer.Option(
            "--parent", metavar="REF", help="What it was made from, of any model.", autocompletion=complete_reference
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="NAME=URI[@DIGEST]", help="Data it was made from; may be given several times."),
    ] = None,
    artifact_format: Annotated[
        str, typer.Option("--artifact-format", metavar="FORMAT", help="What the content is; else told from it.")
    ] = "",
    ci: Annotated[bool, typer.Option("--ci", help="Write to GITHUB_OUTPUT and GITHUB_STEP_SUMMARY.")] = False,
) -> None:
    """Store a file or folder as the next version of a model, which is registered when it is new.

    Without --name the model is MREG_MODEL, else `model:` of mreg.yaml or the profile, else found from the path; which
    one was taken, and why, is said on standard error.

    Examples:

    \b
      mreg push model.pkl --accuracy 0.95
      mreg push model.pkl --name classifier --metrics-file metrics.json --param lr=0.01 --tag team=fraud
      mreg push checkpoints/final --name llm --metric perplexity=7.2 --alias champion --parent base-llm@2
      mreg push model.pkl --data train=s3://lake/churn/2026-03 --data labels=git:labels.csv@v7
    """
    from mreg.cli.views.models import pushed
    from mreg.domain.metadata import VersionMetadata

    run = invocation_of(ctx)
    if ci:
        from mreg.cli.ci import check_step, write_push

        check_step()
    known = {
        "accuracy": accuracy,
        "f1_score": f1_score,
        "precision": precision,
        "recall": recall,
        "latency_ms": latency_ms,
    }
    given = {key: value for key, value in known.items() if value is not None}
    with run.output.progress("push") as progress:
        version = run.registry.push(
            path,
            name=name,
            metadata=VersionMetadata(
                metrics=_metrics(given, metric or (), metrics_from(run.output.note, metrics_file, metrics_prefix)),
                parameters=_parameters(param or (), params_file or ()),
                tags=pairs("tag", tags),
                aliases=tuple(alias or ()),
                description=description or "",
                run_id=run_id,
                experiment_id=experiment_id,
                data=pairs("data", data),
                format=artifact_format,
            ),
            stage=stage,
            parent=parent,
            progress=progress,
        )
    run.output.result(version, pushed)
    if ci:
        write_push(version)


def _metrics(
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
    found = pairs("param", words)
    if files:
        from mreg.documents.parameters import read_parameters

        for file in files:
            _add("parameter", found, read_parameters(file))
    return found


def _add(kind: str, found: dict[str, T], more: dict[str, T]) -> None:
    for key, value in more.items():
        if key in found:
            raise BadInput(f"the {kind} {quoted(key)} is given twice", hint="give it once: by flag or in a file")
        found[key] = value
