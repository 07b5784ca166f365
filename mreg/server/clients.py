"""Routes of clients and their tokens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse

from mreg import __version__
from mreg.domain.text import folded_text, quoted
from mreg.errors import AlreadyExists, MregError
from mreg.results.tokens import Identity, Role, Token, is_below
from mreg.server import schemas
from mreg.server.access import Access
from mreg.server.envelopes import EnvelopeRoute
from mreg.server.guard import Caller
from mreg.server.models import Body
from mreg.server.parameters import RegistryOf, decoded, json_response, requires_role
from mreg.server.schemas import PROBLEMS, responses
from mreg.server.settings import ServerSettings

router = APIRouter(route_class=EnvelopeRoute, tags=["clients"], responses=PROBLEMS)


@router.get("/whoami", responses=responses(schemas.Identity))
async def whoami(request: Request) -> JSONResponse:
    """Return the name, the role and the limits of the client's token, and the version of the server."""
    caller: Caller = request.scope["mreg.caller"]
    token = caller.token
    return json_response(
        Identity(
            name=caller.name,
            role=caller.role,
            models=token.models if token else (),
            expires=token.expires if token else None,
            version=__version__,
        )
    )


class NewTokenRequest(Body):
    """A new token."""

    name: str = Field(description="Name of the client: the user in the audit trail.", examples=["ci"])
    role: str = Field("reader", description="reader, writer, approver or admin.", examples=["writer"])
    models: list[str] = Field(
        [],
        description="Patterns of the names of the models that it may see and change; empty for all models.",
        examples=[["team-a/*"]],
    )
    expires: str | None = Field(
        None, description="Time, or period such as 90d, after which it is refused (default: never).", examples=["90d"]
    )


@router.post("/tokens", responses=responses(schemas.NewToken), dependencies=[requires_role(Role.ADMIN)])
def create_token(body: NewTokenRequest, registry: RegistryOf, request: Request) -> JSONResponse:
    """Create a token. The response alone has its secret.

    A token that a limited token creates has no more models and expires no later. If the token `lead` is limited to
    models, the names of the tokens that it creates begin with `lead/`.
    """
    settings: ServerSettings = request.app.state.settings
    caller: Caller = request.scope["mreg.caller"]
    form = folded_text(body.name)
    # A limited client learns nothing about names that it cannot have.
    permitted = not caller.scope.limited or is_below(caller.name, body.name)
    if permitted and any(folded_text(token.name) == form for token in _configured(settings)):
        raise AlreadyExists(
            f"token {quoted(body.name)} already exists in the token file of the server", hint="choose another name"
        )
    return json_response(registry.create_token(body.name, role=body.role, models=body.models, expires=body.expires))


async def _write_uses(request: Request) -> None:
    access: Access = request.app.state.access
    await access.write_uses()


@router.get(
    "/tokens",
    responses=responses(list[schemas.TokenInfo]),
    dependencies=[requires_role(Role.ADMIN), Depends(_write_uses)],
)
def tokens(registry: RegistryOf) -> JSONResponse:
    """List the tokens of the catalog that are not revoked, oldest first.

    A client whose token is limited to models sees the tokens that are limited to some of these.
    """
    return json_response(registry.tokens())


@router.delete("/tokens/{name}", responses=responses(schemas.TokenInfo), dependencies=[requires_role(Role.ADMIN)])
def revoke_token(
    registry: RegistryOf,
    name: Annotated[str, Path(description="Name of the token.", examples=["ci"])],
    with_created: Annotated[
        bool, Query(description="Also revoke the tokens that its client created, and that these created in turn.")
    ] = False,
) -> JSONResponse:
    """Revoke a token of the catalog. It is refused from the next request on, and running requests end."""
    return json_response(registry.revoke_token(decoded(name), with_created=with_created))


def _configured(settings: ServerSettings) -> tuple[Token, ...]:
    try:
        return settings.current_tokens()
    except MregError:
        return ()
