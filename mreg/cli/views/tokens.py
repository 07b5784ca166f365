"""Tables of tokens."""

from __future__ import annotations

from mreg.cli.table import Rendering, Table
from mreg.cli.views import View
from mreg.results.tokens import NewToken


def _new_token(made: NewToken) -> Rendering:
    token = made.token
    facts = (("name", token.name), ("role", str(token.role)), ("secret", made.secret), ("line", token.line))
    return Rendering(
        tables=(Table(columns=("field", "value"), rows=facts, facts=True),),
        flat=Table(columns=tuple(name for name, _ in facts), rows=(tuple(value for _, value in facts),)),
        summary="the secret is shown this once; the line is for serve --token-file (-q prints it alone)",
    )


VIEWS = (View(NewToken, render=_new_token, references=lambda made: [made.token.line]),)
