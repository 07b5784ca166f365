"""One run of ``mreg``: the shared options, and the output and the registry that they choose."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

    from mreg.cli.output import Output
    from mreg.domain.events import Event
    from mreg.domain.names import ModelName
    from mreg.errors import MregError
    from mreg.registry.local import LocalRegistry
    from mreg.registry.registry import Registry
    from mreg.registry.session import HookLog
    from mreg.results.profiles import Profile

FORMATS = ("table", "plain", "json", "csv", "md")


class Invocation:
    """The values of the shared options; the registry is opened and the output is made on first use."""

    def __init__(self) -> None:
        self.output_format = ""
        self.as_json = False
        self.quiet = False
        self.profile: str | None = None
        self.config: str | None = None
        self.trust_project = False
        self.debug = False
        self.words: Sequence[str] = ()
        self.context: typer.Context | None = None
        self.interrupt: KeyboardInterrupt | None = None
        self._default: ModelName | None = None
        self._output: Output | None = None
        self._registry: Registry | None = None
        self._hook_log: HookLog | None = None
        self._noted_servers = False

    @classmethod
    def of_words(cls, words: Sequence[str]) -> Invocation:
        """Return an invocation with the options that a usage error needs, read before the words are parsed."""
        invocation = cls()
        invocation.words = words
        invocation.as_json = "--json" in words or "--format=json" in words
        invocation.debug = "--debug" in words
        return invocation

    @property
    def output(self) -> Output:
        """The output for results, notes and progress.

        Raises:
            BadInput: The format is unknown.
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
        """The registry of the chosen profile."""
        if self._registry is None:
            from mreg.registry.open import open_registry
            from mreg.registry.session import HookLog

            self._hook_log = HookLog(events=[])
            self._registry = open_registry(
                self.profile,
                config=self.config,
                trust_project=self.trust_project,
                notice=self.notice,
                hook_log=self._hook_log,
            )
            profile = self._registry.profile
            if profile.is_fallback and not os.path.lexists(profile.catalog):
                self.note_servers()
        return self._registry

    def note_servers(self) -> None:
        """Tell which servers the user has logged in to, if nothing names the registry that is used."""
        profile = self.opened_profile
        if profile is None or not profile.is_fallback or "_MREG_COMPLETE" in os.environ:
            return
        from mreg.profile.switching import for_saved_servers

        words, *commands = for_saved_servers(os.environ) or ("",)
        if commands and not self._noted_servers:
            self._noted_servers = True
            self.output.steps(f"the registry of this machine has no models; {words}", commands)

    def local_registry(self, action: str) -> LocalRegistry:
        """Return the registry of the chosen profile, for a command that needs direct access to the catalog.

        Args:
            action: The operation, for the message if the profile names a server; the hint is the command to run there.

        Raises:
            BadInput: The profile names a server.
        """
        from mreg.registry.local import LocalRegistry

        registry = self.registry
        if not isinstance(registry, LocalRegistry):
            from mreg.registry.remote_refusals import needs_catalog

            raise needs_catalog(action, registry.profile, self._command_elsewhere())
        return registry

    def _command_elsewhere(self) -> str:
        """Return the command with its options, but without the profile and its file, which another machine lacks."""
        from mreg.domain.text import shell_word

        words, kept = iter(self.words), ["mreg"]
        for word in words:
            if word in ("--profile", "--config"):
                next(words, None)
            elif not word.startswith(("--profile=", "--config=")):
                kept.append(shell_word(word))
        return " ".join(kept)

    @property
    def command_path(self) -> str:
        """The command with its subcommand, such as ``mreg policy show``."""
        return self.context.command_path if self.context is not None else "mreg"

    def command_with(self, option: str) -> str:
        """Return the command as it was given, with one more option, as a command to paste."""
        from mreg.domain.text import shell_word

        return " ".join(["mreg", *map(shell_word, self.words), option])

    def default_model(self) -> ModelName | None:
        """Return the model of a reference that leaves the model out; None if no setting names one."""
        if self._default is None and self.registry.profile.model:
            from mreg.domain.names import ModelName

            self._default = ModelName(self.registry.profile.model)
        return self._default

    def source_of_model(self, error: MregError) -> str:
        """Return the clause with the setting that names the model that an error did not find; otherwise empty."""
        details = error.details
        if self._default is None or details.get("kind") != "model" or details.get("name") != str(self._default):
            return ""
        return f", the default model of {self.registry.profile.origins.get('model', '')}"

    @property
    def opened_profile(self) -> Profile | None:
        """The profile of the registry, if it was opened."""
        return self._registry.profile if self._registry is not None else None

    @property
    def events(self) -> Sequence[Event]:
        """The events that the changes of this command recorded, in order."""
        return (self._hook_log and self._hook_log.events) or ()

    @property
    def notice(self) -> Callable[[str], None]:
        """The function that takes notes for the user; it does nothing during tab completion."""
        return (lambda _text: None) if "_MREG_COMPLETE" in os.environ else self.output.note

    def load_profile(self, name: str | None = None, *, alone: bool = False) -> Profile:
        """Return a profile (default: the chosen one); see `mreg.profile.load.load_profile`."""
        from mreg.profile.load import load_profile

        profile = load_profile(
            profile=name or self.profile,
            config=self.config,
            alone=alone,
            trust_project=self.trust_project,
            notice=self.notice,
        )
        return profile.with_origin("name", "argument") if name else profile

    def check_deployments(self) -> None:
        """Check that every hook that this command triggered succeeded.

        Raises:
            DeploymentFailed: A hook failed. The change persists, unless it was rolled back because of the failure.
        """
        log = self._hook_log
        failed = [report for report in log.deployments if report.status.value == "failed"] if log else []
        if log and failed:
            from mreg.errors import DeploymentFailed

            model = failed[0].reference.partition("@")[0]
            changed = any(not event.action.startswith("deployment.") for event in self.events)
            outcome = "the change was made before; " if changed else ""
            if log.rollbacks:
                version = log.rollbacks[-1].version
                outcome = f"the change was rolled back: {version.reference} is {version.stage.location}; "
            raise DeploymentFailed(
                f"the hook {failed[0].hook} failed" + (f", and {len(failed) - 1} more" if len(failed) > 1 else ""),
                hint=f"{outcome}what the hook said: mreg deployments {model or 'NAME'}",
                deployments=[report.key for report in failed],
            )

    def close(self) -> None:
        """Close the registry, if it was opened."""
        if self._registry is not None:
            self._registry.close()


def invocation_of(ctx: typer.Context) -> Invocation:
    """Return the invocation of a context."""
    root = ctx.find_root()
    if not isinstance(root.obj, Invocation):
        root.obj = Invocation()
    root.obj.context = ctx
    return root.obj
