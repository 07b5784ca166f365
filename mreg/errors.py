"""Every way in which mreg can refuse or fail.

::

    MregError
    ├── BadInput        the caller's words are wrong: a name, a reference, a value, a path
    │   └── BadProfile  a profile or project file is wrong
    ├── NotFound        well formed, and names nothing
    ├── AlreadyExists   the name, the destination or the version is taken
    ├── Conflict        changed meanwhile, or too busy; the same call may succeed when repeated
    ├── NotAllowed      the rules of the registry forbid it as things stand
    ├── GateFailed      a metric gate or a regression check said no
    ├── ApprovalMissing nobody entitled has approved, or somebody has rejected
    ├── DeploymentFailed a hook failed after the change that set it off was made
    ├── Corrupt         bytes, catalog or audit trail are not what they should be
    └── Unavailable     a catalog, a store or a file can't be reached, or permission is refused

The classes differ by what the caller can do next. ``message`` says what and which, in lower case and without a full
stop; ``hint`` is the next thing to do, or empty; ``code`` is stable and meant for programs; ``details`` are the
structured fields of the one case.
"""

from __future__ import annotations

from typing import ClassVar


class MregError(Exception):
    """A failure that mreg understands: nothing has been changed when one is raised.

    Args:
        message: What went wrong and with which object, lower case, no full stop.
        hint: What to do next, usually a command; empty where there is nothing to say.
        details: Structured fields for programs (JSON-ready values alone).
    """

    code: ClassVar[str] = "failed"

    def __init__(self, message: str, *, hint: str = "", **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return self.message


class BadInput(MregError):
    """The caller's words can't be used as they are; repeating the call will not help."""

    code = "bad_input"


class BadProfile(BadInput):
    """A profile file is missing, broken or says something that mreg does not know."""

    code = "bad_profile"


class NotFound(MregError):
    """A well-formed name or reference to which nothing belongs."""

    code = "not_found"


class AlreadyExists(MregError):
    """What was to be made is there already, and was left as it was."""

    code = "already_exists"


class Conflict(MregError):
    """Something changed meanwhile or is too busy; nothing was done and a repeat may succeed."""

    code = "conflict"


class NotAllowed(MregError):
    """The registry's rules forbid this step from the present state."""

    code = "not_allowed"


class LeavesProduction(NotAllowed):
    """The step takes a version out of Production without a replacement, and the caller did not allow that.

    ``details`` has the reference of the version, the stage that it would enter (``to``), and whether Production would
    be empty (``empty``).
    """


class GateFailed(MregError):
    """A metric did not reach its bound."""

    code = "gate_failed"


class ApprovalMissing(MregError):
    """The step needs approvals that it does not have, or it was rejected."""

    code = "approval_missing"


class DeploymentFailed(MregError):
    """A hook failed; unlike with every other error, the change that set it off is made, and perhaps rolled back."""

    code = "deployment_failed"


class Corrupt(MregError):
    """Stored bytes, the catalog or the audit trail are damaged."""

    code = "corrupt"


class Unavailable(MregError):
    """A catalog, store or file can't be reached or may not be used."""

    code = "unavailable"
