"""What holds of the core on any stream: determinism, exactness under repetition, true counterfactuals."""

import re
from collections.abc import Sequence
from math import ceil
from random import Random
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stream_app.detection.bars import step_reached
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect
from stream_app.detection.features import CODES
from stream_app.detection.judgement import score_values
from stream_app.detection.policy import Policy
from stream_app.detection.records import Record
from stream_app.detection.rules import Step
from stream_app.detection.state import PARTITION_KEY, TenantState, decode_tenant
from stream_app.detection.watermark import ALLOWED_LATENESS_MS
from tests.unit import streams
from tests.unit.streams import EventFields, by_key, event, evidence_of, new_detector, record

repeatable = settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 10**9)

#: Low bars and floors, short lives: on random streams all rungs, renewals and releases occur within minutes.
JUMPY = Policy.model_validate(
    {
        "version": "jumpy",
        "mode": "enforced",
        "cool_down_s": 90,
        "harm_budgets": {"subjects": {"share": 0.5, "at_least": 2}},
        "rungs": {
            "observe": {"enter": 0.7, "leave": 0.6, "ttl_s": 240, "max_ttl_s": 900},
            "throttle": {"enter": 0.8, "leave": 0.7, "ttl_s": 200, "max_ttl_s": 900},
            "block": {"enter": 0.9, "leave": 0.8, "ttl_s": 300, "max_ttl_s": 900, "after_s": 45},
        },
        "together": {"kinds": 2, "up_to": "throttle"},
        "features": {
            "requests_10s": {"floor": 4, "up_to": "throttle"},
            "requests_60s": {"floor": 8, "small_floor": 3, "up_to": "block"},
            "requests_600s": {"floor": 40, "small_floor": 5, "up_to": "block"},
            "input_tokens_60s": {"floor": 4000, "up_to": "throttle"},
            "output_tokens_600s": {"floor": 5000, "up_to": "throttle"},
            "errors_60s": {"floor": 2, "up_to": "observe"},
            "errors_percent_600s": {"floor": 10, "up_to": "observe"},
            "accounts_600s": {"floor": 3, "up_to": "observe"},
            "model_shift_percent_600s": {"floor": 20, "up_to": "observe"},
            "provider_errors_percent_600s": {"floor": 5, "up_to": "observe"},
            "latency_percent_600s": {"floor": 120, "up_to": "observe"},
            "output_of_max_percent_600s": {"floor": 20, "up_to": "observe"},
            "logprobs_percent_600s": {"floor": 10, "up_to": "observe"},
            "parameter_sets_600s": {"floor": 2, "up_to": "observe"},
            "repeated_prompts_percent_600s": {"floor": 10, "up_to": "observe"},
        },
    }
)
FAR_FUTURE_MS = 1 << 50
TENANTS = ("ada", "bob", "cy", "dee")
#: Decisions and tombstones by key.
Told = dict[str, list[Decision | None]]


def sparing(random: Random) -> dict[str, Any]:
    """Optional fields as a plain client sends them, or none."""
    return random.choice(({}, {"max_tokens": 4000, "logprobs": False, "latency_ms": 80.0}))


def extracting(random: Random) -> dict[str, Any]:
    """Optional fields as somebody sends them who takes all that he can."""
    simhash = f"{(1 << random.randrange(64)) | 0xABC:016x}"
    settings = {"max_tokens": 300, "logprobs": True, "temperature": random.randrange(10) / 10, "latency_ms": 900.0}
    return settings | {"prompt": {"simhash": simhash}, "client": {"ja4": f"t{random.randrange(50)}"}}


def made_up_events(random: Random, disorder_s: float = 0, longest_lull_s: float = 280) -> list[EventFields]:
    """Bursts, lulls, errors, refusals and new accounts of four tenants.

    With ``disorder_s``, some events are that much behind the one before, and a few an hour ahead.
    """
    made: list[EventFields] = []
    now_s = 0.0
    while len(made) < 250:
        ahead_s = 3_700 if disorder_s and random.random() < 0.01 else 0
        now_s += min(random.choice((0.1, 1, 5, 20, 55, 55, 140)) * random.random() * 2, longest_lull_s)
        tenant = random.choice(TENANTS)
        status = random.choice((200, 200, 200, 200, 500, 429))
        tokens = random.choice((10, 400, 3000))
        way = random.choice((sparing, sparing, extracting))
        for _ in range(random.choice((1, 1, 1, 3, 12, 25))):
            now_s += random.random() * random.choice((0.2, 2))
            made.append(
                event(
                    round(max(now_s + ahead_s - random.random() ** 3 * disorder_s, 0), 3),
                    tenant,
                    id=f"{len(made)}",
                    account_id=f"{tenant}-{random.randrange(random.choice((2, 2, 40)))}",
                    model=random.choice(("small", "small", "large")),
                    status_code=status,
                    input_tokens=tokens,
                    output_tokens=tokens // 2,
                    **way(random),
                )
            )
    return made


def made_up_records(random: Random, disorder_s: float = 100) -> list[Record]:
    """Records of one event or of an array, in the order of arrival."""
    made: list[Record] = []
    events = made_up_events(random, disorder_s=disorder_s)
    while events:
        size = random.choice((1, 1, 4))
        part = [item for item in events[:size] if item["tenant_id"] == events[0]["tenant_id"]]
        events = events[len(part) :]
        made.append(record(len(made), *part))
    return made


def finish(detector: Detector, encoded: dict[str, bytes]) -> tuple[list[Effect], dict[str, bytes]]:
    effects = detector.advance(0)
    detector.take_changes()
    return effects, dict(encoded)


def run_whole(log: Sequence[Record]) -> tuple[Told, dict[str, bytes]]:
    encoded: dict[str, bytes] = {}
    detector = new_detector(JUMPY, encoded)
    effects = detector.handle(log)
    last, states = finish(detector, encoded)
    return by_key(effects + last), states


def run_in_pieces(log: Sequence[Record], random: Random) -> tuple[Told, dict[str, bytes]]:
    """Chunks of any size, with ``advance``, ``take_changes`` and restarts from the encoded states in between."""
    encoded: dict[str, bytes] = {}
    detector = new_detector(JUMPY, encoded)
    effects: list[Effect] = []
    start = 0
    while start < len(log):
        end = start + random.choice((1, 2, 10, 60))
        effects += detector.handle(log[start:end])
        start = end
        match random.choice(("go on", "go on", "advance", "take changes", "restart")):
            case "advance":
                effects += detector.advance(0)
            case "take changes":
                detector.take_changes()
            case "restart":
                detector.take_changes()
                encoded = dict(encoded)
                detector = new_detector(JUMPY, encoded)
    last, states = finish(detector, encoded)
    return by_key(effects + last), states


@given(seed=seeds)
@repeatable
def test_chunks_pauses_and_restarts_change_no_decision_and_no_state(seed: int) -> None:
    random = Random(seed)
    log = made_up_records(random)
    assert run_in_pieces(log, random) == run_whole(log)


@given(seed=seeds)
@repeatable
def test_a_checkpoint_made_while_events_go_on_is_the_state_at_its_beginning(seed: int) -> None:
    """Slices of encoding between slices of the log; whoever starts from it, at its position, ends as all the others."""
    random = Random(seed)
    log = made_up_records(random)
    whole_told, whole_states = run_whole(log)
    place = random.randrange(len(log))
    detector = new_detector(JUMPY, {})
    told_before = by_key(detector.handle(log[:place]))
    detector.begin_checkpoint()
    rest = iter(log[place:])
    while (changes := detector.encode_checkpoint(random.choice((0, 1, 2)))) is None:
        detector.handle(record for _, record in zip(range(random.randint(1, 5)), rest, strict=False))
    encoded = {key: state for key, state in changes.items() if state is not None}
    again = new_detector(JUMPY, encoded)
    assert again.position == place
    effects = again.handle(log[place:])
    last, states = finish(again, encoded)
    told = by_key(effects + last)
    for key, everything in whole_told.items():
        assert told_before.get(key, []) + told.get(key, []) == everything
    assert states == whole_states


def closed_facts(encoded: bytes) -> list[object]:
    """What a tenant's closed minutes leave behind, without the offsets and sketches' bytes that tell the order."""
    state = decode_tenant(encoded)
    minutes = {
        index: (minute.requests, minute.input_tokens, minute.output_tokens, minute.errors, minute.denied, minute.models)
        for index, minute in state.windows.minutes.items()
        if index <= state.windows.closed_minute
    }
    closed = state.windows.closed_minute
    return [closed, minutes, state.windows.distinct_accounts(closed), state.baselines, state.models]


@given(seed=seeds)
@repeatable
def test_any_order_within_the_allowed_lateness_closes_the_same_minutes(seed: int) -> None:
    """Without lulls: across more than a minute, the order decides when a jump of time is believed."""
    random = Random(seed)
    events = made_up_events(random, longest_lull_s=25)
    jitters = {item["id"]: streams.to_ms(item["time"]) + random.random() * ALLOWED_LATENESS_MS for item in events}
    calm = streams.policy(features={})
    facts = []
    for arrivals in (events, sorted(events, key=lambda item: jitters[item["id"]])):
        encoded: dict[str, bytes] = {}
        detector = new_detector(calm, encoded)
        detector.handle([record(n, item, timestamp_ms=FAR_FUTURE_MS) for n, item in enumerate(arrivals)])
        _, states = finish(detector, encoded)
        facts.append({key: closed_facts(states[key]) for key in sorted(states) if key != PARTITION_KEY})
    assert facts[0] == facts[1]


@given(seed=seeds)
@repeatable
@example(seed=82673)  # a shape that reaches the rung alone and with others
def test_every_trip_explains_itself_truly(seed: int) -> None:
    """What is observed reaches the rung, the named levels do not; its evidence leads to its cause."""
    events = made_up_events(Random(seed))
    log = streams.records(events)
    encoded: dict[str, bytes] = {}
    detector = new_detector(JUMPY, encoded)
    for place, arrived in enumerate(log):
        for decision in streams.decisions(detector.handle([arrived])):
            if decision.issued_at != events[place]["time"]:
                continue
            told = evidence_of(decision)
            source = told.sources[0]
            assert source.first_offset <= place <= source.last_offset
            assert events[place]["id"] in told.sample_event_ids
            assert len(told.sample_event_ids) <= 5
            detector.take_changes()
            state = decode_tenant(encoded[decision.tenant_id])
            observed = {reason.code: reason.observed for reason in decision.reasons}
            assert all(level < observed[code] for code, level in levels(decision).items())
            assert reached(state, decision, observed)
            assert not reached(state, decision, observed | levels(decision))


@given(seed=seeds)
@repeatable
def test_tokens_at_the_named_level_make_no_decision(seed: int) -> None:
    """The same stream with the cause's tokens cut to the level runs on without the decision."""
    events = made_up_events(Random(seed))
    for decision in streams.run(events, JUMPY)[:12]:
        place = next((n for n, item in enumerate(events) if item["time"] == decision.issued_at), None)
        named, cause = levels(decision), dict(events[place or 0])
        if place is None or any("tokens" not in code for code in named):
            continue
        for field in ("input_tokens", "output_tokens"):
            over = [
                r.observed - named[r.code] for r in decision.reasons if r.code in named and r.code.startswith(field)
            ]
            cause[field] -= ceil(max(over, default=0))
        if min(cause["input_tokens"], cause["output_tokens"]) >= 0:
            again = streams.run([*events[:place], cause], JUMPY)
            assert decision.decision_id not in {other.decision_id for other in again}


def reached(state: TenantState, decision: Decision, values: dict[str, float]) -> bool:
    """Whether values of features reach the decision's rung."""
    assert decision.action is not Action.ALLOW
    scored = score_values(state, JUMPY, [(CODES.index(code), value) for code, value in values.items()], 0)
    return step_reached(JUMPY, scored, [Step(decision.action, JUMPY.rungs[decision.action], False)]) is not None


def levels(decision: Decision) -> dict[str, float]:
    """The levels that a counterfactual names."""
    found = re.findall(r"(\w+) ≤ (\d+)", str(decision.counterfactual or ""))
    return {code: float(level) for code, level in found}
