"""Show, apply and check policies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mreg.catalog.policies import Policies, PolicyWriter
from mreg.domain.model import RegisteredModel
from mreg.domain.names import ModelName
from mreg.domain.policy import Policy, metrics_asked_for
from mreg.errors import Conflict
from mreg.registry.admission import assessment_of, occupants
from mreg.registry.departure import departure
from mreg.registry.references import find_model
from mreg.results.policies import ModelPolicy, PolicyCheck

if TYPE_CHECKING:
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.registry.session import Session


def show_policy(session: Session, name: ModelName | str | None = None) -> ModelPolicy:
    """See `mreg.Registry.policy`."""
    wanted = ModelName(name) if isinstance(name, str) else name

    return session.catalog.read(lambda reader: _policy_of(reader, wanted))


def _policy_of(reader: Reader, name: ModelName | None) -> ModelPolicy:
    if name is None:
        default = Policies(reader).stored(None)
        return ModelPolicy(model="", own=default is not None, policy=default or Policy())
    model = find_model(reader, name)
    own = Policies(reader).stored(model)
    return ModelPolicy(model=str(model.name), own=own is not None, policy=Policies(reader).effective(model))


def apply_policy(
    session: Session,
    policy: Policy | None,
    name: ModelName | str | None = None,
    *,
    seen: ModelPolicy | None = None,
) -> ModelPolicy:
    """See `mreg.Registry.apply_policy`."""
    wanted = ModelName(name) if isinstance(name, str) else name
    _warn_of_unknown_metrics(session, policy)

    def change(writer: Writer) -> None:
        if seen is not None and _policy_of(writer, wanted) != seen:
            scope = f"policy of {wanted}" if wanted is not None else "default policy"
            model = f" --model {wanted}" if wanted is not None else ""
            raise Conflict(
                f"the {scope} was not changed: another policy was applied meanwhile",
                hint=f"check and try again: mreg policy show{model}",
            )
        PolicyWriter(writer).set(find_model(writer, wanted) if wanted is not None else None, policy)

    session.write(change)
    return show_policy(session, wanted)


def check_policy(session: Session, policy: Policy, name: ModelName | str | None = None) -> tuple[PolicyCheck, ...]:
    """See `mreg.Registry.check_policy`."""
    wanted = ModelName(name) if isinstance(name, str) else name
    _warn_of_unknown_metrics(session, policy)
    person = session.actor()

    def look(reader: Reader) -> tuple[PolicyCheck, ...]:
        if wanted is not None:
            models: tuple[RegisteredModel, ...] = (find_model(reader, wanted),)
        else:
            models = tuple(found.model for found in reader.models() if Policies(reader).stored(found.model) is None)
        return tuple(
            PolicyCheck(
                reference=version.reference,
                assessment=assessment_of(reader, version, target, policy, entered=True),
                leaving=departure(reader, version, target, person, policy),
            )
            for model in models
            for target in policy.rules
            for version in occupants(reader, model, target)
        )

    return session.catalog.read(look)


def _warn_of_unknown_metrics(session: Session, policy: Policy | None) -> None:
    named = metrics_asked_for(policy) if policy is not None else ()
    unknown = session.catalog.read(
        lambda reader: [metric for metric in named if metric not in reader.metric_names(metric, limit=1)]
    )
    for metric in unknown:
        session.notice(f"a gate uses the metric {metric}, which no version has yet")
