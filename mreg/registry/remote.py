"""RemoteRegistry: a registry behind `mreg serve`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mreg.registry.operation import operation
from mreg.registry.registry import Registry
from mreg.registry.remote_session import RemoteSession
from mreg.registry.session import HookLog

if TYPE_CHECKING:
    from mreg.remote.connection import Connection
    from mreg.results.profiles import Profile
    from mreg.results.tokens import Identity


class RemoteRegistry(Registry):
    """A registry behind `mreg serve`: each operation is a request, and the server enforces the role of the token.

    Results, errors, notices and hook logs are those of a local registry.

    An operation is a function over `RemoteSession` in a module ``mreg/registry/remote_SUBJECT.py``, with the parameters
    of the interface, and one line in the table below. To add a subject, add its module and its lines.

    Args:
        connection: Connection to the server; closed with the registry.
        profile: The profile that named the server.
        notice: Receives notes for the user (default: discarded).
        hook_log: Receives the hooks that the server runs.
    """

    def __init__(
        self,
        connection: Connection,
        profile: Profile,
        notice: Callable[[str], None] | None = None,
        hook_log: HookLog | None = None,
    ) -> None:
        self._session = RemoteSession(
            connection=connection,
            profile=profile,
            notice=notice or (lambda _text: None),
            hook_log=hook_log or HookLog(),
        )

    def close(self) -> None:
        self._session.connection.close()

    @property
    def profile(self) -> Profile:
        return self._session.profile

    @property
    def connection(self) -> Connection:
        """The connection to the server."""
        return self._session.connection

    def whoami(self) -> Identity:
        """Return name, role and limits of the token; see `mreg.registry.remote_identity.whoami`."""
        from mreg.registry.remote_identity import whoami

        return whoami(self._session)

    if not TYPE_CHECKING:  # the interface declares their types
        register = operation("remote_edits.register")
        edit = operation("remote_edits.edit")
        tag = operation("remote_edits.tag")
        set_alias = operation("remote_edits.set_alias")
        remove_alias = operation("remote_edits.remove_alias")
        evaluate = operation("remote_edits.evaluate")
        rename = operation("remote_edits.rename")
        delete = operation("remote_edits.delete")
        models = operation("remote_queries.models")
        model = operation("remote_queries.model")
        version = operation("remote_queries.version")
        show = operation("remote_queries.show")
        search = operation("remote_queries.search")
        compare = operation("remote_queries.compare")
        history = operation("remote_queries.history")
        stages_at = operation("remote_queries.stages_at")
        version_at = operation("remote_queries.version_at")
        lineage = operation("remote_queries.lineage")
        why = operation("remote_queries.why")
        completions = operation("remote_queries.completions")
        metric_names = operation("remote_queries.metric_names")
        wait = operation("remote_queries.wait")
        promote = operation("remote_stages.promote")
        plan = operation("remote_stages.plan")
        archive = operation("remote_stages.archive")
        rollback = operation("remote_stages.rollback")
        approve = operation("remote_stages.approve")
        reject = operation("remote_stages.reject")
        withdraw_decision = operation("remote_stages.withdraw_decision")
        approvals = operation("remote_stages.approvals")
        deploy = operation("remote_stages.deploy")
        deployments = operation("remote_stages.deployments")
        policy = operation("remote_policies.policy")
        apply_policy = operation("remote_policies.apply_policy")
        check_policy = operation("remote_policies.check_policy")
        create_token = operation("remote_tokens.create_token")
        tokens = operation("remote_tokens.tokens")
        revoke_token = operation("remote_tokens.revoke_token")
        push = operation("remote_transfers.push")
        plan_push = operation("remote_transfers.plan_push")
        pull = operation("remote_transfers.pull")
        locate = operation("remote_transfers.locate")
        stream = operation("remote_transfers.stream")
        files = operation("remote_transfers.files")
        verify_copy = operation("remote_transfers.verify_copy")
        restore = operation("remote_refusals.restore")
        upgrade = operation("remote_refusals.upgrade")
        import_mlflow = operation("remote_refusals.import_mlflow")
        import_hub = operation("remote_refusals.import_hub")
        export = operation("remote_bundles.export")
        import_bundle = operation("remote_bundles.import_bundle")
        backup = operation("remote_bundles.backup")
        verify = operation("remote_upkeep.verify")
        verify_audit = operation("remote_upkeep.verify_audit")
        gc = operation("remote_upkeep.gc")
        check = operation("remote_upkeep.check")
        examine = operation("remote_upkeep.examine")
