"""Doing what a hook says."""

from __future__ import annotations

from collections.abc import Mapping

from mreg.domain.hook import Deployment, Hook
from mreg.hooks.outcome import Outcome


def dispatch(hook: Hook, deployment: Deployment, environment: Mapping[str, str]) -> Outcome:
    """Run the hook's command or call its webhook; never raises for what these do.

    Args:
        environment: The variables of a command, without those of the event.
    """
    if hook.command:
        from mreg.hooks.command import run_command

        return run_command(hook, deployment, environment)
    from mreg.hooks.webhook import call_webhook

    return call_webhook(hook, deployment)
