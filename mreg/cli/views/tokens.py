"""Tables of tokens."""

from __future__ import annotations

from collections.abc import Sequence

from mreg.cli.table import Cell, Items, Rendering, Table, Toned
from mreg.cli.views import View
from mreg.results.tokens import EVERY_MODEL, NewToken, TokenInfo


def _shown(facts: tuple[tuple[str, Cell], ...]) -> tuple[tuple[str, Cell], ...]:
    return tuple((name, "never" if name == "expires" and value is None else value) for name, value in facts)


def _new_token(made: NewToken) -> Rendering:
    token = made.token
    limits = (("models", Items(token.models or (EVERY_MODEL,))), ("expires", token.expires))
    facts = (
        ("name", token.name),
        ("role", str(token.role)),
        *limits,
        ("secret", made.secret),
        *(() if made.stored else (("line", token.line),)),
    )
    where = "" if made.stored else "; add the line to the file of mreg serve --token-file"
    return Rendering(
        tables=(Table(columns=("field", "value"), rows=_shown(facts), facts=True),),
        flat=Table(columns=tuple(name for name, _ in facts), rows=(tuple(value for _, value in facts),)),
        summary=f"save the secret now: it is not shown again{where}",
    )


def _tokens(tokens: Sequence[TokenInfo]) -> Rendering:
    columns = ("name", "role", "models", "expires", "last used", "created", "by")
    rows = tuple(
        (
            token.name,
            str(token.role),
            Items(token.models or (EVERY_MODEL,)),
            Toned(token.expires, "bad", "(expired)") if token.expired else token.expires,
            token.last_used_at,
            token.created_at,
            token.created_by,
        )
        for token in tokens
    )
    table = Table(
        columns=columns,
        rows=rows,
        optional=("created", "by", "last used"),
        shortened=("name",),
        wide=("models",),
        empty="no tokens; create one: mreg token create NAME --role writer",
    )
    return Rendering(tables=(table,), flat=table)


def _token(token: TokenInfo) -> Rendering:
    facts = (
        ("name", token.name),
        ("role", str(token.role)),
        ("models", Items(token.models or (EVERY_MODEL,))),
        ("created", token.created_at),
        ("by", token.created_by),
        ("expires", token.expires),
        ("last used", token.last_used_at),
        ("revoked", token.revoked_at),
    )
    return Rendering(
        tables=(Table(columns=("field", "value"), rows=_shown(facts), facts=True),),
        flat=Table(columns=tuple(name for name, _ in facts), rows=(tuple(value for _, value in facts),)),
    )


VIEWS = (
    View(
        NewToken,
        render=_new_token,
        references=lambda made: [made.secret if made.stored else made.token.line],
    ),
    View(TokenInfo, render=_token, render_list=_tokens, references=lambda token: [token.name]),
)
