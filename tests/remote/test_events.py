"""Events of an operation that does not end: what the client reports, and when it gives up."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from mreg.errors import Unavailable
from mreg.remote import events

SERVER = "https://models.example"
END = b'event: result\ndata: {"result": 1}\n\n'


def event(kind: str, **data: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def slowly(chunks: Iterator[bytes], seconds: float = 0.02) -> Iterator[bytes]:
    for chunk in chunks:
        time.sleep(seconds)
        yield chunk


STALLED = {
    "comments": (b":\n\n" for _ in count()),
    "the same progress": (event("progress", done=1, total=9) for _ in count()),
    "bytes without an event": (b":" for _ in count()),
}


@pytest.mark.parametrize("case", STALLED)
def test_an_operation_that_does_not_advance_is_reported_once_and_given_up(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "NOTICE_SECONDS", 0.1)
    monkeypatch.setattr(events, "STALLED_SECONDS", 0.3)
    notices: list[str] = []
    with pytest.raises(Unavailable, match=f"{SERVER} has reported no progress for"):
        events.read(slowly(STALLED[case]), SERVER, notice=notices.append)
    (notice,) = notices
    assert notice.startswith(f"{SERVER} has reported no progress for")
    assert notice.endswith("it is still connected, and Ctrl-C stops the operation")


@pytest.mark.parametrize(
    "step",
    [
        lambda number: event("progress", done=number, total=99),
        lambda number: event("notice", text=str(number)),
        lambda _number: event("part", items=[]),
    ],
)
def test_an_operation_that_advances_has_no_time_limit(
    step: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "NOTICE_SECONDS", 0.2)
    monkeypatch.setattr(events, "STALLED_SECONDS", 0.2)
    sent = [*(step(number) for number in range(15)), END]
    assert events.read(slowly(iter(sent)), SERVER).envelope.result == 1


def test_the_parts_of_a_list_have_a_total_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (events.PARTS_BYTES, events.PROGRESS_BYTES) == (200_000_000, 64_000_000)
    monkeypatch.setattr(events, "PARTS_BYTES", 100_000)
    held: list[int] = []

    def parts() -> Iterator[bytes]:
        for number in count():
            held.append(number)
            yield event("part", items=["x" * 1_000])

    with pytest.raises(Unavailable, match="its result is too large"):
        events.read(parts(), SERVER)
    assert len(held) < 105


def test_progress_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PROGRESS_BYTES", 100_000)
    with pytest.raises(Unavailable, match="it has too many events"):
        events.read((event("progress", done=number, total=0) for number in count()), SERVER)
