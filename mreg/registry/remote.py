"""RemoteRegistry: a registry behind `mreg serve`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mreg.registry.registry import Registry
from mreg.registry.remote_session import RemoteSession
from mreg.registry.session import HookLog

if TYPE_CHECKING:
    from mreg.remote.connection import Connection
    from mreg.results.profiles import Profile
    from mreg.results.tokens import Identity


class _Operation:
    """A method that calls a function with the session; the function's module is imported by the first call."""

    def __init__(self, module: str, function: str) -> None:
        self._module, self._function = module, function

    def function(self) -> Callable[..., Any]:
        """Return the function, which takes the session first."""
        function: Callable[..., Any] = getattr(import_module(f"mreg.registry.{self._module}"), self._function)
        return function

    def __get__(self, registry: RemoteRegistry | None, _owner: type) -> Any:
        return self if registry is None else partial(self.function(), registry._session)


def _operation(place: str) -> Any:
    """Return the method that calls ``module.function``; a test compares its signature with the interface's."""
    return _Operation(*place.split("."))


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
        register = _operation("remote_edits.register")
        edit = _operation("remote_edits.edit")
        tag = _operation("remote_edits.tag")
        set_alias = _operation("remote_edits.set_alias")
        remove_alias = _operation("remote_edits.remove_alias")
        evaluate = _operation("remote_edits.evaluate")
        rename = _operation("remote_edits.rename")
        delete = _operation("remote_edits.delete")
        models = _operation("remote_queries.models")
        model = _operation("remote_queries.model")
        version = _operation("remote_queries.version")
        show = _operation("remote_queries.show")
        search = _operation("remote_queries.search")
        compare = _operation("remote_queries.compare")
        history = _operation("remote_queries.history")
        stages_at = _operation("remote_queries.stages_at")
        version_at = _operation("remote_queries.version_at")
        lineage = _operation("remote_queries.lineage")
        why = _operation("remote_queries.why")
        completions = _operation("remote_queries.completions")
        metric_names = _operation("remote_queries.metric_names")
        wait = _operation("remote_queries.wait")
        promote = _operation("remote_stages.promote")
        plan = _operation("remote_stages.plan")
        archive = _operation("remote_stages.archive")
        rollback = _operation("remote_stages.rollback")
        approve = _operation("remote_stages.approve")
        reject = _operation("remote_stages.reject")
        withdraw_decision = _operation("remote_stages.withdraw_decision")
        approvals = _operation("remote_stages.approvals")
        deploy = _operation("remote_stages.deploy")
        deployments = _operation("remote_stages.deployments")
        policy = _operation("remote_policies.policy")
        apply_policy = _operation("remote_policies.apply_policy")
        check_policy = _operation("remote_policies.check_policy")
        create_token = _operation("remote_tokens.create_token")
        tokens = _operation("remote_tokens.tokens")
        revoke_token = _operation("remote_tokens.revoke_token")
        push = _operation("remote_transfers.push")
        plan_push = _operation("remote_transfers.plan_push")
        pull = _operation("remote_transfers.pull")
        locate = _operation("remote_transfers.locate")
        stream = _operation("remote_transfers.stream")
        files = _operation("remote_transfers.files")
        verify_copy = _operation("remote_transfers.verify_copy")
        restore = _operation("remote_refusals.restore")
        upgrade = _operation("remote_refusals.upgrade")
        import_mlflow = _operation("remote_refusals.import_mlflow")
        import_hub = _operation("remote_refusals.import_hub")
        export = _operation("remote_bundles.export")
        import_bundle = _operation("remote_bundles.import_bundle")
        backup = _operation("remote_bundles.backup")
        verify = _operation("remote_upkeep.verify")
        verify_audit = _operation("remote_upkeep.verify_audit")
        gc = _operation("remote_upkeep.gc")
        check = _operation("remote_upkeep.check")
        examine = _operation("remote_upkeep.examine")
