"""Policies and decisions in the catalog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mreg.catalog.rows import RESTORE, read_time, row_of, text, truth
from mreg.domain.digest import Digest
from mreg.domain.events import DETAILS_LIMIT
from mreg.domain.names import folded
from mreg.domain.policy import Decision, Policy, parse_policy, policy_document
from mreg.domain.stored import check_target
from mreg.domain.text import check_line, check_text, quoted
from mreg.errors import BadInput, Corrupt

if TYPE_CHECKING:
    from mreg.catalog.database import Row
    from mreg.catalog.reader import Reader
    from mreg.catalog.writer import Writer
    from mreg.domain.model import ModelVersion, RegisteredModel

DEFAULT = 0
"""In place of a model's id: of every model that has no policy of its own."""


def own_policy(reader: Reader, model: RegisteredModel | None) -> Policy | None:
    """The policy of a model itself, or the default one; None where there is none.

    Raises:
        Corrupt: What is stored is no policy.
    """
    row = reader.connection.one("policies.of", model_id=model.model_id if model else DEFAULT)
    if row is None:
        return None
    try:
        document = text(row, "document")
        if len(document) > DETAILS_LIMIT:
            raise BadInput(f"it has {len(document)} characters; the limit is {DETAILS_LIMIT}")
        return parse_policy(json.loads(document), stored=True)
    except (ValueError, RecursionError, BadInput) as error:
        what = f"of {model.name}" if model else "for all models"
        why = error.message if isinstance(error, BadInput) else quoted(str(error))
        raise Corrupt(f"the policy {what} in the catalog can't be read: {why}", hint=RESTORE) from error


def policy_for(reader: Reader, model: RegisteredModel) -> Policy:
    """The policy that holds for a model: its own, else the default, else one that asks for nothing."""
    own = own_policy(reader, model)
    return own if own is not None else own_policy(reader, None) or Policy()


def set_policy(writer: Writer, model: RegisteredModel | None, policy: Policy | None) -> None:
    """Make a policy a model's own, or the default; None removes it. The event has both.

    Raises:
        BadInput: The policy holds a rule that no policy file could hold, such as two for one alias.
    """
    if policy is not None:
        policy = parse_policy(policy_document(policy))
    before = own_policy(writer, model)
    if policy == before:
        return
    model_id = model.model_id if model else DEFAULT
    document = policy_document(policy) if policy is not None else None
    if document is None:
        writer.connection.run("policies.remove", model_id=model_id)
    else:
        writer.connection.run(
            "policies.set",
            model_id=model_id,
            document=json.dumps(document, sort_keys=True, ensure_ascii=False),
            at=writer.time,
            actor=writer.actor,
        )
    details = {"before": policy_document(before) if before is not None else None, "after": document}
    writer.record("policy.changed", model, details)


def decisions_on(reader: Reader, version: ModelVersion) -> tuple[Decision, ...]:
    """What people decided on a version, for any target, oldest first; taken-back decisions are not there."""
    rows = reader.connection.all("policies.decisions", version_id=version.version_id)
    return tuple(_read(row) for row in rows)


@row_of("decisions", "version_id")
def _read(row: Row) -> Decision:
    return Decision(
        target=check_target(text(row, "target")),
        person=check_line("person", text(row, "person")),
        approved=truth(row, "approved"),
        comment=check_text("comment", text(row, "comment")),
        digest=Digest.sha256(text(row, "digest")),
        at=read_time(row["at"]),
    )


def decide(writer: Writer, version: ModelVersion, target: str, *, approved: bool, comment: str) -> None:
    """Keep the actor's decision on a version for a target, in place of an earlier one of theirs."""
    _forget(writer, version, target)
    writer.connection.run(
        "policies.decide",
        version_id=version.version_id,
        target=target,
        person=writer.actor,
        approved=int(approved),
        comment=comment,
        digest=version.artifact.digest.value,
        at=writer.time,
    )
    action = "version.approved" if approved else "version.rejected"
    details = {"target": target, "comment": comment, "checksum": str(version.artifact.digest)}
    writer.record(action, writer.reload_model(version.model_name), details, version.version)


def withdraw(writer: Writer, version: ModelVersion, target: str) -> None:
    """Take the actor's decision back; that there was one has been seen to."""
    _forget(writer, version, target)
    model = writer.reload_model(version.model_name)
    writer.record("version.decision_withdrawn", model, {"target": target}, version.version)


def _forget(writer: Writer, version: ModelVersion, target: str) -> None:
    writer.connection.run(
        "policies.withdraw", version_id=version.version_id, folded=folded(target), person=writer.actor
    )
