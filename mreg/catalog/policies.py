"""Policies and decisions in the catalog."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
"""The model id of the default policy."""


class Policies:
    """Queries of policies and decisions in a transaction."""

    def __init__(self, reader: Reader) -> None:
        self._connection = reader.connection

    def stored(self, model: RegisteredModel | None) -> Policy | None:
        """Return the policy that is set on a model, or the default policy if ``model`` is None; None if it is not set.

        Raises:
            Corrupt: The stored policy is invalid.
        """
        row = self._connection.one("policies.of", model_id=model.model_id if model else DEFAULT)
        if row is None:
            return None
        try:
            document = text(row, "document")
            if len(document) > DETAILS_LIMIT:
                raise BadInput(f"it has {len(document)} characters; the limit is {DETAILS_LIMIT}")
            return parse_policy(json.loads(document), stored=True)
        except (ValueError, RecursionError, BadInput) as error:
            what = f"policy of {model.name}" if model else "default policy"
            why = error.message if isinstance(error, BadInput) else quoted(str(error))
            raise Corrupt(f"cannot read the {what} in the catalog: {why}", hint=RESTORE) from error

    def effective(self, model: RegisteredModel) -> Policy:
        """Return the policy in effect for a model: its own, otherwise the default, or one without rules."""
        own = self.stored(model)
        return own if own is not None else self.stored(None) or Policy()

    def decisions_on(self, version: ModelVersion) -> tuple[Decision, ...]:
        """Return the decisions on a version for all targets, oldest first, without withdrawn ones."""
        rows = self._connection.all("policies.decisions", version_id=version.version_id)
        return tuple(_read(row) for row in rows)


class PolicyWriter(Policies):
    """Changes of policies and decisions, each with its audit event."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer)
        self._writer = writer

    def set(self, model: RegisteredModel | None, policy: Policy | None) -> None:
        """Set the policy of a model, or the default policy if ``model`` is None; a policy of None removes it.

        The event has the policies before and after.

        Raises:
            BadInput: The policy is not valid in a policy file, for example because it has two rules for one alias.
            OutsideScope: The default policy concerns models outside the scope of the writer.
        """
        if model is None:
            change = "mreg policy apply FILE --model NAME" if policy is not None else "mreg policy remove --model NAME"
            self._writer.scope.check_unlimited("change the default policy", change)
        if policy is not None:
            policy = parse_policy(policy_document(policy))
        before = self.stored(model)
        if policy == before:
            return
        model_id = model.model_id if model else DEFAULT
        document = policy_document(policy) if policy is not None else None
        if document is None:
            self._connection.run("policies.remove", model_id=model_id)
        else:
            self._connection.run(
                "policies.set",
                model_id=model_id,
                document=json.dumps(document, sort_keys=True, ensure_ascii=False),
                at=self._writer.time,
                actor=self._writer.actor,
            )
        details = {"before": policy_document(before) if before is not None else None, "after": document}
        self._writer.record("policy.changed", model, details)

    def decide(self, version: ModelVersion, target: str, *, approved: bool, comment: str) -> None:
        """Record the actor's decision on a version for a target; it replaces the actor's earlier one."""
        self._delete(version, target)
        self._connection.run(
            "policies.decide",
            version_id=version.version_id,
            target=target,
            person=self._writer.actor,
            approved=int(approved),
            comment=comment,
            digest=version.artifact.digest.value,
            at=self._writer.time,
        )
        action = "version.approved" if approved else "version.rejected"
        details = {"target": target, "comment": comment, "checksum": str(version.artifact.digest)}
        self._record(action, version, details)

    def withdraw(self, version: ModelVersion, target: str) -> None:
        """Withdraw the actor's decision, which must exist."""
        self._delete(version, target)
        self._record("version.decision_withdrawn", version, {"target": target})

    def void_approvals(self, version: ModelVersion) -> tuple[Decision, ...]:
        """Delete the approvals of a version for all targets, and return them, oldest first; the caller records it."""
        approvals = tuple(decision for decision in self.decisions_on(version) if decision.approved)
        if approvals:
            self._connection.run("policies.void_approvals", version_id=version.version_id)
        return approvals

    def _delete(self, version: ModelVersion, target: str) -> None:
        self._connection.run(
            "policies.withdraw", version_id=version.version_id, folded=folded(target), person=self._writer.actor
        )

    def _record(self, action: str, version: ModelVersion, details: Mapping[str, object]) -> None:
        self._writer.record(action, self._writer.reload_model(version.model_name), details, version.version)


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
