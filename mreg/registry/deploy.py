"""Deployments: hooks that changes set off, run after the change is durable and again where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.catalog.deployments import (
    Open,
    check_runs,
    claim,
    deployments_of,
    enqueue_one,
    finish,
    open_deployments,
    refuse,
)
from mreg.domain.hook import Deployment, Hook
from mreg.domain.names import ModelName, VersionRef
from mreg.domain.text import counted
from mreg.errors import BadInput, Corrupt, MregError, NotAllowed
from mreg.registry.references import as_reference, find_model, find_version
from mreg.results import Page
from mreg.results.deployments import DeploymentReport

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session

GRACE_SECONDS = 60.0
"""After a hook's timeout and this, the process that ran it is taken for dead."""


def deliver(session: Session) -> tuple[Deployment, ...]:
    """Run the hooks of this profile that wait, also those of processes that died; at least once each.

    The catalog keeps only the name of a hook, and each user runs the hooks of their own profile. Each deployment is
    checked against the hook and the catalog first: the catalog may come from another person. A deployment that does not
    pass is marked as failed, with a note. A hook that fails stays failed until it is asked for again, and undoes its
    stage change if the hook says so. After a crash, the next delivery runs the deployment under the same key.

    Deployments of other processes are left alone if the profile does not name the catalog.
    """
    done: list[Deployment] = []
    own = tuple(session.set_off)
    for hook in session.hooks:
        found = _open(session, hook, own, adopt=session.profile.adopts)
        if found.refused:
            _refuse(session, hook, found)
        for deployment_id in found.runnable:
            finished = _run(session, hook, deployment_id)
            if finished is not None:
                done.append(finished)
        if found.more:
            session.notice(f"more deployments of the hook {hook.name} wait; to run them: mreg deploy --pending")
    session.set_off.difference_update(own)
    session.delivered.extend(done)
    return tuple(done)


def deliver_pending(session: Session) -> tuple[DeploymentReport, ...]:
    """`deliver` for a user who asks for it: a note names the hooks whose deployments are left alone."""
    profile = session.profile
    if not profile.adopts:
        for hook in session.hooks:
            waiting = _open(session, hook, (), adopt=True)
            if waiting.runnable or waiting.refused:
                session.notice(
                    f"deployments of the hook {hook.name} do not run: the profile {profile.name} names no catalog"
                )
    return tuple(map(report, deliver(session)))


def _open(session: Session, hook: Hook, own: tuple[str, ...], *, adopt: bool) -> Open:
    return session.catalog.read(lambda reader: open_deployments(reader, hook, session.now(), own, adopt=adopt))


def _refuse(session: Session, hook: Hook, found: Open) -> None:
    session.write_quietly(lambda writer: refuse(writer, hook, found))
    count = len(found.refused)
    session.notice(
        f"the hook {hook.name} was not run for {counted(count, 'deployment')} of this catalog: "
        f"{next(iter(found.refused.values()))}"
    )


def _run(session: Session, hook: Hook, deployment_id: int) -> Deployment | None:
    import os

    from mreg.hooks.dispatch import dispatch
    from mreg.hooks.environment import minimal_environment

    def take(writer: Writer) -> Deployment | None:
        return claim(writer, hook, deployment_id, session.now(), hook.timeout + GRACE_SECONDS)

    mine = session.write_quietly(take)
    if mine is None:
        return None
    environment = minimal_environment(
        os.environ,
        settings=session.profile.variables_for(hook),
        named=hook.env,
        secrets={one.secret_env for one in session.hooks if one.secret_env},
    )
    outcome = dispatch(hook, mine, environment)
    finished = session.write_quietly(
        lambda writer: finish(writer, mine, succeeded=outcome.succeeded, outcome=outcome.code, output=outcome.output)
    )
    if not outcome.succeeded:
        session.notice(f"the hook {hook.name} failed for {_about(mine)}: {_in_short(finished)}")
        if hook.roll_back:
            _roll_back(session, hook, finished)
    return finished


def _about(deployment: Deployment) -> str:
    event = deployment.event
    what = f"{event.model}@{event.version}" if event.version is not None else event.model or event.action
    return f"{what} in {deployment.stage}" if deployment.stage else what


def _in_short(deployment: Deployment) -> str:
    last = deployment.output.strip().splitlines()[-1:] or ["it said nothing"]
    return last[0] if deployment.outcome is None else f"{deployment.outcome}, {last[0]}"


def _roll_back(session: Session, hook: Hook, deployment: Deployment) -> None:
    """Undo a stage change, unless that was a way back already or something else has come since."""
    from mreg.domain.model import ModelStage
    from mreg.registry.promote import rollback

    event = deployment.event
    if not deployment.stage or event.details.get("returned") or deployment.stage not in ("Staging", "Production"):
        return
    stage = ModelStage.parse(deployment.stage)

    def still_there(reader: Reader) -> bool:
        model = reader.model(ModelName(event.model))
        return model is not None and event.version in {one.version for one in reader.in_stage(model, stage)}

    if not session.catalog.read(still_there):
        return
    try:
        change = rollback(session, event.model, stage=stage, reason=f"the hook {hook.name} failed")
        session.undone.append(change)
        session.notice(f"{change.version.reference} is back in {stage.value}")
    except MregError as error:
        session.notice(f"{_about(deployment)} could not be rolled back: {error.message}")


def deploy(session: Session, reference: VersionRef | str) -> tuple[DeploymentReport, ...]:
    """Run the hooks of a version's stage again.

    Raises:
        NotFound: There is no such model or version.
        NotAllowed: The version is in no stage, this profile has no hook for it, or the catalog holds another event than
            mreg wrote.
    """
    wanted = as_reference(reference)

    def request(writer: Writer) -> None:
        version = find_version(writer, wanted)
        model = find_model(writer, version.model_name)
        entered = next(
            (
                event
                for event in writer.events(model=model, version=version.version)
                if event.action == "version.stage_changed" and event.details.get("to") == version.stage.value
            ),
            None,
        )
        names = {str(model.name), entered.model if entered else ""}  # the hook is told the name in the event
        hooks = [
            one
            for one in session.hooks
            if all(one.wants("version.stage_changed", name, version.stage.value) for name in names)
        ]
        if not hooks or entered is None:
            raise NotAllowed(
                f"no hook of the profile {session.profile.name} is for {version.reference} in {version.stage.value}",
                hint="hooks are defined in your own profile file: mreg profile list says where that is",
            )
        for hook in hooks:
            try:
                check_runs(writer, hook, entered)
            except (BadInput, Corrupt) as error:
                raise NotAllowed(
                    f"the hook {hook.name} is not run for {version.reference}: {error.message}",
                    hint="mreg audit verify",
                ) from error
            enqueue_one(writer, entered, hook.name)
        asked = {"hooks": [hook.name for hook in hooks], "of": entered.seq}
        writer.record("deployment.requested", model, asked, version.version)

    session.write_down(request)
    return tuple(map(report, deliver(session)))


def deployments(
    session: Session, name: ModelName | str, *, limit: int = 100, offset: int = 0
) -> Page[DeploymentReport]:
    """What changes of a model set off, newest first.

    Raises:
        NotFound: There is no such model.
    """
    wanted = name if isinstance(name, ModelName) else ModelName(name)
    found = session.catalog.read(lambda reader: deployments_of(reader, find_model(reader, wanted), limit, offset))
    return Page(map(report, found), more=found.more)


def report(deployment: Deployment) -> DeploymentReport:
    """Return the report of a deployment."""
    event = deployment.event
    return DeploymentReport(
        deployment_id=deployment.deployment_id,
        key=deployment.key,
        hook=deployment.hook,
        reference=f"{event.model}@{event.version}" if event.version is not None else event.model,
        action=event.action,
        stage=deployment.stage,
        status=deployment.status,
        attempts=deployment.attempts,
        outcome=deployment.outcome,
        output=deployment.output,
        created_at=deployment.created_at,
        started_at=deployment.started_at,
        ended_at=deployment.ended_at,
        event_seq=event.seq,
    )
