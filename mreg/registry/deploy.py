"""Deployments: run the hooks that changes trigger once the change is durable, and again on request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mreg.catalog.deployments import Deployments, DeploymentWriter, OpenDeployments
from mreg.domain.hook import Deployment, Hook
from mreg.domain.names import ModelName
from mreg.domain.text import Caution, counted
from mreg.errors import BadInput, Corrupt, MregError, NotAllowed
from mreg.registry.references import as_name, as_reference, find_model, find_version
from mreg.registry.registry import Name, Reference
from mreg.registry.session import HookLog, Session
from mreg.results import Page
from mreg.results.deployments import DeploymentReport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.events import Event
    from mreg.domain.model import ModelVersion
    from mreg.results.changes import StageChange

GRACE_SECONDS = 60.0
"""Seconds after a hook's timeout until the process that runs it is considered dead."""


def deliver(session: Session) -> tuple[Deployment, ...]:
    """Run the pending hooks of this profile, including those of processes that died; each runs at least once.

    The catalog stores only the names of hooks, and each user's profile defines them. A catalog can come from another
    person, so each deployment is first checked against the hook and the catalog; one that fails the check is marked as
    failed, with a notice. A failed hook stays failed until `deploy` requests it again, and its stage change is rolled
    back if the hook is defined so. After a crash, the next delivery runs the deployment under the same key.

    Deployments of other processes are skipped if the profile does not name the catalog. Hooks run for all models, also
    if the session is limited to some; it then learns nothing about the deployments of others.
    """
    own = tuple(session.enqueued)
    if not session.scope.limited:
        done = _deliver(session, own, adopt=session.profile.adopts)
    else:
        done = _deliver_limited(session, own)
    session.enqueued.difference_update(own)
    session.hook_log.deployments.extend(_reports(session, done))
    return tuple(done)


def _deliver_limited(session: Session, own: tuple[str, ...]) -> list[Deployment]:
    """Run the same deployments as `_deliver`; the session learns only about its own, and sees only its models."""
    log = HookLog(events=session.hook_log.events)
    whole = session.unlimited()
    finished = _deliver(replace(whole, hook_log=log), own, adopt=False)
    quiet = replace(whole, notice=lambda _text: None, hook_log=HookLog())
    _deliver(quiet, (), adopt=session.profile.adopts)

    def look(reader: Reader) -> tuple[list[Deployment], list[StageChange]]:
        versions = {version.version_id: version for version in reader.versions_by_id([*rolled_back])}
        changes = [replace(rolled_back[number], version=version) for number, version in versions.items()]
        return [Deployments(reader).shown(deployment) for deployment in finished], changes

    rolled_back = {change.version.version_id: change for change in log.rollbacks}
    done, changes = session.catalog.read(look)
    session.hook_log.rollbacks.extend(changes)
    return done


def _deliver(session: Session, own: tuple[str, ...], *, adopt: bool) -> list[Deployment]:
    """Run the deployments with these keys, and those of other processes if ``adopt``."""
    done: list[Deployment] = []
    for hook in session.hooks:
        found = _open(session, hook, own, adopt=adopt)
        if found.refused:
            _refuse(session, hook, found)
        for deployment_id in found.runnable:
            finished = _run(session, hook, deployment_id)
            if finished is not None:
                done.append(finished)
        if found.more:
            session.notice(f"more deployments of the hook {hook.name} are pending; to run them: mreg deploy --pending")
    return done


def _deliver_pending(session: Session) -> tuple[DeploymentReport, ...]:
    """Run `deliver` at the user's request, with a notice of each hook whose deployments are skipped."""
    profile = session.profile
    if not profile.adopts:
        for hook in session.hooks:
            waiting = _open(session, hook, (), adopt=True)
            if waiting.runnable or waiting.refused:
                owner = "the server's profile" if session.served else f"the profile {profile.name}"
                message = f"deployments of the hook {hook.name} are not run: {owner} has no catalog"
                session.notice(Caution(message))
    return _reports(session, deliver(session))


def _open(session: Session, hook: Hook, own: tuple[str, ...], *, adopt: bool) -> OpenDeployments:
    return session.catalog.read(lambda reader: Deployments(reader).open(hook, session.now(), own, adopt=adopt))


def _refuse(session: Session, hook: Hook, deployments: OpenDeployments) -> None:
    session.write_quietly(lambda writer: DeploymentWriter(writer).refuse(hook, deployments))
    count = len(deployments.refused)
    message = f"the hook {hook.name} was not run for {counted(count, 'deployment')} of this catalog"
    session.notice(Caution(f"{message}: {next(iter(deployments.refused.values()))}"))


def _run(session: Session, hook: Hook, deployment_id: int) -> Deployment | None:
    import os

    from mreg.hooks.run import minimal_environment, run_hook

    def take(writer: Writer) -> Deployment | None:
        return DeploymentWriter(writer).claim(hook, deployment_id, session.now(), hook.timeout + GRACE_SECONDS)

    claimed = session.write_quietly(take)
    if claimed is None:
        return None
    environment = minimal_environment(
        os.environ,
        settings=session.profile.variables_for(hook),
        named=hook.env,
        secrets={other.secret_env for other in session.hooks if other.secret_env},
    )
    outcome = run_hook(hook, claimed, environment)
    finished = session.write_quietly(
        lambda writer: DeploymentWriter(writer).finish(
            claimed, succeeded=outcome.succeeded, outcome=outcome.code, output=outcome.output
        )
    )
    if not outcome.succeeded:
        session.notice(f"the hook {hook.name} failed for {_described(session, claimed)}: {_failure(hook, finished)}")
        if hook.roll_back:
            _roll_back(session, hook, finished)
    return finished


def _described(session: Session, deployment: Deployment) -> str:
    event = deployment.event
    what = event.reference or event.action
    if session.audience is not None and not session.audience.allows(event.model):
        what = f"version {event.version}"  # the event has a former name of the model
    return f"{what} in {deployment.stage}" if deployment.stage else what


def _failure(hook: Hook, deployment: Deployment) -> str:
    last, code = (deployment.output.strip().splitlines() or ["no output"])[-1], deployment.outcome
    if code is None:
        return last
    if hook.webhook:
        return f"HTTP {code}, {last}"
    return f"exit code {code}, {last}" if code >= 0 else f"killed by signal {-code}, {last}"


def _roll_back(session: Session, hook: Hook, deployment: Deployment) -> None:
    """Roll back a stage change, unless it was a rollback itself or the version has left the stage since."""
    from mreg.domain.model import ModelStage
    from mreg.registry.promote import rollback

    event = deployment.event
    if not deployment.stage or event.details.get("returned") or deployment.stage not in ("Staging", "Production"):
        return
    stage = ModelStage.parse(deployment.stage)

    def still_there(reader: Reader) -> bool:
        model = reader.model(ModelName(event.model))
        return model is not None and event.version in {version.version for version in reader.in_stage(model, stage)}

    if not session.catalog.read(still_there):
        return
    try:
        change = rollback(session, event.model, stage=stage, reason=f"the hook {hook.name} failed")
        session.hook_log.rollbacks.append(change)
        session.notice(f"rolled back: {change.version.reference} is {stage.location} again")
    except MregError as error:
        session.notice(f"{_described(session, deployment)} could not be rolled back: {error.message}")


def deploy(session: Session, reference: Reference | None = None) -> tuple[DeploymentReport, ...]:
    """See `mreg.Registry.deploy`."""
    if reference is None:
        session.scope.check_unlimited("run the pending deployments of all models", "mreg deploy NAME@production")
        return _deliver_pending(session)
    wanted = as_reference(reference)
    if session.scope.limited:
        wanted = as_reference(session.catalog.read(lambda reader: find_version(reader, wanted)))

    keys: list[str] = []

    def request(writer: Writer) -> None:
        keys.clear()  # the transaction can be retried
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
        names = {str(model.name), entered.model if entered else ""}  # the hook receives the name in the event
        hooks = [
            hook
            for hook in session.hooks
            if all(hook.wants("version.stage_changed", name, version.stage.value) for name in names)
        ]
        if not hooks or entered is None:
            raise _no_hook(session, version, entered)
        queue = DeploymentWriter(writer)
        for hook in hooks:
            try:
                queue.check_runs(hook, entered)
            except (BadInput, Corrupt) as error:
                raise NotAllowed(
                    f"cannot run the hook {hook.name} for {version.reference}: {error.message}",
                    hint="mreg audit verify",
                ) from error
            keys.append(queue.enqueue(entered, hook.name))
        details = {"hooks": [hook.name for hook in hooks], "of": entered.seq}
        writer.record("deployment.requested", model, details, version.version)

    # A hook runs for the unchanged event of the audit trail, which a limited session does not see.
    session.unlimited().write_and_enqueue(request)
    session.enqueued.update(keys)
    return _reports(session, deliver(session))


def _no_hook(session: Session, version: ModelVersion, entered: Event | None) -> NotAllowed:
    """Return the error for a version without a hook to run."""
    if entered is None:
        return NotAllowed(
            f"cannot run hooks for {version.reference}: it has not entered a stage",
            hint=f"mreg promote {version.reference} --to staging",
        )
    owner, hint = "the server", "operator of the server: define a hook in the profile file of the server's account"
    if not session.served:
        owner = f"the profile {session.profile.name}"
        hint = "define a hook in your profile file; to find the file: mreg profile list"
    return NotAllowed(f"no hook of {owner} matches {version.reference} in {version.stage.value}", hint=hint)


def deployments(session: Session, name: Name, *, limit: int = 100, offset: int = 0) -> Page[DeploymentReport]:
    """See `mreg.Registry.deployments`."""
    wanted = as_name(name)
    found = session.catalog.read(lambda reader: Deployments(reader).of_model(find_model(reader, wanted), limit, offset))
    return Page(_reports(session, found), more=found.more, kind=DeploymentReport)


def _reports(session: Session, deployments: Iterable[Deployment]) -> tuple[DeploymentReport, ...]:
    """Return the reports of deployments as the caller may see them."""
    return tuple(_report(deployment, session.hide or str) for deployment in deployments)


def _report(deployment: Deployment, hide: Callable[[str], str]) -> DeploymentReport:
    event = deployment.event
    return DeploymentReport(
        deployment_id=deployment.deployment_id,
        key=deployment.key,
        hook=deployment.hook,
        reference=event.reference,
        action=event.action,
        stage=deployment.stage,
        status=deployment.status,
        attempts=deployment.attempts,
        outcome=deployment.outcome,
        output=hide(deployment.output),
        created_at=deployment.created_at,
        started_at=deployment.started_at,
        ended_at=deployment.ended_at,
        event_seq=event.seq,
    )
