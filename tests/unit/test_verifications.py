"""Recorded decisions against what follows from their evidence: identical, or the first difference is named."""

from pathlib import Path

import msgspec
import orjson
from click.testing import CliRunner
from msgspec import structs

from stream_app.cli import main
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.operators import JournalEntry, parse_operator
from stream_app.verifications import Verification, Word, compare_decisions, rederive
from tests.unit.streams import (
    POLICY_TEXT,
    decisions,
    in_order,
    instruct,
    new_detector,
    operator_record,
    records,
    run,
    steady,
)

EVENTS = in_order(steady(0, 3_600, 6), steady(3_600, 3_800, 400, name="surge"), steady(3_900, 9_000, 6, name="after"))
MADE = run(EVENTS)
EVERYTHING = {decision.decision_id for decision in MADE}


def test_what_is_recorded_follows_from_its_events() -> None:
    found = Verification()
    found.add(compare_decisions(MADE, run(EVENTS), EVERYTHING), ())
    assert (found.identical, found.is_proof) == (len(MADE), True)
    assert len(MADE) > 2


def test_the_first_field_that_differs_is_named() -> None:
    forged = [structs.replace(MADE[0], reasons=[structs.replace(MADE[0].reasons[0], observed=1.0)]), *MADE[1:]]
    (difference,) = [one for one in compare_decisions(forged, MADE, EVERYTHING) if one]
    assert (difference.key, difference.field, difference.recorded) == ("tenant:acme", "reasons.0.observed", "1.0")
    assert difference.derived == str(MADE[0].reasons[0].observed)


def test_an_invented_decision_and_a_hole_are_differences() -> None:
    invented = structs.replace(MADE[0], decision_id="made-up", action=Action.BLOCK)
    found = compare_decisions([*MADE, invented], MADE, {*EVERYTHING, "made-up"})
    assert [one.decision_id for one in found if one] == ["made-up"]
    (hole,) = [one for one in compare_decisions([MADE[0], *MADE[2:]], MADE, EVERYTHING) if one]
    assert (hole.decision_id, hole.recorded) == (MADE[1].decision_id, "–")


def test_a_worker_that_is_behind_and_a_repeated_record_are_none() -> None:
    assert not any(compare_decisions([*MADE[:-1], MADE[0]], MADE, EVERYTHING))


def test_a_field_that_the_deployment_moves_is_left_out() -> None:
    moved = [structs.replace(decision, expires_at="2030-01-01T00:00:00Z") for decision in MADE]
    assert all(compare_decisions(moved, MADE, EVERYTHING))
    assert not any(compare_decisions(moved, MADE, EVERYTHING, {"expires_at"}))


def test_operators_words_are_told_where_the_journal_has_them() -> None:
    word = operator_record("override", 60, subject="tenant:acme", expires_s=5_000, body={"action": "block"})
    live = new_detector()
    made: list[Decision] = decisions(live.handle(records(EVENTS[:30])))
    made += decisions(instruct(live, 4, word))
    made += decisions(live.handle(records(EVENTS[30:], 30)))
    journal = [JournalEntry(0, "operator", 4, 29)]
    words = {("operator", 4): Word(parse_operator(word), word, "operator")}
    missing: list[JournalEntry] = []
    derived = list(rederive(new_detector(), records(EVENTS), journal, words, missing))
    assert (derived, missing) == (made, [])
    assert made[0].origin == "operator"
    list(rederive(new_detector(), records(EVENTS), journal, {}, missing))
    assert missing == journal


def test_what_history_cannot_tell_is_no_difference() -> None:
    found = Verification()
    found.add(compare_decisions(MADE, [], EVERYTHING), None)
    assert (found.differences, found.untold, found.is_proof) == ([], len(MADE), False)
    found = Verification()
    found.add(compare_decisions(MADE, [], EVERYTHING), {"tenant:other"})
    assert len(found.differences) == len(MADE)


def test_a_replay_s_decisions_are_verified_from_files(tmp_path: Path) -> None:
    events, policy, out = tmp_path / "events.jsonl", tmp_path / "policy.yaml", tmp_path / "out"
    events.write_bytes(b"\n".join(map(orjson.dumps, EVENTS)))
    policy.write_text(POLICY_TEXT)
    words = ["replay", str(events), "--policy", str(policy)]
    assert CliRunner().invoke(main, [*words, "--out", str(out)]).exit_code == 0
    recorded = out / "decisions.jsonl"
    done = CliRunner().invoke(main, [*words, "--verify", str(recorded)], catch_exceptions=False)
    assert (done.exit_code, done.stdout.split()[0]) == (0, str(len(MADE))), done.output
    lines = recorded.read_bytes().splitlines()
    forged = structs.replace(msgspec.json.decode(lines[0], type=Decision), issued_at="2026-01-01T02:00:00Z")
    recorded.write_bytes(b"\n".join([msgspec.json.encode(forged), *lines[1:]]))
    done = CliRunner().invoke(main, [*words, "--verify", str(recorded), "--json"])
    assert done.exit_code == 1
    told = orjson.loads(done.stdout)
    assert [one["field"] for one in told["differences"]] == ["issued_at"]
    assert told["is_proof"] is False
    for wrong in (["replay"], ["replay", str(events)], [*words, "--verify", "x", "--out", "y"]):
        assert CliRunner().invoke(main, wrong).exit_code == 2
