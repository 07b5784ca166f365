"""The JSON of tokens."""

from __future__ import annotations

from typing import Annotated, TypedDict

from mreg.domain.digest import Digest
from mreg.results import tokens as results
from mreg.wire import Form


class NewToken(TypedDict):
    """A token that was just made."""

    name: Annotated[str, "user of the token"]
    role: Annotated[str, "`reader`, `writer`, `approver` or `admin`"]
    line: Annotated[str, "its line in a token file"]
    secret: Annotated[str, "the token itself, which is stored nowhere"]


def _encode_token(made: results.NewToken) -> NewToken:
    token = made.token
    return {"name": token.name, "role": str(token.role), "line": token.line, "secret": made.secret}


def _decode_token(shape: NewToken) -> results.NewToken:
    digest = Digest.parse(shape["line"].rpartition(" ")[2])
    token = results.Token(name=shape["name"], role=results.Role.parse(shape["role"]), digest=digest)
    return results.NewToken(token=token, secret=shape["secret"])


FORMS = (Form(results.NewToken, NewToken, _encode_token, _decode_token),)
