"""Result files and the page of a replay."""

import gzip
import re
import tracemalloc
from collections import Counter
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from msgspec.structs import replace

from stream_app.detection.decisions import Action, Decision, PolicyRef, Reason, tenant_subject
from stream_app.detection.events import MAX_MESSAGE_BYTES
from stream_app.detection.policy import Policy
from stream_app.replay import Replay
from stream_app.reports.histories import (
    MAX_MARKS,
    MAX_SUBJECTS,
    Activity,
    RunHistory,
    count_activity,
    plotted_minutes,
)
from stream_app.reports.lines import EventFiles, Place, UnreadableError
from stream_app.reports.results import RESULTS, RunInput, write_results
from stream_app.reports.subjects import MAX_PLOTTED
from tests.unit.streams import BEGIN_MS, POLICY, decisions, event, in_order, policy, steady, time_of

BEGIN_MIN = BEGIN_MS // 60_000
#: Tags of HTML that are never closed.
VOID = {"meta"}


def write_lines(path: Path, *values: Any) -> Path:
    """Values as JSON lines; bytes as they are."""
    lines = [value if isinstance(value, bytes) else orjson.dumps(value) for value in values]
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def a_runaway(tenant: str = "acme") -> list[dict[str, Any]]:
    """Half an hour of two tenants, then one of them sends 600 requests in twenty seconds."""
    return in_order(
        steady(0, 1860, 4, tenant), steady(0, 1860, 6, "calm"), steady(1800, 1820, 1800, tenant, name="loop")
    )


def replay_to(
    out: Path, paths: Sequence[Path], rules: Policy = POLICY, partitions: int = 1, operator: Sequence[bytes] = ()
) -> list[tuple[str, int]]:
    """Write results; what was told about progress."""
    told: list[tuple[str, int]] = []
    with EventFiles(paths) as files:
        write_results(
            RunInput(files, list(operator), rules, partitions), out, lambda name, count: told.append((name, count))
        )
    return told


def decision(subject: str = "acme", at_s: float = 0, action: Action = Action.THROTTLE, score: float = 0.99) -> Decision:
    return Decision(
        decision_id=f"{subject}-{at_s}",
        scope="tenant",
        subject=tenant_subject(subject),
        tenant_id=subject,
        action=action,
        simulated=False,
        origin="detector",
        reasons=[Reason("requests_60s", 90.0, 30.0, "requests", 60, score)],
        policy=PolicyRef("test", action),
        issued_at=time_of(at_s),
        expires_at=time_of(at_s + 600),
        revision=1,
    )


class Tags(HTMLParser):
    """Tags opened and not closed; everything that could make a browser load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: Counter[str] = Counter()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        self.loads += [f"{name}={value}" for name, value in attrs if name in {"src", "href"} or name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID | {"br"}:
            assert self.open.pop() == tag


def tags_of(page: str) -> Tags:
    tags = Tags()
    tags.feed(page.replace("<br>", ""))
    tags.close()
    assert tags.open == []
    return tags


def test_lines_of_plain_and_gzipped_files_come_in_order_without_blank_ones(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_bytes(b'{"a":1}\r\n\n  \n{"a":2}')
    packed = tmp_path / "packed"
    packed.write_bytes(gzip.compress(b'{"a":3}\n'))
    with EventFiles([plain, packed]) as files:
        expected = [b'{"a":1}', b'{"a":2}', b'{"a":3}']
        assert list(files.lines()) == expected
        assert files.bytes_read == files.bytes_total == plain.stat().st_size + packed.stat().st_size
        assert list(files.lines()) == expected


def test_the_place_of_a_line_counts_blank_lines_and_starts_anew_in_every_file(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"{}\n\n[]\n")
    second.write_bytes(b"\n[]\n")
    with EventFiles([first, second]) as files:
        values = list(files.lines())
        places = [files.place_of(value) for value in values]
    assert places == [Place(str(first), 1), Place(str(first), 3), Place(str(second), 2)]


def test_a_line_of_any_length_costs_bounded_memory_and_the_next_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "long"
    longest = b"x" * MAX_MESSAGE_BYTES
    with path.open("wb") as file:
        file.write(longest + b"\r\n")
        for _ in range(64):
            file.write(longest)
        file.write(b"\nnext\n")
    with EventFiles([path]) as files:
        tracemalloc.start()
        whole, cut, following = files.lines()
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert whole == longest
    assert MAX_MESSAGE_BYTES < len(cut) <= MAX_MESSAGE_BYTES + 2
    assert following == b"next"
    assert peak_bytes < 16 * MAX_MESSAGE_BYTES


@pytest.mark.parametrize("damage", [lambda packed: packed[:-20], lambda packed: packed[:40] + b"\xff" * 40])
def test_a_damaged_file_is_named(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "damaged.gz"
    path.write_bytes(damage(gzip.compress(orjson.dumps(a_runaway()))))
    with EventFiles([path]) as files, pytest.raises(UnreadableError, match=r"damaged\.gz: ") as told:
        list(files.lines())
    assert "\n" not in str(told.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="nowhere: No such file or directory"):
        EventFiles([tmp_path / "nowhere"])


def test_activity_counts_minutes_of_event_time_and_distinct_accounts() -> None:
    lines = [
        orjson.dumps(event(59)),
        orjson.dumps([event(60), event(61, "calm")]),
        orjson.dumps(event(0) | {"time": "2026-01-01T02:01:30+02:00", "account_id": "other"}),
        b"not json",
        b"{}",
    ]
    activity = count_activity(lines)
    assert activity.total == {BEGIN_MIN: 1, BEGIN_MIN + 1: 3}
    assert len(activity.accounts) == 3


def test_plots_span_all_minutes_unless_a_stray_clock_would_flatten_them() -> None:
    busy = Counter(dict.fromkeys(range(1000, 1100), 100))
    assert plotted_minutes(Activity(total=busy)) == range(1000, 1100)
    assert plotted_minutes(Activity(total=busy + Counter({0: 1, 99_999: 2}))) == range(1000, 1100)
    assert plotted_minutes(Activity(total=busy + Counter({1110: 1}))) == range(1000, 1111)
    assert plotted_minutes(Activity()) == range(0)


def test_subjects_are_ranked_by_their_strictest_decision_then_score() -> None:
    history = RunHistory()
    for one in (
        decision("watched", 0, Action.OBSERVE, score=0.9999),
        decision("blocked", 1, Action.BLOCK),
        decision("blocked", 2, Action.ALLOW),
        decision("worse", 3, Action.THROTTLE, score=0.999),
        decision("bad", 4, Action.THROTTLE, score=0.99),
    ):
        history.add_decision(one)
    assert [told.worst.subject for told in history.worst_first()] == ["blocked", "worse", "bad", "watched"]
    assert history.subjects["tenant:blocked"].counts == {Action.BLOCK: 1, Action.ALLOW: 1}


def test_a_flapping_subject_and_many_subjects_are_counted_but_not_kept() -> None:
    history = RunHistory()
    for number in range(MAX_MARKS + 50):
        history.add_decision(decision("flapping", number))
    for number in range(MAX_SUBJECTS + 50):
        history.add_decision(decision(f"tenant-{number}"))
    flapping = history.subjects["tenant:flapping"]
    assert len(flapping.marks) == MAX_MARKS
    assert flapping.counts.total() == MAX_MARKS + 50
    assert len(history.worst_first()) == MAX_SUBJECTS


def test_plotted_are_the_features_that_carried_most_and_requests_where_none_did() -> None:
    history = RunHistory()
    tokens = Reason("output_tokens_60s", 90.0, 30.0, "tokens", 60, 0.9999)
    long = Reason("requests_600s", 900.0, 300.0, "requests", 600, 0.99)
    unknown = Reason("from_a_newer_version", 1.0, 0.0, "things", 60, 0.9999)
    history.add_decision(replace(decision(), reasons=[long, tokens, unknown]))
    history.add_decision(replace(decision("held"), reasons=[], origin="operator"))
    assert history.subjects["tenant:acme"].codes() == ["output_tokens_60s", "requests_600s"]
    assert history.subjects["tenant:held"].codes() == ["requests_60s"]


def test_the_folder_holds_what_the_core_decided(tmp_path: Path) -> None:
    events = a_runaway()
    path = write_lines(tmp_path / "events.jsonl", *events)
    told = replay_to(tmp_path / "new" / "out", [path])
    out = tmp_path / "new" / "out"
    expected = decisions(Replay(POLICY).run(orjson.dumps(one) for one in events))
    assert {one.action for one in expected} >= {Action.THROTTLE}
    lines = (out / "decisions.jsonl").read_bytes().splitlines()
    assert [msgspec.json.decode(line, type=Decision) for line in lines] == expected
    summary = orjson.loads((out / "summary.json").read_bytes())
    assert (summary["events"], summary["rejected"], summary["tenants"], summary["accounts"]) == (len(events), 0, 2, 2)
    assert sum(summary["decisions"].values()) == len(expected)
    assert (out / "campaigns.jsonl").read_bytes() == b""
    assert {one.name for one in out.iterdir()} == set(RESULTS)
    assert told[-1] == ("reading for the plots", len(events))


@pytest.mark.parametrize("partitions", [1, 4])
def test_dead_letters_name_file_and_line(tmp_path: Path, partitions: int) -> None:
    first = write_lines(tmp_path / "first.jsonl", *(event(number, f"t{number}") for number in range(700)), b"nonsense")
    second = write_lines(tmp_path / "second.jsonl", b"", event(800), [event(801), {"id": "x"}], b"[]")
    replay_to(tmp_path / "out", [first, second], partitions=partitions)
    letters = [orjson.loads(line) for line in (tmp_path / "out" / "dead-letters.jsonl").read_bytes().splitlines()]
    told = {(letter["file"], letter["line"], letter["reason"], letter.get("index")) for letter in letters}
    assert told == {
        (str(first), 701, "not_json", None),
        (str(second), 3, "invalid", 1),
        (str(second), 4, "empty", None),
    }


def test_a_bad_operator_record_is_a_dead_letter_and_a_good_one_a_decision(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "events.jsonl", event(0), event(10))
    word = {"id": "op-1", "type": "override", "subject": "tenant:acme", "reason": "test", "by": "ann"}
    good = orjson.dumps(word | {"at": time_of(1), "expires_at": time_of(600), "body": {"action": "block"}})
    replay_to(tmp_path / "out", [path], operator=[b"nonsense", good])
    out = tmp_path / "out"
    assert orjson.loads((out / "dead-letters.jsonl").read_bytes())["topic"] == "operator"
    assert orjson.loads((out / "decisions.jsonl").read_bytes())["origin"] == "operator"
    assert "tenant acme" in (out / "report.html").read_text()


def test_older_results_are_replaced_only_as_a_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    replay_to(out, [write_lines(tmp_path / "events.jsonl", *a_runaway())])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    damaged = tmp_path / "damaged.gz"
    damaged.write_bytes(gzip.compress(orjson.dumps(event(0)) + b"\n" + bytes(10_000))[:-20])
    with pytest.raises(UnreadableError):
        replay_to(out, [damaged])
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    replay_to(out, [write_lines(tmp_path / "calm.jsonl", event(0))])
    assert (out / "decisions.jsonl").read_bytes() == b""


def test_the_page_is_well_formed_and_loads_nothing(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "events.jsonl", *a_runaway(), b"nonsense")
    replay_to(tmp_path / "out", [path], policy(runbook_url="https://wiki.example/x"))
    page = (tmp_path / "out" / "report.html").read_text()
    tags = tags_of(page)
    assert tags.seen["svg"] >= 3  # traffic, decisions, one subject
    assert tags.seen["article"] == 1
    assert set(tags.loads) == {"href=https://wiki.example/x"}
    assert not {"script", "img", "link", "iframe"} & tags.seen.keys()
    assert "url(" not in page
    assert "@import" not in page
    for told in ("1 of 2 tenants would have been throttled", "tenant acme", "not_json", "events.jsonl, line", "test-1"):
        assert told in page


def test_a_subjects_series_shows_what_was_usual_where_the_rungs_begin_and_the_moments(tmp_path: Path) -> None:
    replay_to(tmp_path / "out", [write_lines(tmp_path / "events.jsonl", *a_runaway())])
    page = (tmp_path / "out" / "report.html").read_text()
    (card,) = re.findall(r"<article>.*?</article>", page, re.DOTALL)
    lines = (tmp_path / "out" / "decisions.jsonl").read_bytes().splitlines()
    made = [msgspec.json.decode(line, type=Decision) for line in lines]
    for told in ("Requests in 10 s", "usual ", "observe above 30", "throttle above ", 'class="area band"'):
        assert told in card
    for one in made:
        assert f"{one.issued_at[11:19]} {one.action}" in card
    assert "nan" not in card.lower().replace("tenant", "")


def test_only_the_worst_subjects_are_plotted_and_the_page_stays_small(tmp_path: Path) -> None:
    names = [f"loop-{number:02}" for number in range(MAX_PLOTTED + 3)]
    streams = [steady(0, 600, 6, name) + steady(600, 610, 600, name, "loop") for name in names]
    replay_to(tmp_path / "out", [write_lines(tmp_path / "events.jsonl", *in_order(*streams))])
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<article>") == MAX_PLOTTED
    assert all(f"tenant {name}" in page for name in names)
    assert len(page) < 2_000_000
    tags_of(page)


def test_an_account_that_an_operator_holds_is_shown_as_a_part_of_its_tenant(tmp_path: Path) -> None:
    own = steady(0, 600, 12, account_id="u/1")
    path = write_lines(tmp_path / "events.jsonl", *in_order(own, steady(0, 600, 90, name="others", account_id="u2")))
    word = {"id": "op-1", "type": "override", "subject": "account:acme/u%2F1", "reason": "test", "by": "ann"}
    held = orjson.dumps(word | {"at": time_of(300), "expires_at": time_of(900), "body": {"action": "block"}})
    replay_to(tmp_path / "out", [path], operator=[held])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "1 of 1 tenant, or accounts in them, would have been throttled" in page
    (card,) = re.findall(r"<article>.*?</article>", page, re.DOTALL)
    assert "account u/1 of tenant acme" in card
    assert "Override by ann: test." in card
    assert "this account alone" in card
    assert "00:05:00 block" in card


def test_nothing_of_the_input_becomes_markup(tmp_path: Path) -> None:
    hostile = '<script>alert("1")</script><b title=\'x'
    bad = orjson.dumps(event(0) | {"status_code": hostile})
    path = write_lines(tmp_path / "<i>events.jsonl", *a_runaway(hostile), bad)
    replay_to(tmp_path / "out", [path], policy(version="<i>", runbook_url="javascript:alert(1)"))
    tags = tags_of((tmp_path / "out" / "report.html").read_text())
    assert tags.seen["script"] == tags.seen["i"] == 0
    assert tags.loads == []


def test_events_of_any_year_make_a_page(tmp_path: Path) -> None:
    years = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00")
    for year in years:
        path = write_lines(tmp_path / "events.jsonl", event(0) | {"time": year})
        replay_to(tmp_path / "out", [path])
        tags_of((tmp_path / "out" / "report.html").read_text())


def test_no_events_make_a_page_that_says_so(tmp_path: Path) -> None:
    replay_to(tmp_path / "out", [write_lines(tmp_path / "empty.jsonl")])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No decision was made." in page
    tags_of(page)
