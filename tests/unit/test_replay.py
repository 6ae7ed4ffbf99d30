"""The core over lines: what a run says, and what partitions may and may not change.

Tenants of different partitions share no clock: which events are late, and when a minute closes, may differ with the
number of partitions. What is promised: as long as no tenant is later than the allowed lateness and the stream reaches
every partition to its end, decisions have the same ids, actions and reasons.
"""

import orjson
import pytest

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import DeadLetter, Effect
from stream_app.replay import Replay
from tests.unit.streams import (
    POLICY,
    EventFields,
    dead_letters,
    decisions,
    event,
    in_order,
    operator_record,
    policy,
    run,
    steady,
    told_actions,
)


def lines(events: list[EventFields]) -> list[bytes]:
    return [orjson.dumps(item) for item in events]


def crowd(end_s: float = 2400) -> list[EventFields]:
    """Twelve tenants, two of which run away."""
    usual = [steady(k / 20, end_s, 6 + k, f"tenant-{k}") for k in range(12)]
    bursts = [steady(1500 + k * 60, 1560 + k * 60, 900, f"tenant-{k}", name="burst") for k in (3, 7)]
    return in_order(*usual, *bursts)


def facts(found: list[Decision]) -> set[tuple[object, ...]]:
    return {
        (d.decision_id, d.key, d.action, d.issued_at, d.expires_at, repr(d.reasons), d.counterfactual) for d in found
    }


def test_a_run_decides_as_the_detector_does() -> None:
    replayed = decisions(Replay(POLICY, topic="requests").run(lines(crowd())))
    assert replayed == run(crowd())
    assert {d.tenant_id for d in replayed} == {"tenant-3", "tenant-7"}


@pytest.mark.parametrize("partitions", [2, 5, 16])
def test_partitions_change_no_decision(partitions: int) -> None:
    one, several = (decisions(Replay(POLICY, count).run(lines(crowd()))) for count in (1, partitions))
    assert facts(several) == facts(one)


def test_the_summary_counts_what_happened() -> None:
    stream = crowd()
    bad = [b"{", b"[]", orjson.dumps(event(1, status_code=1))]
    replay = Replay(POLICY)
    effects = list(replay.run([*lines(stream[:50]), *bad, *lines([stream[0]]), *lines(stream[50:])]))
    summary = replay.summary
    assert (summary.events, summary.rejected, summary.repeated, summary.tenants) == (len(stream), 3, 1, 12)
    assert sum(summary.decisions.values()) == len(decisions(effects))
    assert summary.renewals == {}
    assert summary.events_per_s > 0
    assert len(dead_letters(effects)) == 3


@pytest.mark.parametrize("partitions", [1, 4])
def test_the_good_events_of_an_array_count_in_every_partitioning(partitions: int) -> None:
    arrays = [
        orjson.dumps([event(0, f"t{k}") | {"tenant_id": 3}, event(1, f"t{k}"), event(2, f"t{k}")]) for k in range(8)
    ]
    replay = Replay(POLICY, partitions)
    letters = [effect for effect in replay.run(arrays) if isinstance(effect, DeadLetter)]
    assert replay.summary.events == 16
    assert [(letter.reason, letter.index) for letter in letters] == [("invalid", 0)] * 8


def test_operator_records_apply_when_their_time_comes() -> None:
    allow = operator_record("allow", 1400, subject="tenant:tenant-3", expires_s=7200)
    effects: list[Effect] = list(Replay(POLICY, 3, [allow, b"nonsense"]).run(lines(crowd())))
    found = decisions(effects)
    assert told_actions([d for d in found if d.tenant_id == "tenant-3"]) == ["allow"]
    assert [d.reason for d in dead_letters(effects)] == ["not_json"]
    assert "throttle" in told_actions([d for d in found if d.tenant_id == "tenant-7"])


def test_renewals_are_counted_apart() -> None:
    """One that keeps pushing for twenty minutes is throttled at once, and again and again while it lasts."""
    pushing = steady(3600, 4800, 600, "tenant-7", "pushing")
    replay = Replay(policy(rungs={name: rule for name, rule in POLICY.rungs.items() if name is not Action.BLOCK}))
    usual = in_order(steady(0, 4800, 6, "other"), steady(0, 3600, 6, "tenant-7"))
    found = decisions(replay.run(lines(in_order(usual, pushing))))
    entries = 1 + ("observe" in told_actions(found))
    assert set(told_actions(found[entries - 1 :])) == {"throttle"}
    assert replay.summary.renewals == {"throttle": len(found) - entries}
    assert len(found) > 4


def test_no_lines_make_an_empty_summary() -> None:
    replay = Replay(POLICY, 2)
    assert list(replay.run([])) == []
    assert (replay.summary.events, replay.summary.tenants, replay.summary.decisions) == (0, 0, {})
