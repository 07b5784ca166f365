"""Times on the command line: local, with their zone shown, and never silently another instant."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

import mreg
from mreg.cli.output import Output
from mreg.cli.table import Table, csv_text, exact, markdown, plain_lines, rendering_of, short
from mreg.cli.times import expression, instant
from mreg.domain.parsing import with_instants
from mreg.errors import BadInput
from tests.conftest import Mreg

BERLIN = "CET-1CEST,M3.5.0,M10.5.0/3"
NEW_YORK = "EST5EDT,M3.2.0,M11.1.0"
KATHMANDU = "<+0545>-5:45"


InZone = Callable[[str | None], None]


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[InZone]:
    """Sets the local zone of this process; None unsets TZ."""

    def choose(zone: str | None) -> None:
        if zone is None:
            monkeypatch.delenv("TZ", raising=False)
        else:
            monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def moved(command: Mreg) -> datetime:
    """Two versions of m; the time at which the second took the first one's place in Production."""
    for content in (b"one", b"two"):
        Path("m.bin").write_bytes(content)
        command("push", "m.bin", "-n", "m")
    command("promote", "m", "1", "--to", "production")
    command("promote", "m", "2", "--to", "production")
    events = json.loads(command("history", "m", "--json").out)
    return max(datetime.fromisoformat(event["at"]) for event in events)


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, KATHMANDU])
def test_a_local_time_asks_for_the_local_instant(command: Mreg, moved: datetime, in_zone: InZone, zone: str) -> None:
    in_zone(zone)
    local = moved.astimezone().replace(tzinfo=None)
    before = (local - timedelta(microseconds=1)).isoformat()
    for words, then, now in (
        (["show", "m@production"], "1", "2"),
        (["history", "m"], "m@1", "m@2"),
    ):
        asked = command(*words, "--at", before, "--format", "plain")
        assert asked.code == 0, asked.err
        found = [line.split("\t") for line in asked.out.splitlines()]
        assert ["version", then] in found or ["Production", then] in found
        assert f"{before} is local time (UTC{moved.astimezone().isoformat()[-6:]}): " in asked.err
        utc = (moved - timedelta(microseconds=1)).isoformat().replace("+00:00", "Z")
        assert utc in asked.err
        after = command(*words, "--at", local.isoformat(), "--format", "plain")
        assert now in after.out


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, KATHMANDU])
def test_a_local_time_in_a_search_is_the_local_instant(
    command: Mreg, moved: datetime, in_zone: InZone, zone: str
) -> None:
    in_zone(zone)
    created = datetime.fromisoformat(json.loads(command("show", "m@2", "--json").out)["created_at"])
    local = created.astimezone().replace(tzinfo=None).isoformat()
    assert command("search", f"created_at = '{local}'", "-q").out == "m@2\n"
    assert command("search", f"created_at < '{local}' and name = m", "-q").out == "m@1\n"
    assert command("search", f"created_at = '{local}Z'", "-q").out == ""
    done = command("search", f"created_at in ({local}, '1999-01-01')", "--json")
    assert [one["version"] for one in json.loads(done.out)] == [2]
    assert f"{local} is local time" in done.err
    assert "1999-01-01 is local time" in done.err
    assert created.isoformat().replace("+00:00", "Z") in done.err


def test_the_python_interface_reads_utc(command: Mreg, moved: datetime, in_zone: InZone) -> None:
    in_zone(NEW_YORK)
    with mreg.open_registry() as registry:
        at = moved.replace(tzinfo=None).isoformat()
        assert registry.version_at("m@production", at).version == 2
        created = registry.version("m@2").created_at.replace(tzinfo=None).isoformat()
        assert [str(one.reference) for one in registry.search(f"created_at = '{created}'")] == ["m@2"]


def test_what_a_table_shows_can_be_asked_for(command: Mreg, moved: datetime, in_zone: InZone) -> None:
    in_zone(BERLIN)
    shown = command("history", "m", "--format", "table").out
    at = short(moved)
    assert at in shown
    assert re.fullmatch(r"[0-9-]{10} [0-9:]{5} CES?T", at)
    asked = command("show", "m@production", "--at", at, "--format", "plain")
    if moved.microsecond:  # the table leaves the fraction out, and that decides the answer
        assert "m@production became m@2 later in that second, at " in asked.err or "in that minute" in asked.err
        assert moved.isoformat().replace("+00:00", "Z") in asked.err
    assert "local time" not in asked.err


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, KATHMANDU, "UTC"])
@pytest.mark.parametrize("seconds", [True, False])
def test_a_time_of_a_table_is_read_as_the_time_it_shows(in_zone: InZone, zone: str, seconds: bool) -> None:
    in_zone(zone)
    for hour in range(4):  # one of them occurs twice in Berlin
        at = datetime(2026, 10, 24, 23, 30, tzinfo=UTC) + timedelta(hours=hour)
        assert datetime.fromisoformat(instant(short(at, seconds=seconds), Output("plain"))) == at


@pytest.mark.parametrize("text", ["2026-03-01 12:00 PST", "2026-07-01 12:00 CET", "12:00 CEST", "2026-03-01 x UTC"])
def test_another_abbreviation_of_a_zone_is_refused(in_zone: InZone, text: str) -> None:
    in_zone(BERLIN)
    with pytest.raises(BadInput, match="invalid time"):
        instant(text, Output("plain"))


def test_a_time_of_a_table_can_be_searched_for(command: Mreg, moved: datetime, in_zone: InZone) -> None:
    in_zone(BERLIN)
    at = short(moved + timedelta(minutes=1))
    assert command("search", f"created_at < '{at}'", "-q").out == "m@2\nm@1\n"
    assert command("search", f"created_at < '{at}'", "-q").err == ""


def test_a_change_in_the_rest_of_the_minute_is_told(command: Mreg, moved: datetime) -> None:
    minute = moved.replace(second=0, microsecond=0)
    shown = command("history", "m", "--at", minute.isoformat(), "--format", "plain")
    assert "the stages of m changed later in that minute, first at " in shown.err
    exact_time = command("history", "m", "--at", (moved + timedelta(seconds=1)).isoformat())
    assert "later in that" not in exact_time.err or moved.second != (moved + timedelta(seconds=1)).second


def test_a_time_before_the_first_version_or_in_the_future_is_told(command: Mreg, moved: datetime) -> None:
    early = command("history", "m", "--at", "1999-01-01T00:00Z")
    assert early.code == 0
    assert "m had no versions then: its history begins at 2" in early.err
    late = command("show", "m@production", "--at", "2999-01-01T00:00Z", "-q")
    assert late.out == "m@2\n"
    assert "in the future" in command("show", "m@production", "--at", "2999-01-01T00:00Z").err
    assert "in the future" in command("history", "m", "--at", "2999-01-01T00:00Z").err


def said(text: str, capfd: pytest.CaptureFixture[str]) -> tuple[str, str]:
    capfd.readouterr()
    found = instant(text, Output("plain"))
    return found, capfd.readouterr().err


def test_a_local_time_that_occurs_twice_says_which_was_taken(
    in_zone: InZone, capfd: pytest.CaptureFixture[str]
) -> None:
    in_zone(BERLIN)
    assert said("2026-10-25T02:30", capfd) == (
        "2026-10-25T00:30:00Z",
        "2026-10-25T02:30 occurs twice in local time; the first is used: 2026-10-25T00:30:00Z; for the second, write "
        "2026-10-25T02:30:00+01:00\n",
    )
    assert said("2026-10-25T02:30+01:00", capfd) == ("2026-10-25T02:30+01:00", "")


def test_a_local_time_that_the_clocks_skip_says_which_was_taken(
    in_zone: InZone, capfd: pytest.CaptureFixture[str]
) -> None:
    in_zone(BERLIN)
    assert said("2026-03-29T02:30", capfd) == (
        "2026-03-29T01:30:00Z",
        "2026-03-29T02:30 does not exist in local time (the clocks go forward); 2026-03-29T01:30:00Z is used: "
        "2026-03-29T03:30:00+02:00\n",
    )


@pytest.mark.parametrize(
    ("zone", "text", "found"),
    [
        (BERLIN, "2026-03-01", "2026-02-28T23:00:00Z"),
        (BERLIN, "2026-07-01 12:00", "2026-07-01T10:00:00Z"),
        (BERLIN, "2026-07-01T12:00:34.567891", "2026-07-01T10:00:34.567891Z"),
        (BERLIN, "20260701T1200", "2026-07-01T10:00:00Z"),
        (NEW_YORK, "2026-01-01T12:00", "2026-01-01T17:00:00Z"),
        ("UTC", "2026-01-01T12:00", "2026-01-01T12:00:00Z"),
        ("No/Such-Zone", "2026-01-01T12:00", "2026-01-01T12:00:00Z"),
        ("", "2026-01-01T12:00", "2026-01-01T12:00:00Z"),
    ],
)
def test_a_time_without_a_zone_is_read_in_the_zone_of_the_tables(
    in_zone: InZone, capfd: pytest.CaptureFixture[str], zone: str, text: str, found: str
) -> None:
    in_zone(zone)
    assert said(text, capfd)[0] == found
    assert short(datetime.fromisoformat(found))[:16] == datetime.fromisoformat(text).isoformat(" ")[:16]
    assert said(text, capfd)[1].count("\n") == 1


def test_without_a_zone_in_the_environment_the_systems_zone_is_used(
    in_zone: InZone, capfd: pytest.CaptureFixture[str]
) -> None:
    in_zone(None)
    at = datetime(2026, 1, 1, 12, tzinfo=UTC)
    text = at.astimezone().replace(tzinfo=None).isoformat()
    assert said(text, capfd)[0] == "2026-01-01T12:00:00Z"


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK])
@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59"])
def test_a_time_at_the_edge_of_the_calendar_is_read_or_refused(
    in_zone: InZone, capfd: pytest.CaptureFixture[str], zone: str, text: str
) -> None:
    in_zone(zone)
    try:
        assert said(text, capfd)[0].endswith("Z")
    except BadInput as error:
        assert error.message == f"invalid time '{text}'"
    assert short(datetime.fromisoformat(text).replace(tzinfo=UTC))[:4] in ("0001", "9999")


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, KATHMANDU])
def test_every_local_time_is_read_as_the_instant_that_shows_it(
    in_zone: InZone, capfd: pytest.CaptureFixture[str], zone: str
) -> None:
    in_zone(zone)
    chance = random.Random(12)
    for _ in range(500):
        naive = datetime(1990, 1, 1) + timedelta(seconds=chance.randrange(45 * 365 * 24 * 3600))  # noqa: DTZ001
        found, note = said(naive.isoformat(), capfd)
        shown = datetime.fromisoformat(found).astimezone().replace(tzinfo=None)
        assert shown == naive or ("does not exist" in note and shown - naive == timedelta(hours=1))


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "2026-02-30T12:00", "12:00", "2026-03-01T25:00"])
def test_what_is_not_a_time_is_refused(command: Mreg, moved: datetime, text: str) -> None:
    for words in (["show", "m@production", "--at", text], ["history", "m", "--at", text]):
        done = command(*words)
        assert done.code == 2
        assert "invalid time" in done.err
    assert command("search", f"created_at > '{text}'").code == 2


def test_an_error_in_an_expression_points_at_what_was_typed(command: Mreg) -> None:
    done = command("search", "created_at > 2026-03-01 and nothing > x")
    assert done.code == 2
    assert "at character 39 of the expression" in done.err
    assert "local time" not in done.err


def test_only_times_without_a_zone_are_changed_in_an_expression() -> None:
    text = (
        "name = '2026-03-01' and (created_at > 2026-03-01 or updated_at in ('2026-03-02', \"2026-03-03T00:00Z\")) "
        "and params.day = 2026-03-04 and deployed_at is null"
    )
    assert with_instants(text, lambda time: f"{time}T05:00Z") == (
        "name = '2026-03-01' and (created_at > '2026-03-01T05:00Z' or updated_at in ('2026-03-02T05:00Z', "
        '"2026-03-03T00:00Z")) and params.day = 2026-03-04 and deployed_at is null'
    )
    assert expression("", Output("plain")) == ""


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, "UTC"])
def test_tables_show_the_zone_and_everything_else_is_utc(in_zone: InZone, zone: str) -> None:
    in_zone(zone)
    at = datetime(2026, 7, 1, 12, 0, 34, 567891, tzinfo=timezone(timedelta(hours=9)))
    rendering = rendering_of(Table(columns=("at",), rows=((at,),)))
    shown = {
        BERLIN: "2026-07-01 05:00 CEST",
        NEW_YORK: "2026-06-30 23:00 EDT",
        "UTC": "2026-07-01 03:00 UTC",
    }
    assert short(at) == shown[zone]
    assert short(at, seconds=True) == shown[zone].replace(":00 ", ":00:34 ")
    assert exact(at) == "2026-07-01T03:00:34.567891Z"
    assert plain_lines(rendering.flat)[1] == "2026-07-01T03:00:34.567891Z"
    assert "2026-07-01T03:00:34.567891Z" in csv_text(rendering.flat)
    assert "2026-07-01 03:00 UTC" in markdown(rendering)


SHOWING_TIMES = (["list"], ["show", "m"], ["show", "m@2"], ["history", "m"], ["why", "m@production"], ["search"])


@pytest.mark.parametrize(("zone", "end"), [(NEW_YORK, "E[SD]T"), (KATHMANDU, r"\+05:45"), ("UTC", "UTC")])
def test_a_table_follows_the_zone_and_json_does_not(
    command: Mreg, process: Mreg, moved: datetime, in_zone: InZone, monkeypatch: pytest.MonkeyPatch, zone: str, end: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    usual = [command(*words, "--json").out for words in SHOWING_TIMES]
    in_zone(zone)
    assert [command(*words, "--json").out for words in SHOWING_TIMES] == usual
    shown = [command(*words, "--format", "table").out for words in SHOWING_TIMES]
    for words, text in zip(SHOWING_TIMES, shown, strict=True):
        assert re.search(rf"[0-9]{{2}}:[0-9]{{2}} {end}\s", text), (words, text)
    assert process("list", "--format", "table").out == shown[0]  # the variable alone is what a process has


def test_times_without_a_zone_make_an_expression_longer_and_the_error_says_so() -> None:
    text = " and ".join(["created_at > 2020-01-01"] * 140)
    assert len(text) < 4000
    with pytest.raises(BadInput) as caught:
        with_instants(text, lambda time: f"{time}T00:00:00Z")
    assert caught.value.message == (
        "the search expression has 5595 characters after zones were added to its times; the limit is 4000"
    )
