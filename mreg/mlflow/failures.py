"""Errors of mreg as errors of MLflow, with MLflow's codes; errors that MLflow has, too, have its text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    DATA_LOSS,
    INTERNAL_ERROR,
    INVALID_PARAMETER_VALUE,
    INVALID_STATE,
    PERMISSION_DENIED,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_CONFLICT,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
    UNAUTHENTICATED,
)

from mreg.errors import (
    AlreadyExists,
    ApprovalMissing,
    BadInput,
    Conflict,
    Corrupt,
    GateFailed,
    MregError,
    NotAllowed,
    NotFound,
    OutsideScope,
    Unavailable,
)

_CODES = {
    BadInput: INVALID_PARAMETER_VALUE,
    NotFound: RESOURCE_DOES_NOT_EXIST,
    AlreadyExists: RESOURCE_ALREADY_EXISTS,
    Conflict: RESOURCE_CONFLICT,
    ApprovalMissing: PERMISSION_DENIED,
    GateFailed: INVALID_STATE,
    OutsideScope: PERMISSION_DENIED,
    NotAllowed: INVALID_STATE,
    Corrupt: DATA_LOSS,
    Unavailable: TEMPORARILY_UNAVAILABLE,
}

_OF_SERVERS: dict[object, int] = {401: UNAUTHENTICATED, 403: PERMISSION_DENIED}
"""Codes for the refusals of a server by their HTTP status: repeating the call does not help."""


@contextmanager
def translated(name: str = "", version: object = "") -> Iterator[None]:
    """Raise errors of mreg as `MlflowException`.

    Args:
        name: Name of the model in MLflow, for MLflow's wording.
        version: The version that the caller named.
    """
    try:
        yield
    except MregError as error:
        raise failure(error, name, version) from error


def failure(error: MregError, name: str = "", version: object = "") -> MlflowException:
    """Return the error of MLflow for an error of mreg; see `translated`."""
    code = _OF_SERVERS.get(error.details.get("status"))  # of a refusal for the token
    if code is None:
        code = next((code for kind, code in _CODES.items() if isinstance(error, kind)), INTERNAL_ERROR)
    if isinstance(error, NotFound) and name:
        if error.details.get("kind") == "version" and version:
            return missing_version(name, version)
        if error.details.get("kind") == "model":
            return missing_model(name)
    hint = f" (hint: {error.hint})" if error.hint else ""
    return MlflowException(f"{error.message}{hint}", error_code=code)


def missing_model(name: str) -> MlflowException:
    """Return MLflow's error for a model that does not exist."""
    return MlflowException(f"Registered Model with name={name} not found", error_code=RESOURCE_DOES_NOT_EXIST)


def missing_version(name: str, version: object) -> MlflowException:
    """Return MLflow's error for a version that does not exist."""
    return MlflowException(
        f"Model Version (name={name}, version={version}) not found", error_code=RESOURCE_DOES_NOT_EXIST
    )


def invalid(message: str) -> MlflowException:
    """Return MLflow's error for an invalid argument."""
    return MlflowException(message, error_code=INVALID_PARAMETER_VALUE)
