"""What came of running a hook."""

from __future__ import annotations

from dataclasses import dataclass

OUTPUT_BYTES = 8_192
"""How much of the end of what a hook says is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a hook.

    Attributes:
        code: Exit status or HTTP status; None where there was none.
        output: The end of what it said, and why it failed where it did not say so itself.
    """

    succeeded: bool
    code: int | None
    output: str
