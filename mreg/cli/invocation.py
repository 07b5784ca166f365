"""What one run of ``mreg`` was asked for beside its command, and what it needs for that."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from mreg.cli.output import Output
    from mreg.registry.registry import Registry
    from mreg.results.profiles import Profile

FORMATS = ("table", "plain", "json", "csv", "md")


class Invocation:
    """The options that every command takes; the registry and the output are made on first use."""

    def __init__(self) -> None:
        self.output_format = ""
        self.as_json = False
        self.quiet = False
        self.profile: str | None = None
        self.config: str | None = None
        self.trust_project = False
        self.debug = False
        self.words: Sequence[str] = ()
        self._output: Output | None = None
        self._registry: Registry | None = None

    @classmethod
    def of_words(cls, words: Sequence[str]) -> Invocation:
        """What can be told before the words are parsed, so that a usage error, too, is told as JSON or traced."""
        invocation = cls()
        invocation.words = words
        invocation.as_json = "--json" in words or "--format=json" in words
        invocation.debug = "--debug" in words
        return invocation

    @property
    def output(self) -> Output:
        """Where results, notes and progress go.

        Raises:
            BadInput: There is no such format.
        """
        if self._output is None:
            from mreg.cli.output import Output

            self._output = Output(self._chosen_format(), quiet=self.quiet)
        return self._output

    def _chosen_format(self) -> str:
        if self.as_json and not self.output_format:
            return "json"
        if self.output_format and self.output_format not in FORMATS:
            from mreg.domain.text import quoted
            from mreg.errors import BadInput

            raise BadInput(f"there is no output format {quoted(self.output_format)}", hint=f"use {', '.join(FORMATS)}")
        return self.output_format

    @property
    def registry(self) -> Registry:
        """The registry of the profile that was asked for."""
        if self._registry is None:
            from mreg.registry.open import open_registry

            self._registry = open_registry(
                self.profile, config=self.config, trust_project=self.trust_project, notice=self.notice
            )
        return self._registry

    @property
    def notice(self) -> Callable[[str], None]:
        """Takes notes for the user; silent during TAB completion."""
        return (lambda _text: None) if "_MREG_COMPLETE" in os.environ else self.output.note

    def load_profile(self, name: str | None = None, *, alone: bool = False) -> Profile:
        """The profile that was asked for; see `mreg.profile.load.load_profile`."""
        from mreg.profile.load import load_profile

        return load_profile(
            profile=name or self.profile,
            config=self.config,
            alone=alone,
            trust_project=self.trust_project,
            notice=self.notice,
        )

    def check_deployments(self) -> None:
        """Nothing, if every hook that this command set off succeeded.

        Raises:
            DeploymentFailed: One did not; what was changed stays changed, or the hook rolled it back.
        """
        delivered = self._registry.delivered if self._registry else ()
        failed = [one for one in delivered if one.status.value == "failed"]
        if failed:
            from mreg.errors import DeploymentFailed

            model = failed[0].reference.partition("@")[0]
            undone = self.registry.undone
            made = "the change was made before"
            if undone:
                made = (
                    f"the change was rolled back: {undone[-1].version.reference} is in {undone[-1].version.stage.value}"
                )
            raise DeploymentFailed(
                f"the hook {failed[0].hook} failed" + (f", and {len(failed) - 1} more" if len(failed) > 1 else ""),
                hint=f"{made}; what the hook said: mreg deployments {model or 'NAME'}",
                deployments=[one.key for one in failed],
            )

    def close(self) -> None:
        """Let go of the registry, if one was opened."""
        if self._registry is not None:
            self._registry.close()


def invocation_of(ctx: typer.Context) -> Invocation:
    """What this run of ``mreg`` was asked for beside its command."""
    root = ctx.find_root()
    if not isinstance(root.obj, Invocation):
        root.obj = Invocation()
    return root.obj
