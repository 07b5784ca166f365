"""Hooks, which run a command or call a webhook after a change, and their deployments."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from mreg.domain.events import Event
from mreg.domain.model import ModelStage
from mreg.domain.text import check_text, nearest, quoted
from mreg.domain.value import Value
from mreg.errors import BadInput

KEYS = ("name", "on", "stage", "models", "command", "webhook", "secret_env", "env", "timeout", "on_failure")
ACTIONS = (
    "model.registered", "model.edited", "model.renamed", "model.deleted", "version.pushed", "version.edited",
    "version.evaluated", "version.deleted", "version.stage_changed", "version.approved", "version.rejected",
    "version.decision_withdrawn", "alias.set", "alias.removed", "policy.changed", "policy.overridden",
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_KEY = re.compile(r"[0-9a-f]{32}\.[1-9][0-9]{0,18}")
HOOKS_LIMIT = 50
DEFAULT_SECONDS = 300.0
LONGEST_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook(Value):
    """A command or webhook that is triggered by a change.

    Attributes:
        name: Name in the catalog; unique in a profile.
        actions: Actions of events that trigger the hook, if ``stages`` is empty.
        stages: Stages that trigger the hook when a version enters them.
        models: Pattern for the model's name, with ``*`` and ``?``.
        command: Program and arguments; never run by a shell.
        webhook: URL, instead of a command.
        secret_env: Environment variable with the secret that signs a webhook's body; no command receives it.
        env: Names of variables that the command receives in addition to the documented ones.
        timeout: Time limit in seconds.
        roll_back: Whether a failure undoes the stage change.
        folder: Working folder of the command: the folder of the file that defines the hook.
        file: File that defines the hook.
    """

    name: str
    actions: tuple[str, ...] = ()
    stages: tuple[ModelStage, ...] = ()
    models: str = "*"
    command: tuple[str, ...] = ()
    webhook: str = ""
    secret_env: str = ""
    env: tuple[str, ...] = ()
    timeout: float = DEFAULT_SECONDS
    roll_back: bool = False
    folder: str = ""
    file: str = ""

    def wants(self, action: str, model: str, stage: str) -> bool:
        """Return whether an event triggers the hook.

        Args:
            stage: The stage that the version entered; empty if the event is not a stage change.
        """
        if not fnmatchcase(model, self.models):
            return False
        if self.stages:
            return action == "version.stage_changed" and stage in {wanted.value for wanted in self.stages}
        return action in self.actions


class DeploymentStatus(Enum):
    """Status of a deployment."""

    PENDING = "pending"
    """Recorded with the change that triggered it, not started."""
    DEPLOYING = "deploying"
    DEPLOYED = "deployed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment(Value):
    """A run of a hook.

    Attributes:
        deployment_id: Id in the catalog.
        key: Idempotency key; the same for each attempt.
        event: The event that triggered the hook.
        outcome: Exit status of the command or HTTP status of the webhook; None if there is none.
        output: The end of the output.
    """

    deployment_id: int
    key: str
    hook: str
    event: Event
    status: DeploymentStatus
    attempts: int = 0
    outcome: int | None = None
    output: str = ""
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def stage(self) -> str:
        """The stage that the version entered; empty if the event is not a stage change."""
        return stage_entered(self.event)


def check_deployment(deployment: Deployment) -> Deployment:
    """Return the deployment if its values are valid.

    Raises:
        BadInput: The key, the hook's name, the output or the event's version or stage is invalid.
    """
    if not _KEY.fullmatch(deployment.key):
        raise BadInput(f"invalid deployment key {quoted(deployment.key)}")
    if not NAME.fullmatch(deployment.hook):
        raise BadInput(f"invalid hook name {quoted(deployment.hook)}")
    check_text("output", deployment.output)
    check_hook_event(deployment.event)
    return deployment


def check_hook_event(event: Event) -> None:
    """Check that the values of an event can be passed to a hook.

    Raises:
        BadInput: An event of a version has no version number, or the stage that the version entered is invalid.
    """
    if event.version is None and event.action.startswith("version."):
        raise BadInput(f"the event {quoted(event.action)} has no version")
    if event.action == "version.stage_changed" and event.details.get("to") not in _STAGES:
        raise BadInput(f"invalid stage {quoted(str(event.details.get('to')))}")


_STAGES = tuple(stage.value for stage in ModelStage)


def stage_entered(event: Event) -> str:
    """Return the stage that an event put a version into; empty if the event is not a stage change."""
    return str(event.details.get("to", "")) if event.action == "version.stage_changed" else ""


def parse_hooks(document: object, folder: str, file: str = "") -> tuple[Hook, ...]:
    """Return the hooks that a list of mappings defines.

    Args:
        folder: Working folder of the commands.
        file: File that defines the hooks.

    Raises:
        BadInput: A key is unknown, a value is invalid, or hooks contradict each other; ``details["place"]`` is the
            index of the hook in the list.
    """
    if document is None:
        return ()
    if not isinstance(document, Sequence) or isinstance(document, str):
        raise BadInput("hooks must be a list", hint="see the page on hooks in the documentation")
    if len(document) > HOOKS_LIMIT:
        raise BadInput(f"too many hooks: {len(document)}; the limit is {HOOKS_LIMIT}")
    hooks = []
    for place, entry in enumerate(document):
        try:
            hooks.append(_hook(entry, folder, file))
        except BadInput as error:
            error.details["place"] = place
            raise
    names = [hook.name for hook in hooks]
    duplicate = next((name for name in names if names.count(name) > 1), None)
    if duplicate is not None:
        raise BadInput(f"duplicate hook name {quoted(duplicate)}", hint="rename one of them")
    for place, hook in enumerate(hooks):
        secret = next((other for other in hooks if other.secret_env and other.secret_env in hook.env), None)
        if secret is not None:
            raise BadInput(
                f"env of the hook {hook.name} lists {secret.secret_env}, the secret_env of the hook {secret.name}",
                hint="remove it from env: a command never receives the secret of a webhook",
                place=place,
            )
    return tuple(hooks)


def _hook(document: object, folder: str, file: str) -> Hook:
    """Return the hook that one entry of the list defines.

    Raises:
        BadInput: A key is unknown, a value is invalid, or the values contradict each other.
    """
    if not isinstance(document, Mapping):
        raise BadInput("a hook must be a mapping", hint="see the page on hooks in the documentation")
    for key in document:
        if key not in KEYS:
            raise BadInput(f"unknown key {quoted(str(key))} in a hook", hint=_suggestion(str(key), KEYS))
    get = document.get
    command, webhook = _command(get("command")), _checked_webhook(_text(get("webhook"), "webhook"))
    if bool(command) == bool(webhook):
        raise BadInput("a hook needs either a command or a webhook")
    name = _name(get("name"), _default_name(command, webhook))
    hook = Hook(
        name=name,
        stages=tuple(ModelStage.parse(stage) for stage in _texts(get("stage"), "stage")),
        actions=_actions(get("on")),
        models=_text(get("models"), "models") or "*",
        command=command,
        webhook=webhook,
        roll_back=_rolls_back(get("on_failure"), name),
        secret_env=_secret_variable(get("secret_env"), name),
        env=_variables(get("env"), name),
        timeout=_seconds(get("timeout", DEFAULT_SECONDS), name),
        folder=folder,
        file=file,
    )
    if bool(hook.stages) == bool(hook.actions):
        raise BadInput(f"the hook {name} has no trigger: it needs a stage or an action", hint="write stage: Production")
    if hook.env and webhook:
        raise BadInput(f"the hook {name} calls a webhook, and env applies only to a command")
    return hook


def _name(value: object, default: str) -> str:
    name = _text(value, "name") or default
    if not NAME.fullmatch(name):
        raise BadInput(f"invalid hook name {quoted(name)}", hint="use letters, digits, '.', '_' and '-'")
    return name


def _actions(value: object) -> tuple[str, ...]:
    actions = _texts(value, "on")
    for action in actions:
        if action not in ACTIONS:
            raise BadInput(f"invalid action {quoted(action)} in a hook", hint=_suggestion(action, ACTIONS))
    return actions


def _rolls_back(value: object, name: str) -> bool:
    on_failure = _text(value, "on_failure") or "keep"
    if on_failure not in ("keep", "rollback"):
        raise BadInput(f"on_failure of the hook {name} must be keep or rollback")
    return on_failure == "rollback"


def _secret_variable(value: object, name: str) -> str:
    variable = _text(value, "secret_env")
    if variable and not VARIABLE.fullmatch(variable):
        raise BadInput(
            f"secret_env of the hook {name} must be the name of an environment variable, not the secret itself"
        )
    return variable


def _suggestion(word: str, words: Collection[str]) -> str:
    near = nearest(word, words, 1)
    return f"did you mean {near[0]}?" if near else f"use one of: {', '.join(words)}"


def _command(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        raise BadInput(
            "the command of a hook must be a list of words: it runs without a shell",
            hint='write command: ["sh", "deploy.sh"]',
        )
    words = _texts(value, "command")
    if any("\0" in word for word in words):
        raise BadInput("the command of a hook contains a NUL character")
    return words


def _variables(value: object, name: str) -> tuple[str, ...]:
    """Return the names of the variables that a hook's command receives."""
    found = _texts(value, "env")
    for variable in found:
        if not VARIABLE.fullmatch(variable):
            raise BadInput(
                f"invalid variable name {quoted(variable)} in env of the hook {name}",
                hint="write env: [KUBECONFIG, AWS_PROFILE]; mreg passes their values from its own environment",
            )
    return found


def _default_name(command: tuple[str, ...], webhook: str) -> str:
    if webhook:
        return urlsplit(webhook).hostname or "webhook"
    return command[0].rpartition("/")[2] or "command"


def _checked_webhook(address: str) -> str:
    if not address:
        return ""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("https", "http") and parts.hostname and parts.port != 0 and address.isprintable()
    except ValueError:
        usable = False
    if not usable or " " in address:
        raise BadInput("the webhook of a hook must be a URL that begins with https:// or http://")
    if parts.username or parts.password:
        raise BadInput(
            "the webhook URL of a hook contains a user name or password",
            hint="sign the body instead: secret_env: VARIABLE",
        )
    return address


def _text(value: object, key: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadInput(f"{key} of a hook must be a string")
    return value


def _texts(value: object, key: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence) or not value or not all(isinstance(text, str) for text in value):
        raise BadInput(f"{key} of a hook must be a list of strings")
    return tuple(value)


def _seconds(value: object, name: str) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = 0.0
    if isinstance(value, bool) or not 0 < seconds <= LONGEST_SECONDS:
        raise BadInput(f"timeout of the hook {name} must be from 1 to {LONGEST_SECONDS:.0f} seconds")
    return seconds
