"""Run a hook in a minimal environment."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from mreg.domain.hook import Deployment, Hook
from mreg.hooks.message import Outcome

PASSED = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR"})
"""Variables that every command receives if they are set; those that begin with ``LC_``, too."""

PASSED_ON_WINDOWS = frozenset({
    "APPDATA", "COMSPEC", "LOCALAPPDATA", "PATHEXT", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERPROFILE",
    "WINDIR",
})  # fmt: skip
"""Variables that a command receives on Windows, too, where programs do not start without some of them."""


def run_hook(hook: Hook, deployment: Deployment, environment: Mapping[str, str]) -> Outcome:
    """Run the hook's command or call its webhook, and return its outcome; a failure of either is not raised.

    Args:
        environment: The command's environment, without the variables of the event.
    """
    if hook.command:
        from mreg.hooks.command import run_command

        return run_command(hook, deployment, environment)
    from mreg.hooks.webhook import call_webhook

    return call_webhook(hook, deployment)


def minimal_environment(
    variables: Mapping[str, str], *, settings: Mapping[str, str], named: Collection[str], secrets: Collection[str]
) -> dict[str, str]:
    """Return the environment of a command, without the variables of the triggering event.

    Args:
        variables: Environment of this process.
        settings: ``MREG_*`` variables with which the hook's own mreg commands use the same registry.
        named: Names of further variables that the hook asks for; those that are not set stay unset.
        secrets: Names of the variables with webhook secrets, which no command receives.
    """
    usual = PASSED | PASSED_ON_WINDOWS if os.name == "nt" else PASSED
    found = {
        name: value for name, value in variables.items() if name in usual or name.startswith("LC_") or name in named
    }
    return {name: value for name, value in (found | dict(settings)).items() if name not in secrets}
