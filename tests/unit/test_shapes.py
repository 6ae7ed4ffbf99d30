"""How a tenant asks: what optional fields tell, several shapes moving together, and what is the provider's doing."""

from random import Random
from typing import Any

import pytest

from stream_app.detection.decisions import Action, Decision
from stream_app.detection.decode import decode_record
from stream_app.detection.events import Event
from stream_app.detection.features import CODES
from stream_app.detection.judgement import closed_values
from stream_app.detection.ladder import Standing
from stream_app.detection.policy import Policy
from stream_app.detection.services import Services
from stream_app.detection.shapes import MAX_DISTINCT, MAX_RECENT, Shape, add_shape, optional_values
from stream_app.detection.state import PARTITION_KEY, decode_partition, decode_tenant
from stream_app.detection.windows import Minute
from stream_app.policies import read_policy
from stream_app.settings import Settings
from tests.unit.streams import (
    BEGIN_MS,
    EventFields,
    event,
    evidence_of,
    in_order,
    new_detector,
    policy,
    record,
    records,
    run,
    steady,
    time_of,
    to_ms,
)

HOUR_S = 3600
DEFAULT = read_policy(Settings())


def shape_of(*events: EventFields) -> Shape | None:
    shape = None
    for item in events:
        (read,) = decode_record(record(0, item).value, {})
        assert isinstance(read, Event)
        shape = add_shape(shape, read, is_other_client=True)
    return shape


def values(*events: EventFields) -> dict[str, float]:
    shape = shape_of(*events)
    assert shape is not None
    return {CODES[place]: value for place, value in optional_values([shape], len(events))}


def test_an_event_without_optional_fields_leaves_no_trace() -> None:
    assert shape_of(event(1), event(2)) is None


def test_what_nobody_sends_has_no_value() -> None:
    found = values(event(1, latency_ms=20.0), event(2))
    assert found == {"refused_percent_600s": 0, "logprobs_percent_600s": 0, "parameter_sets_600s": 1}


def test_ratios_are_over_the_requests_that_have_the_field() -> None:
    found = values(
        event(1, max_tokens=1000, output_tokens=900, logprobs=True, temperature=0.2, reasoning_tokens=50),
        event(2, max_tokens=1000, output_tokens=100, refused=True, temperature=0.7, n=4),
        event(3, output_tokens=5000, scores={"jailbreak": 0.75, "cot_elicitation": 0.5}),
        event(4, scores={"jailbreak": 0.2}, temperature=0.7, n=4),
    )
    assert found["output_of_max_percent_600s"] == 50
    assert found["reasoning_per_request_600s"] == 50
    assert found["logprobs_percent_600s"] == found["refused_percent_600s"] == 25
    assert found["parameter_sets_600s"] == 2
    assert found["jailbreak_percent_600s"] == 25
    assert found["cot_elicitation_percent_600s"] == 0


def test_how_full_a_few_tokens_are_says_nothing() -> None:
    assert "output_of_max_percent_600s" not in values(event(1, max_tokens=5, output_tokens=5))
    mixed = values(event(1, max_tokens=5, output_tokens=5), event(2, max_tokens=1000, output_tokens=300))
    assert mixed["output_of_max_percent_600s"] == 30


def prompted(number: int, simhash: int, **prompt: Any) -> EventFields:
    return event(number, prompt={"simhash": f"{simhash:016x}", **prompt})


def test_prompts_that_differ_in_a_suffix_repeat_and_others_do_not() -> None:
    random = Random(1)
    first = random.getrandbits(64)
    mutated = [prompted(k, first ^ (1 << random.randrange(64)) ^ (1 << random.randrange(64))) for k in range(20)]
    others = [prompted(k, random.getrandbits(64)) for k in range(20)]
    assert values(*mutated)["repeated_prompts_percent_600s"] == 95
    assert values(*others)["repeated_prompts_percent_600s"] == 0


def test_a_shape_is_bounded() -> None:
    random = Random(2)
    many = [
        event(
            k,
            temperature=k / 1000,
            client={"ip_prefix": f"10.0.{k}.0/24", "ja4": f"t{k}"},
            prompt={"simhash": f"{random.getrandbits(64):016x}", "templates": [f"a{k}", f"b{k}"]},
        )
        for k in range(200)
    ]
    shape = shape_of(*many)
    assert shape is not None
    kinds = (shape.prefixes, shape.ja4s, shape.templates, shape.parameters)
    assert [len(kind) for kind in kinds] == [MAX_DISTINCT] * 4
    assert len(shape.recent) == MAX_RECENT


# Several shapes that move together

USUAL: dict[str, Any] = {
    "input_tokens": 600,
    "output_tokens": 200,
    "max_tokens": 1000,
    "temperature": 0.7,
    "logprobs": False,
}
EXTRACTING: dict[str, Any] = {"input_tokens": 80, "output_tokens": 950, "max_tokens": 1000, "logprobs": True}


def customers(seed: int, count: int, hours: int, per_minute: float = 3, **fields: Any) -> list[EventFields]:
    """Tenants with their own ways, whose requests vary as people's do."""
    random, made = Random(seed), []
    for number in range(count):
        now_s, outputs = random.random() * 60, random.choice((80, 200, 600))
        while (now_s := now_s + random.expovariate(per_minute / 60)) < hours * HOUR_S:
            made.append(
                event(
                    round(now_s, 3),
                    f"t{number}",
                    **USUAL
                    | {
                        "output_tokens": min(round(outputs * random.lognormvariate(0, 0.7)), 1000),
                        "input_tokens": round(500 * random.lognormvariate(0, 0.8)),
                        "latency_ms": 900 * random.lognormvariate(0, 0.4),
                    }
                    | fields,
                )
            )
    return in_order(made)


def extracting(begin_s: float, end_s: float, per_minute: float = 3) -> list[EventFields]:
    requests = steady(begin_s, end_s, per_minute, "acme", "extract", **EXTRACTING)
    return [item | {"temperature": (k % 9) / 10} for k, item in enumerate(requests)]


@pytest.mark.parametrize("per_minute", [2, 3, 10])
def test_extraction_at_normal_volume_is_slowed_down_within_half_an_hour(per_minute: float) -> None:
    begin_s = 6 * HOUR_S
    usual = [item | {"tenant_id": "acme", "id": item["id"] + "a"} for item in customers(5, 1, 6, per_minute)]
    found = run(in_order(usual, extracting(begin_s, begin_s + HOUR_S, per_minute), customers(6, 3, 7)), DEFAULT)
    assert {decision.tenant_id for decision in found} == {"acme"}
    first = {d.action: (to_ms(d.issued_at) - BEGIN_MS) / 1000 - begin_s for d in reversed(found)}
    assert 0 < first[Action.OBSERVE] <= 1800
    assert 0 < first[Action.THROTTLE] <= 1800
    throttle = next(d for d in found if d.action is Action.THROTTLE)
    assert {"logprobs_percent_600s", "parameter_sets_600s"} <= {reason.code for reason in throttle.reasons}
    assert evidence_of(throttle).sample_event_ids[-1].startswith("acme-extract")


def test_one_kind_of_shape_alone_is_observed_at_most() -> None:
    changed = steady(6 * HOUR_S, 7 * HOUR_S, 3, "acme", "long", **USUAL | {"output_tokens": 990, "input_tokens": 50})
    usual = [item | {"tenant_id": "acme", "id": item["id"] + "a"} for item in customers(5, 1, 6)]
    assert {d.action for d in run(in_order(usual, changed, customers(6, 3, 7)), DEFAULT)} <= {
        Action.OBSERVE,
        Action.ALLOW,
    }


def test_ordinary_tenants_are_left_alone() -> None:
    assert run(customers(7, 12, 12), DEFAULT) == []


def test_a_policy_without_together_judges_each_shape_alone() -> None:
    alone = Policy.model_validate(DEFAULT.model_dump() | {"together": None})
    usual = [item | {"tenant_id": "acme", "id": item["id"] + "a"} for item in customers(5, 1, 6)]
    found = run(in_order(usual, extracting(6 * HOUR_S, 7 * HOUR_S), customers(6, 3, 7)), alone)
    assert {d.action for d in found} <= {Action.OBSERVE, Action.ALLOW}


def test_with_one_kind_at_its_level_there_is_no_throttle() -> None:
    """The counterfactual of several shapes together, tried."""
    begin_s = 6 * HOUR_S
    usual = [item | {"tenant_id": "acme", "id": item["id"] + "a"} for item in customers(5, 1, 6)]
    clock = customers(6, 3, 7)

    def told(**fields: Any) -> list[Decision]:
        changed = [item | fields for item in extracting(begin_s, begin_s + HOUR_S)]
        return run(in_order(usual, changed, clock), DEFAULT)

    throttle = next(d for d in told() if d.action is Action.THROTTLE)
    assert "logprobs_percent_600s ≤ " in str(throttle.counterfactual)
    assert Action.THROTTLE not in {d.action for d in told(logprobs=False)}
    assert Action.THROTTLE not in {d.action for d in told(temperature=0.7)}


# What is the provider's doing


@pytest.mark.parametrize("status", [500, 503, 429])
def test_an_outage_with_retries_by_everybody_gives_no_decision(status: int) -> None:
    usual = customers(8, 8, 3)
    failing = []
    for item in customers(9, 8, 1, per_minute=3):
        begin_s = 3 * HOUR_S + (to_ms(item["time"]) - BEGIN_MS) / 1000 / 4
        for attempt in range(20):
            retry = {"id": f"{item['id']}-{attempt}", "time": time_of(begin_s + attempt * 0.4), "status_code": status}
            failing.append(item | retry | {"output_tokens": 0})
    after = [
        item | {"id": item["id"] + "b", "time": time_of(4 * HOUR_S + (to_ms(item["time"]) - BEGIN_MS) / 1000)}
        for item in customers(8, 8, 1)
    ]
    assert run(in_order(usual, failing, after), DEFAULT) == []


def test_whom_alone_the_provider_fails_is_looked_at() -> None:
    usual = in_order(customers(8, 6, 4), steady(0, 3 * HOUR_S, 6, "acme"))
    broken = steady(3 * HOUR_S, 4 * HOUR_S, 6, "acme", "broken", status_code=500, output_tokens=0)
    found = run(in_order(usual, broken), DEFAULT)
    assert {d.tenant_id for d in found} == {"acme"}
    assert found[0].action is Action.OBSERVE
    assert found[0].reasons[0].code == "provider_errors_percent_600s"


def test_everybody_back_at_once_after_a_gap_gives_no_decision() -> None:
    """Nothing was collected for two hours, then all are there in the same second."""
    before = customers(10, 10, 4)
    shift_s = 6 * HOUR_S
    after = [
        item | {"id": item["id"] + "b", "time": time_of(shift_s + (to_ms(item["time"]) - BEGIN_MS) / 1000)}
        for item in customers(11, 10, 1)
    ]
    rush = [event(shift_s + n / 10, f"t{n}", id=f"rush-{n}-{k}", **USUAL) for n in range(10) for k in range(20)]
    found = run(in_order(before, rush, after), DEFAULT)
    assert [(d.tenant_id, d.action, d.reasons) for d in found] == []


def moves(model: str, movers: int, begin_h: float = 30) -> set[str]:
    """Tenants told of when so many of ten move to a model after more than a day of another."""
    begin_s, end_s = begin_h * HOUR_S, (begin_h + 2) * HOUR_S
    rules = policy(features={"model_shift_percent_600s": {"floor": 50, "up_to": "observe"}})
    spans = ((0, 600), (begin_s - 3 * HOUR_S, begin_s))
    before = [steady(n + a, b, 1.5, f"t{n}", model="old") for n in range(10) for a, b in spans]
    after = [
        steady(begin_s + 60 * n, end_s, 1.5, f"t{n}", name="after", model=model if n < movers else "old")
        for n in range(10)
    ]
    also = steady(0, 600, 6, "seldom", model="seldom")
    return {d.tenant_id for d in run(in_order(*before, *after, also), rules)}


def test_who_moves_with_the_crowd_to_a_launched_model_is_nobody() -> None:
    assert moves("launched", 10) == set()
    assert moves("own-tuned", 1) == moves("seldom", 1) == {"t0"}


def test_no_model_is_launched_in_a_partitions_first_day() -> None:
    assert len(moves("launched", 10, begin_h=12)) > 5


def test_others_are_all_but_the_tenant_itself() -> None:
    services = Services()
    for status, count in ((200, 300), (500, 100)):
        (read,) = decode_record(record(0, event(1, status_code=status, latency_ms=100.0)).value, {})
        assert isinstance(read, Event)
        for _ in range(count):
            services.count(read, 20, False)
    alone = [Minute(requests=300, failed=100, shape=Shape(timed=300, latency_ms=30_000))]
    assert services.compare(20, alone, 300) == []
    found = dict(services.compare(25, [Minute(requests=10, failed=90)], 10))
    assert found == {CODES.index("provider_errors_percent_600s"): pytest.approx(100 * (0.9 - 5 * 10 / 300))}
    assert services.compare(31, [Minute(requests=10, failed=90)], 10) == []


@pytest.mark.parametrize(("timed", "is_told"), [(9, False), (10, True)])
def test_latency_of_a_few_answers_says_nothing(timed: int, is_told: bool) -> None:
    """In an outage a tenant may get two answers in ten minutes, and a long one among them."""
    services = Services()
    (read,) = decode_record(record(0, event(1, latency_ms=100.0)).value, {})
    assert isinstance(read, Event)
    for _ in range(300):
        services.count(read, 20, False)
    own = [Minute(requests=timed, failed=90, shape=Shape(timed=timed, latency_ms=900 * timed))]
    assert (CODES.index("latency_percent_600s") in dict(services.compare(20, own, timed))) == is_told


def test_a_minute_that_is_open_is_compared_by_what_its_panes_count() -> None:
    """A plot may ask for a minute before it is closed, when its own record counts no request yet."""
    detector = new_detector()
    others = steady(0, 45, 600, "other", latency_ms=100)
    detector.handle(records(in_order(steady(0, 45, 60, latency_ms=900), others)))
    changes = detector.take_changes()
    state, services = decode_tenant(changes["acme"] or b""), decode_partition(changes[PARTITION_KEY] or b"").services
    state.standing = Standing(Action.OBSERVE, 0, 0, 1, 0, "", 0)
    found = dict(closed_values(state, BEGIN_MS // 60_000, services).asked)
    assert found[CODES.index("latency_percent_600s")] == pytest.approx(900)
    assert found[CODES.index("provider_errors_percent_600s")] == 0
