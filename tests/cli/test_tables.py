"""Tables on a terminal: which columns are shown, how they are ordered, and how a value is written."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mreg import streams
from mreg.cli.table import Items, Rendering, Size, Table, csv_text, exact, markdown, plain_lines, short
from mreg.cli.terminal import print_rendering
from mreg.domain.text import size_text
from tests.conftest import Mreg


@pytest.fixture
def registry_of_two(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> Mreg:
    """churn with three versions by a user with a long name, and ranker without a version, on 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("MREG_USER", "bo.jensen@example.com")
    for number in (1, 2, 3):
        Path("m.bin").write_bytes(b"m" * 125_000 * number)
        command(
            "push", "m.bin", "-n", "churn", "--accuracy", f"0.9{5 - number}", "--f1-score", "0.5", "--metric", "auc=0.9",
            "--latency-ms", f"{number}", "--param", f"lr=0.{number}", "--tag", f"data=2026-0{number}",
        )  # fmt: skip
    command("promote", "churn@2", "--to", "production")
    command("register", "ranker")
    return command


def drawn(command: Mreg, *words: str) -> list[str]:
    done = command(*words, "--format", "table")
    assert done.code == 0, done.err
    return [line.rstrip() for line in done.out.splitlines()]


def print_table(table: Table, capfd: pytest.CaptureFixture[str]) -> list[str]:
    print_rendering(Rendering(tables=(table,), flat=table))
    return [line.rstrip() for line in capfd.readouterr().out.splitlines()]


# Values


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 kB"), (1_254_000, "1.25 MB"), (999_499, "999 kB"),
        (999_500, "1 MB"), (1_250_000_000, "1.25 GB"), (5 * 10**17, "500 PB"), (5 * 10**18, "5e+03 PB"),
    ],
)  # fmt: skip
def test_a_size_has_three_digits_and_a_unit(count: int, text: str) -> None:
    assert size_text(count) == text


def test_a_size_has_a_unit_for_people_and_is_exact_for_programs() -> None:
    table = Table(columns=("name", ">bytes"), rows=(("a", Size(1_250_000_000)),))
    assert plain_lines(table) == ["name\tbytes", "a\t1250000000"]
    assert csv_text(table) == "name,bytes\na,1250000000\n"
    assert "| a | 1.25 GB |" in markdown(Rendering(tables=(table,), flat=table))
    assert "| name | size |" in markdown(Rendering(tables=(table,), flat=table))


def test_a_time_has_the_abbreviation_of_its_zone() -> None:
    at = datetime(2026, 11, 25, 22, 41, 34, 5, tzinfo=UTC)
    assert short(at, UTC) == "2026-11-25 22:41 UTC"
    assert short(at, UTC, seconds=True) == "2026-11-25 22:41:34 UTC"
    assert exact(at) == "2026-11-25T22:41:34.000005Z"


def test_sizes_and_times_of_a_version_are_for_people_on_a_terminal_alone(registry_of_two: Mreg) -> None:
    lines = drawn(registry_of_two, "show", "churn@2")
    assert "size 250 kB" in [" ".join(line.split()) for line in lines]
    assert any(re.fullmatch(r"created +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [A-Z]{3,5}", line) for line in lines)
    assert "bytes\t250000" in registry_of_two("show", "churn@2").out
    assert json.loads(registry_of_two("show", "churn@2", "--json").out)["artifact"]["size_bytes"] == 250_000


# Layout


def test_a_narrow_terminal_wraps_long_texts_before_it_hides_columns(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    row = ("ana", 7, "the reason is long enough for two lines of this column")
    table = Table(columns=("actor", ">seq", "reason"), rows=(row,), optional=(">seq",), wide=("reason",))
    assert print_table(table, capfd) == [
        "actor  seq  reason",
        "ana      7  the reason is long enough for two lines of this",
        "            column",
    ]
    monkeypatch.setenv("COLUMNS", "32")
    lines = print_table(table, capfd)
    assert lines[0] == "actor  reason"
    assert lines[-1] == "hidden: seq (--format plain" or lines[-1].endswith("shows all)")


LONG = "research/recommendation/two-tower-retrieval-with-hard-negatives-v2"


def test_long_names_are_shortened_in_the_middle_before_essential_columns_are_hidden(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table(
        columns=("reference", "stage", ">accuracy", "by"),
        rows=((f"{LONG}@12", "Production", 0.9157, "ana"), ("churn@3", "None", 0.5, "bo")),
        optional=("by", ">accuracy"), shortened=("reference",), essential=(">accuracy",),
    )  # fmt: skip
    monkeypatch.setenv("COLUMNS", "100")
    assert f"{LONG}@12  Production    0.9157  ana" in print_table(table, capfd)
    monkeypatch.setenv("COLUMNS", "60")
    assert print_table(table, capfd) == [
        "reference                               stage       accuracy",
        "research/recommend...d-negatives-v2@12  Production    0.9157",
        "churn@3                                 None             0.5",
        "hidden: by (--format plain shows all)",
    ]
    monkeypatch.setenv("COLUMNS", "40")
    assert print_table(table, capfd)[1] == "research/reco...atives-v2@12  Production"
    assert plain_lines(table)[1].startswith(f"{LONG}@12\t")


def test_names_and_long_texts_share_the_width(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    row = ("ana", f"{LONG}@12", "the reason is long enough for two lines of this column")
    table = Table(columns=("actor", "reference", "reason"), rows=(row,), shortened=("reference",), wide=("reason",))
    assert print_table(table, capfd)[1:] == [
        "ana    research/rec...tives-v2@12  the reason is long enough",
        "                                   for two lines of this",
        "                                   column",
    ]


def test_a_long_list_of_hidden_columns_is_counted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = tuple(f"metric_number_{number}" for number in range(12))
    table = Table(columns=("name", *names), rows=(("x", *(0.5,) * 12),), optional=names[::-1])
    assert print_table(table, capfd)[-1] == "hidden: 8 columns (--format plain shows all)"
    table = Table(columns=("name", *names), rows=(("x", *(0.5,) * 12),), optional=names[::-1], choosable=True)
    assert print_table(table, capfd)[-1] == "hidden: 8 columns (--columns NAME,... or --format plain)"
    few = Table(columns=("name", *names[:5]), rows=(("x", *(0.5,) * 5),), optional=names[4::-1], choosable=True)
    assert print_table(few, capfd)[-1] == "hidden: metric_number_4 (--columns NAME,... or --format plain)"


@pytest.mark.parametrize("width", [80, 100, 200])
def test_a_list_with_long_names_shows_stages_and_metrics(
    registry_of_two: Mreg, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    registry_of_two("rename", "churn", LONG)
    registry_of_two("promote", f"{LONG}@3", "--to", "staging")
    monkeypatch.setenv("COLUMNS", str(width))
    lines = drawn(registry_of_two, "list")
    assert max(map(len, lines)) <= width
    row = next(line for line in lines if line.startswith("research/")).split()
    assert row[1:6] == ["3", "accuracy", "0.92", "3", "2"]
    assert row[0] == (LONG if width == 200 else row[0])
    assert row[0].startswith("research/r")
    assert row[0].endswith("ives-v2")


def test_a_list_in_a_cell_is_one_line(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    table = Table(columns=("a", "list"), rows=(("x", Items(("pushed", "1 MB", *("metric=0.5",) * 9))),), wide=("list",))
    assert print_table(table, capfd)[1:] == ["x  pushed, 1 MB, metric=0.5, ..."]
    assert plain_lines(table)[1].count("metric=0.5") == 9


def test_a_column_without_values_is_hidden_unless_it_was_chosen(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = (("x", None, ""), ("y", None, ""))
    assert print_table(Table(columns=("a", "b", "c"), rows=rows), capfd) == ["a", "x", "y"]
    assert print_table(Table(columns=("a", "b", "c"), rows=rows, complete=True), capfd)[0] == "a  b  c"


@pytest.mark.parametrize(
    "words",
    [["list"], ["show", "churn"], ["search"], ["history", "churn"], ["history"], ["why", "churn@2"],
     ["compare", "churn", "1", "2"], ["lineage", "churn@3"]],
)  # fmt: skip
@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_line_is_longer_than_the_terminal(
    registry_of_two: Mreg, monkeypatch: pytest.MonkeyPatch, words: list[str], width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(map(len, drawn(registry_of_two, *words))) <= width


def test_an_empty_list_names_what_is_missing(command: Mreg) -> None:
    for words, text in (
        (["list"], "no models"), (["search"], "no versions"), (["approvals"], "no pending approvals"),
        (["history"], "no events"), (["trust", "--list"], "no trusted folders"),
    ):  # fmt: skip
        assert drawn(command, *words) == [text], words


# History


def test_history_shows_the_actor_and_wraps_the_details_of_a_push_at_80_columns(registry_of_two: Mreg) -> None:
    lines = drawn(registry_of_two, "history", "churn")
    assert lines[0] == "churn"
    assert lines[1].split() == ["at", "actor", "version", "event"]
    pushes = [line for line in lines if "pushed" in line]
    assert len(pushes) == 3
    assert all("bo.jensen@example.com" in line for line in pushes)
    assert "Production" in lines[2]
    text = " ".join(" ".join(line.split()) for line in lines)
    assert "f1_score=0.5, latency_ms=1" in text
    assert "..." not in text


def test_history_names_six_metrics_of_a_push_and_the_number_of_the_others(command: Mreg) -> None:
    Path("m.bin").write_bytes(b"m")
    command("push", "m.bin", "-n", "churn", *(word for n in range(9) for word in ("--metric", f"m{n}={n}")))
    text = " ".join(" ".join(drawn(command, "history", "churn")).split())
    assert "pushed, 1 byte, m0=0, m1=1, m2=2, m3=3, m4=4, m5=5, 3 more metrics" in text
    assert "m8=8" in command("history", "churn").out


def test_history_of_several_models_has_references(registry_of_two: Mreg) -> None:
    lines = drawn(registry_of_two, "history")
    assert lines[0].split() == ["at", "actor", "reference", "event"]
    assert "churn@3" in lines[3]


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The local zone of this process."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
def test_history_tells_the_limits_of_tokens(command: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    create = ("token", "create")
    command(*create, "ci", "--role", "writer", "--models", "team-a/*,team-b/*", "--expires", "2098-12-31T12:00Z")
    command(*create, "ada", "--role", "admin")
    command(*create, "page", "--models", "a/*,b/*,c")
    command("token", "revoke", "ci")
    command("backup", "copy.db")
    command("restore", "copy.db", "--yes")
    events = [line.split("  ")[-1] for line in drawn(command, "history")[1:]]
    assert events == [
        "catalog restored from copy.db: 4 events; active tokens: ada, page",
        "token ci revoked: role writer",
        "token page created: role reader, models a/*,b/*,c",
        "token ada created: role admin, models *",
        "token ci created: role writer, models team-a/*,team-b/*, expires 2098-12-31 13:00 CET",
    ]
    details = [line.split("\t")[-1] for line in command("history").out.splitlines()[1:]]
    assert details[0].endswith(", tokens ada, page")
    assert details[1:] == [
        "token ci, role writer",
        "token page, role reader, models a/*,b/*,c",
        "token ada, role admin, models *",
        "token ci, role writer, models team-a/*,team-b/*, expires 2098-12-31T12:00:00.000000Z",
    ]
    assert "expires 2098-12-31 12:00 UTC" in command("history", "--format", "md").out


@pytest.mark.parametrize("expires", ["soon", "2027-01-31", "\x1b[2J", 7, ["2027-01-31T12:00Z"]])
def test_history_shows_an_expiry_that_is_not_a_time_as_text(expires: object) -> None:
    from mreg.cli.views import render
    from mreg.domain.events import chained

    details = {"token": "ci", "expires": expires, "models": "none", "role": None}
    event = chained(None, at=datetime(2026, 1, 1, tzinfo=UTC), actor="ada", action="token.created", details=details)
    shown = expires[0] if isinstance(expires, list) else expires
    assert exact(render([event]).flat.rows[0][-1]) == f"token ci, models none, expires {shown}"


@pytest.mark.parametrize(
    ("action", "details", "sentence", "text"),
    [
        (
            "refused",
            {"hook": "notify", "deployments": [3, 4], "why": "its event was changed"},
            "hook notify refused for deployments 3, 4: its event was changed",
            "hook notify, deployments 3, 4, why its event was changed",
        ),
        (
            "succeeded",
            {"hook": "deploy", "key": "bf92.1", "of": 22, "outcome": 0},
            "hook deploy succeeded for event 22",
            "hook deploy, key bf92.1, for event 22",
        ),
        (
            "failed",
            {"hook": "deploy", "key": "bf92.1", "of": 22, "outcome": 3},
            "hook deploy failed for event 22 (outcome 3)",
            "hook deploy, key bf92.1, for event 22, outcome 3",
        ),
        (
            "requested",
            {"hooks": ["deploy", "notify"], "of": 22},
            "hooks deploy, notify requested for event 22",
            "hooks deploy, notify, for event 22",
        ),
    ],
)
def test_history_tells_which_hooks_ran_for_which_event(
    action: str, details: dict[str, object], sentence: str, text: str
) -> None:
    from mreg.cli.views import render
    from mreg.domain.events import chained

    event = chained(
        None, at=datetime(2026, 1, 1, tzinfo=UTC), actor="ada", action=f"deployment.{action}", details=details
    )
    assert exact(render([event]).flat.rows[0][-1]) == text
    assert short(render([event]).tables[0].rows[0][-1]) == sentence


def test_history_tells_what_an_edit_changed(registry_of_two: Mreg) -> None:
    registry_of_two("tag", "churn@1", "data=2026-09", "team=x")
    registry_of_two("alias", "churn@1", "champion")
    registry_of_two("alias", "churn@2", "champion")
    registry_of_two("edit", "churn", "--primary-metric", "auc")
    text = " ".join(" ".join(drawn(registry_of_two, "history", "churn")).split())
    assert "edited: data=2026-09 (was" in text
    assert "team=x (new)" in text
    assert "alias champion set (was 1)" in text
    assert "metric=auc (new)" in text


# --columns and --sort


def test_columns_are_chosen_by_name_in_the_given_order(registry_of_two: Mreg) -> None:
    assert drawn(registry_of_two, "show", "churn", "--columns", "accuracy,version,size,params.lr") == [
        "accuracy  version    size  params.lr",
        "    0.92        3  375 kB  0.3",
        "    0.93        2  250 kB  0.2",
        "    0.94        1  125 kB  0.1",
    ]
    assert registry_of_two("show", "churn", "--columns", "version, BYTES").out == (
        "version\tbytes\n3\t375000\n2\t250000\n1\t125000\n"
    )
    assert (
        registry_of_two("list", "--columns", "model,latest_value").out == "model\tlatest value\nranker\t\nchurn\t0.92\n"
    )
    assert registry_of_two("search", "version = 2", "--columns", "reference,tags.data").out == (
        "reference\ttags.data\nchurn@2\t2026-02\n"
    )


def test_columns_apply_to_each_format_but_json(registry_of_two: Mreg) -> None:
    words = ("list", "--columns", "versions,model")
    table = [["versions", "model"], ["0", "ranker"], ["3", "churn"]]
    assert list(csv.reader(io.StringIO(registry_of_two(*words, "--format", "csv").out))) == table
    assert registry_of_two(*words, "--format", "md").out.splitlines()[2:] == ["| 0 | ranker |", "| 3 | churn |"]
    assert registry_of_two(*words, "--json").out == registry_of_two("list", "--json").out
    assert registry_of_two(*words, "-q").out == "ranker\nchurn\n"


def test_a_version_is_a_row_of_the_chosen_columns(registry_of_two: Mreg) -> None:
    assert registry_of_two("show", "churn@2", "--columns", "version,stage,auc").out == (
        "version\tstage\tauc\n2\tProduction\t0.9\n"
    )


@pytest.mark.parametrize("form", ["table", "plain", "json", "csv", "md"])
@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["list", "--columns", "model,x"], "x"), (["list", "--sort", "-x"], "x"), (["show", "churn", "--columns", ""], ""),
        (["show", "churn", "--sort", "lr"], "lr"), (["show", "churn@1", "--columns", "x"], "x"),
        (["search", "--columns", "x"], "x"),
    ],
)  # fmt: skip
def test_an_unknown_column_is_an_error_that_names_the_known_ones(
    registry_of_two: Mreg, words: list[str], name: str, form: str
) -> None:
    done = registry_of_two(*words, "--format", form)
    assert (done.code, done.out) == (2, "")
    message = f"unknown column '{name}'"
    if form == "json":
        error = json.loads(done.err)
        assert error["message"] == message
        hint = error["hint"]
    else:
        hint = done.err.splitlines()[1].strip()
        assert done.err.splitlines()[0] == f"error: {message}"
    assert hint.startswith(
        "the columns are model, latest, " if words[0] == "list" else "the columns are version, stage, "
    )


def test_rows_are_sorted_in_each_format(registry_of_two: Mreg) -> None:
    by_accuracy = ("show", "churn", "--sort", "accuracy")
    assert [line.split("\t")[0] for line in registry_of_two(*by_accuracy).out.splitlines()] == [
        "version",
        "3",
        "2",
        "1",
    ]
    assert registry_of_two("show", "churn", "--sort", "-accuracy", "-q").out == "churn@1\nchurn@2\nchurn@3\n"
    assert registry_of_two("show", "churn", "--sort", "-accuracy", "--limit", "1", "-q").out == "churn@1\n"
    found = json.loads(registry_of_two("show", "churn", "--sort", "bytes", "--json").out)
    assert [version["version"] for version in found["versions"]] == [1, 2, 3]
    assert registry_of_two("list", "--sort", "model", "-q").out == "churn\nranker\n"
    assert registry_of_two("list", "--sort", "-model", "--limit", "1", "-q").out == "ranker\n"


def test_rows_without_a_value_come_last(registry_of_two: Mreg) -> None:
    assert registry_of_two("list", "--sort", "latest", "-q").out == "churn\nranker\n"
    assert registry_of_two("list", "--sort", "-latest", "-q").out == "churn\nranker\n"


def test_the_trend_is_in_the_order_of_versions(registry_of_two: Mreg) -> None:
    assert any(
        "accuracy 0.94 to 0.92" in line for line in drawn(registry_of_two, "show", "churn", "--sort", "accuracy")
    )
    assert any(
        "accuracy 0.94 to 0.92" in line for line in drawn(registry_of_two, "show", "churn", "--sort", "-accuracy")
    )


def test_a_chosen_column_is_never_hidden(registry_of_two: Mreg) -> None:
    names = "reference,checksum,created,by,status,format"
    text = "".join(drawn(registry_of_two, "show", "churn", "--columns", names))
    assert "hidden" not in text
    assert all(name in text for name in names.split(","))


# The state after an edit


def test_an_alias_is_reported_with_the_version_before(registry_of_two: Mreg) -> None:
    assert drawn(registry_of_two, "alias", "churn@1", "champion") == ["champion -> churn@1 (new)"]
    assert drawn(registry_of_two, "alias", "churn@2", "CHAMPION") == ["champion -> churn@2 (was churn@1)"]
    assert drawn(registry_of_two, "alias", "churn@2", "champion") == ["champion -> churn@2 (unchanged)"]
    plain = registry_of_two("alias", "churn@3", "champion").out
    assert plain == "reference\talias\tbefore\nchurn@3\tchampion\tchurn@2\n"
    assert drawn(registry_of_two, "alias", "churn", "--remove", "Champion") == ["champion removed (was churn@3)"]
    assert json.loads(registry_of_two("alias", "churn@3", "champion", "--json").out)["version"] == 3
    assert registry_of_two("alias", "churn@3", "champion", "-q").out == "churn@3\n"


def test_tags_are_reported_with_the_values_before(registry_of_two: Mreg) -> None:
    words = ("tag", "churn@1", "data=2026-09", "team=fraud")
    assert drawn(registry_of_two, *words) == ["churn@1 data=2026-09 (was 2026-01), team=fraud (new)"]
    assert drawn(registry_of_two, *words) == ["churn@1 data=2026-09 (unchanged), team=fraud (unchanged)"]
    assert drawn(registry_of_two, "tag", "churn@1", "--remove", "team") == ["churn@1 team removed (was fraud)"]
    assert drawn(registry_of_two, "tag", "churn", "owner=the team") == ["churn owner='the team' (new)"]
    assert registry_of_two("tag", "churn@1", "data=x", "--format", "csv").out == (
        "reference,field,value,before\nchurn@1,tags.data,x,2026-09\n"
    )
    assert json.loads(registry_of_two("tag", "churn@1", "data=y", "--json").out)["tags"] == {"data": "y"}


def test_an_edit_is_reported_with_the_values_before(registry_of_two: Mreg) -> None:
    assert drawn(registry_of_two, "edit", "churn", "--description", "spam or not", "--direction", "auc=lower") == [
        "churn description='spam or not' (new), auc=lower (new)"
    ]
    assert drawn(registry_of_two, "edit", "churn", "--description", "", "--primary-metric", "auc") == [
        "churn description removed (was 'spam or not'), primary metric=auc (new)"
    ]
    assert drawn(registry_of_two, "edit", "churn@2", "--parent", "churn@1", "--run-id", "r1") == [
        "churn@2 parent=churn@1 (new), run id=r1 (new)"
    ]
    assert registry_of_two("edit", "churn@2", "--run-id", "r2").out == (
        "reference\tfield\tvalue\tbefore\nchurn@2\trun_id\tr2\tr1\n"
    )
    assert drawn(registry_of_two, "edit", "churn@2", "--experiment-id", "") == ["churn@2 experiment id is not set"]


def test_a_rename_is_reported_with_the_name_before(registry_of_two: Mreg) -> None:
    assert drawn(registry_of_two, "rename", "churn", "team/churn") == ["team/churn (was churn), 3 versions"]
    assert registry_of_two("rename", "team/churn", "churn").out == "model\tbefore\nchurn\tteam/churn\n"


def test_a_deletion_is_reported(registry_of_two: Mreg) -> None:
    assert drawn(registry_of_two, "delete", "churn@1", "--dry-run") == ["churn@1 would be deleted"]
    assert drawn(registry_of_two, "delete", "churn@1", "--yes") == ["churn@1 was deleted"]
    assert drawn(registry_of_two, "delete", "churn", "--yes", "--force") == ["churn with 2 versions was deleted"]


# compare


def test_compare_shows_chosen_metrics(registry_of_two: Mreg) -> None:
    lines = drawn(registry_of_two, "compare", "churn", "1", "2", "--metric", "auc", "--metric", "accuracy")
    assert [line.split()[0] for line in lines] == ["churn@1", "metric", "accuracy", "auc"]
    found = json.loads(registry_of_two("compare", "churn", "1", "2", "--metric", "auc", "--json").out)
    assert [metric["name"] for metric in found["metrics"]] == ["auc"]
    assert found["changes"] == []


def test_compare_hides_metrics_with_equal_values(registry_of_two: Mreg) -> None:
    lines = drawn(registry_of_two, "compare", "churn", "1", "2", "--only-changed")
    assert [line.split()[0] for line in lines[:4] if line] == ["churn@1", "metric", "accuracy", "latency_ms"]
    assert "parameters" in lines
    assert drawn(registry_of_two, "compare", "churn", "1", "2", "--only-changed", "--metric", "auc")[1:] == [
        "no metrics"
    ]


def test_compare_names_the_version_that_lacks_a_metric_and_no_unknown_format(registry_of_two: Mreg) -> None:
    Path("m.onnx").write_bytes(b"x")
    registry_of_two("push", "m.onnx", "-n", "churn", "--metric", "loss=0.5", "--accuracy", "0.9")
    lines = [" ".join(line.split()) for line in drawn(registry_of_two, "compare", "churn", "1", "4")]
    assert "loss 0.5 missing in churn@1" in lines
    assert "auc 0.9 missing in churn@4" in lines
    assert "format onnx" in lines
    rows = registry_of_two("compare", "churn", "1", "4").out.splitlines()
    assert "metrics\tloss\t\t0.5\t\t\tmissing" in rows


def test_compare_shows_numbers_in_place_of_references_with_long_names(registry_of_two: Mreg) -> None:
    registry_of_two("rename", "churn", LONG)
    lines = drawn(registry_of_two, "compare", LONG, "1", "2")
    assert max(map(len, lines)) <= 80
    assert lines[0] == f"{LONG}@1 against {LONG}@2"[: len(lines[0])]
    assert ["metric", "version", "1", "version", "2", "delta", "percent", "verdict"] in [line.split() for line in lines]
    assert registry_of_two("compare", LONG, "1", "2").out.startswith(f"group\tname\t{LONG}@1\t{LONG}@2\t")


def test_compare_refuses_a_metric_that_neither_version_has(registry_of_two: Mreg) -> None:
    done = registry_of_two("compare", "churn", "1", "2", "--metric", "acuracy")
    assert (done.code, done.out) == (4, "")
    assert done.err == (
        "error: churn@1 and churn@2 do not have the metric 'acuracy'\n"
        "  the metrics are accuracy, auc, f1_score, latency_ms\n"
    )


def test_the_regression_check_uses_all_metrics(registry_of_two: Mreg) -> None:
    words = ("compare", "churn", "1", "2", "--metric", "auc", "--fail-on-regression")
    assert registry_of_two(*words).code == 3


# Colour


def test_stages_and_verdicts_have_a_colour_and_a_word(registry_of_two: Mreg, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    registry_of_two("promote", "churn@3", "--to", "staging")
    shown = registry_of_two("show", "churn", "--format", "table").out
    assert "\x1b[32mProduction" in shown
    assert "\x1b[36mStaging" in shown
    compared = registry_of_two("compare", "churn", "1", "2", "--format", "table").out
    assert "\x1b[31mworse" in compared
    monkeypatch.setenv("NO_COLOR", "1")
    for words in (["show", "churn"], ["compare", "churn", "1", "2"]):
        assert not re.search(r"\x1b\[3\d", registry_of_two(*words, "--format", "table").out)


# list


def test_list_marks_newer_archived_versions_and_names_models_without_another(command: Mreg) -> None:
    for name in ("some", "none"):
        Path("m.bin").write_bytes(name.encode())
        command("push", "m.bin", "-n", name)
        command("archive", f"{name}@1")
    only_archived = drawn(command, "list")
    assert "all archived" in "".join(only_archived)
    assert "newer" not in "".join(only_archived)
    command("push", "m.bin", "-n", "some")
    command("push", "m.bin", "-n", "some")
    command("archive", "some@3")
    lines = drawn(command, "list")
    assert lines[-1] == "* newer versions are archived; mreg show NAME lists them"
    assert re.search(r"some +2 \*", "".join(lines))
    assert re.search(r"none +all archived", "".join(lines))
    assert "none\t\t" in command("list").out


# gc


def test_gc_reports_garbage_within_the_grace_period(registry_of_two: Mreg) -> None:
    registry_of_two("delete", "churn@1", "--yes")
    done = registry_of_two("gc", "--format", "table")
    assert done.out == "nothing to remove\n"
    assert re.fullmatch(
        r"too young to remove: 1 unreferenced blob, 125 kB, within the grace period of 24h; it can be removed from "
        r"\S+Z; to list all: mreg gc --grace 0s\n",
        done.err,
    )
    listed = registry_of_two("gc", "--grace", "0s", "--format", "table").out
    assert listed.splitlines()[-1] == "can be removed: 1 unreferenced blob, 125 kB"
    assert re.search(r"sha256:[0-9a-f]{12} +125 kB", listed)
    assert re.search(r"\tsha256:[0-9a-f]{64}\t125000\t", registry_of_two("gc", "--grace", "0s").out)
    removed = registry_of_two("gc", "--grace", "0s", "--remove", "--yes", "--format", "table").out
    assert removed.splitlines()[-1] == "removed: 1 unreferenced blob, 125 kB"


# Notes


def test_notes_errors_and_hints_are_wrapped_at_words_on_a_terminal(
    command: Mreg, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = ["push", "m.bin", "--metrics-prefix", "a", "--metrics-prefix", "b", "--metrics-prefix", "c"]
    one_line = "error: 3 prefixes for 0 metrics files\n  give --metrics-prefix once, or once for each --metrics-file\n"
    monkeypatch.setenv("COLUMNS", "31")
    assert command(*long).err == one_line
    monkeypatch.setattr("mreg.streams.is_terminal", lambda name: name == "stderr")
    assert command(*long).err == one_line.replace("metrics files", "metrics\nfiles").replace(
        "once, or once for each ", "once,\n  or once for each\n  "
    )
    assert streams.wrapped("word " * 20 + "/a/path/that/is/longer/than/the/terminal") == (
        "word word word word word word\n" * 3 + "word word\n/a/path/that/is/longer/than/the/terminal"
    )
    monkeypatch.setenv("COLUMNS", "10")
    assert streams.wrapped("word " * 20) == "word " * 20
