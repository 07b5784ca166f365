"""The exceptions of mreg.

::

    MregError
    ├── BadInput          invalid name, reference, value or path
    │   └── BadProfile    invalid profile or project file
    ├── NotFound          valid name or reference, but the object does not exist
    ├── AlreadyExists     the name, the destination or the version is taken
    ├── Conflict          changed by another process, or busy; the same call can succeed later
    │   └── BlobsMissing  blobs of a new version must be uploaded first
    ├── NotAllowed        the rules of the registry forbid the operation in the current state
    │   └── OutsideScope  the client is limited to other models
    ├── GateFailed        a metric gate or a regression check failed
    ├── ApprovalMissing   a required approval is missing, or an approver rejected the version
    ├── Unchanged         nothing changed in the time that the caller gave
    ├── DeploymentFailed  a hook failed after the change that triggered it was committed
    ├── Corrupt           artifact bytes, catalog or audit trail are damaged
    └── Unavailable       a catalog, a store or a file cannot be reached, or permission is denied

The classes differ by what the caller can do next. ``message`` says what failed and for which object, in lower case and
without a full stop; ``hint`` is the next step, or empty; ``code`` is stable and for programs; ``details`` holds the
structured fields of the error.
"""

from __future__ import annotations

from typing import ClassVar


class MregError(Exception):
    """An expected failure. Nothing has been changed when one is raised, except for `DeploymentFailed`.

    Args:
        message: What failed and for which object, in lower case, without a full stop.
        hint: The next step, usually a command (default: none).
        details: Structured fields for programs (only values that JSON can hold).
    """

    code: ClassVar[str] = "failed"
    subcode: ClassVar[str] = ""
    """Distinguishes a subclass that has the code of its base class."""

    def __init__(self, message: str, *, hint: str = "", **details: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = details

    def __str__(self) -> str:
        return self.message


class BadInput(MregError):
    """The input is invalid; repeating the call does not help."""

    code = "bad_input"


class BadProfile(BadInput):
    """A profile or project file is missing, broken, or has unknown keys or values."""

    code = "bad_profile"


class NotFound(MregError):
    """The name or reference is valid, but the object does not exist."""

    code = "not_found"


class AlreadyExists(MregError):
    """The object to create exists already; it was left unchanged."""

    code = "already_exists"


class Conflict(MregError):
    """The object was changed by another process or is busy; nothing was changed, and a retry can succeed."""

    code = "conflict"


class BlobsMissing(Conflict):
    """Blobs of a new version must be uploaded first; ``details`` has the first digests (``blobs``) and ``count``."""

    code = "blobs_missing"


class NotAllowed(MregError):
    """The rules of the registry forbid the operation in the current state."""

    code = "not_allowed"


class LeavesProduction(NotAllowed):
    """The change takes a version out of Production without a replacement, and the caller did not allow that.

    ``details`` has the reference of the version, its new stage (``to``), and whether Production would be empty
    (``empty``).
    """

    subcode = "leaves_production"


class OutsideScope(NotAllowed):
    """The client of a server is limited to some models, and the operation concerns others."""

    code = "outside_scope"


class GateFailed(MregError):
    """A metric failed its gate."""

    code = "gate_failed"


class ApprovalMissing(MregError):
    """A required approval is missing, or an approver rejected the version."""

    code = "approval_missing"


class DeploymentFailed(MregError):
    """A hook failed. Unlike with other errors, the change that triggered it was committed, and perhaps rolled back."""

    code = "deployment_failed"


class Unchanged(MregError):
    """Nothing changed in the time that the caller gave; repeating the call waits longer."""

    code = "unchanged"


class Corrupt(MregError):
    """Artifact bytes, the catalog or the audit trail are damaged."""

    code = "corrupt"


class MissingBlob(Corrupt):
    """A blob that a version needs is not in the artifact store."""

    subcode = "missing_blob"


class DamagedBundle(Corrupt):
    """A bundle to import is damaged or truncated; the registry is not."""

    subcode = "damaged_bundle"


class Unavailable(MregError):
    """A catalog, a store or a file cannot be reached, or permission is denied."""

    code = "unavailable"
