"""The outputs, summary and metrics that ``--ci`` hands to the CI platform of the run.

`SINKS` has, for each platform of `mreg.registry.ci_runs`, what can be written, in the platform's documented format:

- GitHub (Forgejo, Gitea): https://docs.github.com/actions/reference/workflow-commands-for-github-actions
- GitLab: https://docs.gitlab.com/ci/variables/dotenv_variables, https://docs.gitlab.com/ci/testing/metrics_reports
- Azure Pipelines: https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
- Buildkite: https://buildkite.com/docs/agent/cli/reference/annotate, https://buildkite.com/docs/agent/cli/reference/meta-data
- CircleCI: https://circleci.com/docs/set-environment-variable
- Bitbucket: https://support.atlassian.com/bitbucket-cloud/docs/variable-sharing
- TeamCity: https://www.jetbrains.com/help/teamcity/service-messages.html
- Jenkins: the format of ``java.util.Properties``, which the step ``readProperties`` reads

Values are hostile: stored text can have any character. A value never begins another line, output or command.
"""

from __future__ import annotations

import abc
import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from mreg import files, streams
from mreg.domain.text import json_escape, printable
from mreg.errors import Unavailable
from mreg.processes import find_program, run
from mreg.registry.ci_runs import platform_of

if TYPE_CHECKING:
    from mreg.cli.output import Output
    from mreg.domain.metrics import MetricValue
    from mreg.domain.model import ModelVersion
    from mreg.results.comparison import Comparison

ENV_FILE, PROPERTIES_FILE, METRICS_FILE = "mreg-ci.env", "mreg-ci.properties", "mreg-ci-metrics.txt"
"""Names of the files that ``--ci`` writes to the folder of the job, on platforms that give no file."""

FILE_BYTES = 1 << 20
"""Maximum size in bytes of such a file that is updated."""

SUMMARY_BYTES = 1_000_000
"""Maximum size in bytes of a summary. GitHub and Buildkite reject more than 1 MiB."""

DOTENV_CHARACTERS = 1_000
"""Maximum length of a value in a dotenv report. GitLab rejects a report of 5 KiB."""

AGENT_SECONDS = 60.0
"""Seconds that one call of ``buildkite-agent`` can take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What one command hands over.

    Attributes:
        scope: Second part of the names of variables: PUSHED or COMPARED.
        outputs: Value by name.
        title: Name of the summary.
        summary: Markdown.
        model: The model of the metrics.
        metrics: Metrics of the pushed version.
    """

    scope: str
    outputs: Mapping[str, str]
    title: str
    summary: str
    model: str = ""
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)

    def variables(self) -> dict[str, str]:
        """Return the outputs as variables: names begin with ``MREG_`` and the step, values have one line."""
        return {f"MREG_{self.scope}_{name.upper()}": printable(value) for name, value in self.outputs.items()}

    def limited_summary(self) -> str:
        """Return the summary, cut after a line if it is longer than a platform accepts."""
        data = self.summary.encode()
        if len(data) <= SUMMARY_BYTES:
            return self.summary
        return data[: data.rfind(b"\n", 0, SUMMARY_BYTES) + 1].decode() + "\nThe rest is left out.\n"


class Report:
    """Writes what a command hands to the CI platform; checks before the command changes anything.

    Args:
        output: Receives a warning for each thing that cannot be written here.

    Raises:
        Unavailable: A file of the platform cannot be written.
    """

    def __init__(self, output: Output, environ: Mapping[str, str]) -> None:
        self._sinks: list[Sink] = []
        platform = platform_of(environ)
        if platform is None:
            output.warn("--ci: nothing is written, because no CI platform is recognized")
            return
        for make in SINKS[platform.key]:
            sink = make(environ)
            missing = sink.missing()
            if sink.standard_output and (output.quiet or output.format not in ("table", "plain")):
                missing = "standard output has the result in a format for programs"
            if missing:
                output.warn(f"--ci: {sink.noun} not written for {platform.title}: {missing}")
            else:
                sink.check()
                self._sinks.append(sink)

    def push(self, version: ModelVersion) -> None:
        """Write the outputs ``reference``, ``model``, ``version`` and ``checksum``, the metrics, and a summary.

        Raises:
            Unavailable: Something cannot be written.
        """
        outputs = {
            "reference": str(version.reference),
            "model": str(version.model_name),
            "version": str(version.version),
            "checksum": str(version.artifact.digest),
        }
        self._write(
            "PUSHED", outputs, version, f"mreg push {version.reference}", str(version.model_name), version.metrics
        )

    def comparison(self, comparison: Comparison, *, failed: list[str]) -> None:
        """Write the outputs of a comparison, and its tables as summary.

        The outputs are ``reference_a``, ``reference_b``, ``regression`` (``true`` or ``false``) and ``regressed`` (the
        names of the metrics in ``failed``, separated by commas).

        Raises:
            Unavailable: Something cannot be written.
        """
        first, second = str(comparison.first.reference), str(comparison.second.reference)
        outputs = {
            "reference_a": first,
            "reference_b": second,
            "regression": "true" if failed else "false",
            "regressed": ",".join(failed),
        }
        self._write("COMPARED", outputs, comparison, f"mreg compare {first} {second}")

    def _write(
        self,
        scope: str,
        outputs: Mapping[str, str],
        value: object,
        title: str,
        model: str = "",
        metrics: Mapping[str, MetricValue] | None = None,
    ) -> None:
        if not self._sinks:
            return
        from mreg.cli.table import markdown
        from mreg.cli.views import render

        summary = markdown(render(value))
        content = Content(
            scope=scope, outputs=outputs, title=title, summary=summary, model=model, metrics=metrics or {}
        )
        for sink in self._sinks:
            sink.write(content)


# Values


def _github(content: Content) -> str:
    # The runner splits at the first '=' or '<<' of a line, and names have neither.
    return "".join(f"{name}={printable(value)}\n" for name, value in content.outputs.items())


def _exports(content: Content) -> str:
    from shlex import quote

    return "".join(f"export {name}={quote(value)}\n" for name, value in content.variables().items())


def _plain_variables(content: Content) -> str:
    return "".join(f"{name}={value}\n" for name, value in content.variables().items())


def _quoted_word(value: str) -> str:
    from shlex import quote

    return quote(value)


def _dotenv(value: str) -> str:
    """Return a value of a dotenv report: GitLab keeps quotes and has no escapes, and runners expand ``$NAME``."""
    if len(value) > DOTENV_CHARACTERS:
        value = value[:DOTENV_CHARACTERS].rpartition(",")[0] + ",..."
    return value.replace("$", "_")


def _property(value: str) -> str:
    """Return a value of a Java properties file, which is read as ISO 8859-1."""
    escaped = value.replace("\\", "\\\\")
    return "".join(char if char.isascii() else json_escape(char) for char in escaped)


def _azure(content: Content) -> str:
    return "".join(
        f"##vso[task.setvariable variable={name};isOutput=true]{_azure_value(value)}\n"
        for name, value in content.outputs.items()
    )


def _azure_value(text: str) -> str:
    """Return the data of a command, escaped as taskcommand.ts of azure-pipelines-task-lib does."""
    return printable(text).replace("%", "%AZP25")


def _teamcity(content: Content) -> str:
    lines = [
        f"##teamcity[setParameter name='mreg.{content.scope.lower()}.{name}' value='{_teamcity_value(value)}']\n"
        for name, value in content.outputs.items()
    ]
    lines += [
        f"##teamcity[buildStatisticValue key='{_teamcity_value(f'{content.model}.{name}')}' value='{number:.4f}']\n"
        for name, number in content.metrics.items()
    ]
    return "".join(lines)


def _teamcity_value(text: str) -> str:
    escaped = re.sub(r"[|'\[\]]", r"|\g<0>", printable(text))
    return "".join(char if char.isascii() else json_escape(char).replace("\\u", "|0x") for char in escaped)


def metric_samples(content: Content) -> dict[str, str]:
    """Return the line of OpenMetrics text of each metric, by the sample without its value.

    GitLab removes ``#`` and what follows from each line before it parses it as words of a shell.
    """
    samples: dict[str, str] = {}
    for name, value in content.metrics.items():
        label = printable(name).replace("\\", "\\\\").replace('"', '\\"').replace("#", "_")
        sample = f'mreg_metric{{model="{content.model}",metric="{label}"}}'
        samples.setdefault(sample, f"{sample} {value!r}")
    return samples


# Sinks


class Sink(abc.ABC):
    """A place that a platform reads; its names come from the environment of the job.

    Attributes:
        noun: What is written there.
        standard_output: It is standard output, so the result must be in a format for people.
    """

    standard_output = False

    def __init__(self, noun: str, environ: Mapping[str, str]) -> None:
        self.noun, self.environ = noun, environ

    def missing(self) -> str:
        """Return why the platform does not give the place, empty if it does."""
        return ""

    def check(self) -> None:  # noqa: B027  some places cannot be checked
        """Check that the place can be written, without a change.

        Raises:
            Unavailable: It cannot.
        """

    @abc.abstractmethod
    def write(self, content: Content) -> None:
        """Write the content.

        Raises:
            Unavailable: It cannot be written.
        """


class AppendedFile(Sink):
    """A file that the platform names in a variable, and to which a command appends."""

    def __init__(self, noun: str, variable: str, text: Callable[[Content], str], environ: Mapping[str, str]) -> None:
        super().__init__(noun, environ)
        self._variable, self._path, self._text = variable, environ.get(variable, ""), text
        self._folder = os.path.dirname(os.path.abspath(self._path))

    def missing(self) -> str:
        if not self._path:
            return f"{self._variable} is not set"
        found = os.path.isdir(self._folder)
        return "" if found else f"the folder of {self._variable} does not exist: {self._folder}"

    def check(self) -> None:
        if os.path.isdir(self._path):
            raise Unavailable(f"cannot write {self._path}: it is a folder")
        _check_writable(self._path if os.path.lexists(self._path) else self._folder)

    def write(self, content: Content) -> None:
        try:
            descriptor = files.open_to_append(self._path)
            with os.fdopen(descriptor, "a", encoding="utf-8", newline="\n") as stream:
                stream.write(self._text(content))
        except OSError as error:
            raise _unwritable(self._path, error) from error


class JobFile(Sink):
    """A file in the folder of the job, whose lines of the same names are replaced.

    The folder is a checkout, which can hold a link of this name; a link is never followed.

    Args:
        variable: Variable of the folder (default: the working folder).
        update: Returns the new lines from the lines of the file.
    """

    def __init__(
        self,
        noun: str,
        variable: str,
        name: str,
        update: Callable[[list[str], Content], list[str]],
        environ: Mapping[str, str],
    ) -> None:
        super().__init__(noun, environ)
        self._variable, self._name, self._update = variable, name, update
        self._folder = os.path.realpath(environ.get(variable) or os.curdir)
        self._path = os.path.join(self._folder, name)

    def missing(self) -> str:
        return "" if os.path.isdir(self._folder) else f"{self._variable} is not a folder: {self._folder}"

    def check(self) -> None:
        _check_writable(self._folder)
        self._lines()

    def _lines(self) -> list[str]:
        from mreg.registry.small_file import read_small

        if not os.path.lexists(self._path):
            return []
        data = read_small(self._path, within=self._folder, limit=FILE_BYTES)
        if data is None:
            raise Unavailable(
                f"cannot update {self._path}: it is not a readable regular file of at most {FILE_BYTES >> 20} MiB",
                hint=f"rm {self._path}",
            )
        return data.decode("utf-8", "surrogateescape").splitlines()

    def write(self, content: Content) -> None:
        text = "".join(f"{line}\n" for line in self._update(self._lines(), content))
        temporary = f"{self._path}.{os.urandom(6).hex()}"
        try:
            _create(temporary, text)
            files.replace(temporary, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                files.unlink(temporary)
            raise _unwritable(self._path, error) from error


class ErrorCommands(Sink):
    """Commands on standard error, which the agent reads like standard output; the result stays as it is."""

    def __init__(self, noun: str, text: Callable[[Content], str], environ: Mapping[str, str]) -> None:
        super().__init__(noun, environ)
        self._text = text

    def write(self, content: Content) -> None:
        streams.say(self._text(content), end="", commands=True)


class OutputCommands(ErrorCommands):
    """Commands on standard output, after the result."""

    standard_output = True

    def write(self, content: Content) -> None:
        streams.put(self._text(content), commands=True)


class AzureSummary(Sink):
    """A Markdown file in the agent's temporary folder, which the agent empties, and a command that uploads the file."""

    @property
    def _folder(self) -> str:
        return self.environ.get("AGENT_TEMPDIRECTORY", "")

    def missing(self) -> str:
        found = os.path.isabs(self._folder) and os.path.isdir(self._folder)
        return "" if found else "AGENT_TEMPDIRECTORY does not name a folder"

    def check(self) -> None:
        _check_writable(self._folder)

    def write(self, content: Content) -> None:
        path = os.path.join(self._folder, f"mreg-{os.urandom(6).hex()}.md")
        try:
            _create(path, content.limited_summary())
        except OSError as error:
            raise _unwritable(path, error) from error
        streams.say(f"##vso[task.uploadsummary]{_azure_value(path)}", commands=True)


class BuildkiteAgent(Sink):
    """The program ``buildkite-agent``: Buildkite has neither files nor log commands for meta-data and annotations.

    It is taken from an absolute folder of PATH, never from the working folder. Values go through standard input, so
    none is read as an option.
    """

    def missing(self) -> str:
        return "" if find_program("buildkite-agent", self.environ) else "buildkite-agent is not in a folder of PATH"

    def write(self, content: Content) -> None:
        calls = [(["meta-data", "set", name], value) for name, value in content.variables().items() if value.strip()]
        calls.append((["annotate", "--style=info", f"--context={content.title}"], content.limited_summary()))
        program = find_program("buildkite-agent", self.environ)
        for words, text in calls:
            problem = run([program, *words], text.encode(), self.environ, AGENT_SECONDS)
            if problem:
                raise Unavailable(f"buildkite-agent {words[0]} failed: {printable(problem)}")


def _variable_lines(value: Callable[[str], str]) -> Callable[[list[str], Content], list[str]]:
    """Return the update of a file of variables: the other lines stay, and blank lines are removed."""

    def update(lines: list[str], content: Content) -> list[str]:
        new = {name: f"{name}={value(text)}" for name, text in content.variables().items()}
        kept = [line for line in lines if line.strip() and line.partition("=")[0].strip() not in new]
        return [*kept, *new.values()]

    return update


def _metric_lines(lines: list[str], content: Content) -> list[str]:
    own = f'mreg_metric{{model="{content.model}",'
    kept = [line for line in lines if line.startswith("mreg_metric{") and not line.startswith(own)]
    return ["# TYPE mreg_metric gauge", *kept, *metric_samples(content).values(), "# EOF"] if content.metrics else lines


def _create(path: str, text: str) -> None:
    descriptor = files.open_file(path, files.CREATE, 0o666)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as stream:
        stream.write(text)


def _check_writable(path: str) -> None:
    if not os.access(path, os.W_OK):
        raise Unavailable(f"cannot write {path}: permission denied")


def _unwritable(path: str, error: OSError) -> Unavailable:
    return Unavailable(f"cannot write {path}: {error.strerror or error}")


SINKS: Mapping[str, tuple[Callable[[Mapping[str, str]], Sink], ...]] = {
    "github": (
        partial(AppendedFile, "outputs", "GITHUB_OUTPUT", _github),
        partial(AppendedFile, "summary", "GITHUB_STEP_SUMMARY", Content.limited_summary),
    ),
    "gitlab": (
        partial(JobFile, "outputs", "CI_PROJECT_DIR", ENV_FILE, _variable_lines(_dotenv)),
        partial(JobFile, "metrics", "CI_PROJECT_DIR", METRICS_FILE, _metric_lines),
    ),
    "azure": (partial(ErrorCommands, "outputs", _azure), partial(AzureSummary, "summary")),
    "buildkite": (partial(BuildkiteAgent, "meta-data and annotation"),),
    "circleci": (partial(AppendedFile, "outputs", "BASH_ENV", _exports),),
    "bitbucket": (partial(AppendedFile, "outputs", "BITBUCKET_PIPELINES_VARIABLES_PATH", _plain_variables),),
    "teamcity": (partial(OutputCommands, "parameters and statistics", _teamcity),),
    "woodpecker": (partial(JobFile, "outputs", "CI_WORKSPACE", ENV_FILE, _variable_lines(_quoted_word)),),
    "drone": (partial(JobFile, "outputs", "DRONE_WORKSPACE", ENV_FILE, _variable_lines(_quoted_word)),),
    "jenkins": (partial(JobFile, "outputs", "WORKSPACE", PROPERTIES_FILE, _variable_lines(_property)),),
}
"""What ``--ci`` writes on each platform, by its key."""
