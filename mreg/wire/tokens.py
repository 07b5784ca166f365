"""The JSON of tokens."""

from __future__ import annotations

from typing import Annotated, TypedDict

from mreg.domain.digest import Digest
from mreg.domain.events import time_text
from mreg.results import tokens as results
from mreg.wire import Form, decode_optional_time, decode_time, encode_time


class NewToken(TypedDict):
    """A token that was just created."""

    name: Annotated[str, "user of the token"]
    role: Annotated[str, "`reader`, `writer`, `approver` or `admin`"]
    models: Annotated[list[str], "patterns of model names; empty for all models"]
    expires: Annotated[str | None, "time from which on it is refused, or null"]
    stored: Annotated[bool, "whether the catalog has it; otherwise its line is for a token file"]
    line: Annotated[str, "its line in a token file"]
    secret: Annotated[str, "the token itself, which is stored nowhere"]


class TokenInfo(TypedDict):
    """A token of the catalog."""

    name: Annotated[str, "user of the token"]
    role: Annotated[str, "`reader`, `writer`, `approver` or `admin`"]
    models: Annotated[list[str], "patterns of model names; empty for all models"]
    created_at: Annotated[str, "time of its creation"]
    created_by: Annotated[str, "user who created it"]
    expires: Annotated[str | None, "time from which on it is refused, or null"]
    last_used_at: Annotated[str | None, "time of a recent use, up to an hour before the last one, or null"]
    revoked_at: Annotated[str | None, "time at which it was revoked, or null"]
    expired: Annotated[bool, "whether it had expired when it was read, by the clock of the registry or server"]


class Identity(TypedDict):
    """A client as the server knows it."""

    name: Annotated[str, "name of its token"]
    role: Annotated[str, "`reader`, `writer`, `approver` or `admin`"]
    models: Annotated[list[str], "patterns of model names; empty for all models"]
    expires: Annotated[str | None, "time from which on the token is refused, or null"]
    version: Annotated[str, "version of mreg on the server"]


def _encode_token(made: results.NewToken) -> NewToken:
    token = made.token
    return {
        "name": token.name,
        "role": str(token.role),
        "models": list(token.models),
        "expires": encode_time(token.expires),
        "stored": made.stored,
        "line": token.line,
        "secret": made.secret,
    }


def _decode_token(shape: NewToken) -> results.NewToken:
    token = results.Token(
        name=shape["name"],
        role=results.Role.parse(shape["role"]),
        digest=Digest.sha256(shape["line"].rpartition(" sha256:")[2][:64]),
        models=tuple(shape["models"]),
        expires=decode_optional_time(shape["expires"]),
    )
    return results.NewToken(token=token, secret=shape["secret"], stored=shape["stored"])


def _encode_info(token: results.TokenInfo) -> TokenInfo:
    return {
        "name": token.name,
        "role": str(token.role),
        "models": list(token.models),
        "created_at": time_text(token.created_at),
        "created_by": token.created_by,
        "expires": encode_time(token.expires),
        "last_used_at": encode_time(token.last_used_at),
        "revoked_at": encode_time(token.revoked_at),
        "expired": token.expired,
    }


def _decode_info(shape: TokenInfo) -> results.TokenInfo:
    return results.TokenInfo(
        name=shape["name"],
        role=results.Role.parse(shape["role"]),
        models=tuple(shape["models"]),
        created_at=decode_time(shape["created_at"]),
        created_by=shape["created_by"],
        expires=decode_optional_time(shape["expires"]),
        last_used_at=decode_optional_time(shape["last_used_at"]),
        revoked_at=decode_optional_time(shape["revoked_at"]),
        expired=shape["expired"],
    )


def _encode_identity(client: results.Identity) -> Identity:
    return {
        "name": client.name,
        "role": str(client.role),
        "models": list(client.models),
        "expires": encode_time(client.expires),
        "version": client.version,
    }


def _decode_identity(shape: Identity) -> results.Identity:
    return results.Identity(
        name=shape["name"],
        role=results.Role.parse(shape["role"]),
        models=tuple(shape["models"]),
        expires=decode_optional_time(shape["expires"]),
        version=shape["version"],
    )


FORMS = (
    Form(results.NewToken, NewToken, _encode_token, _decode_token),
    Form(results.TokenInfo, TokenInfo, _encode_info, _decode_info),
    Form(results.Identity, Identity, _encode_identity, _decode_identity),
)
