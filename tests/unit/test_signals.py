"""When a tenant signals, and what it tells."""

from itertools import pairwise
from typing import Any

from msgspec import UNSET

from stream_app.detection.detector import Detector
from stream_app.detection.effects import EmitSignal
from stream_app.detection.signals import MAX_SAMPLED, Signal
from stream_app.detection.state import decode_tenant
from tests.unit.streams import BEGIN_MS, EventFields, event, in_order, policy, records, steady

RICH: dict[str, Any] = {
    "max_tokens": 1024,
    "temperature": 0.7,
    "refused": True,
    "client": {"ip_prefix": "192.0.2.0/24", "ja4": "t13d", "country": "NL"},
    "account": {"created_at": "2025-12-31T00:00:00Z", "payment_fp": "card", "signup_fp": "phone"},
    "prompt": {"simhash": "00000000000000ff", "templates": ["a", "b"], "system": "s"},
    "scores": {"jailbreak": 0.25, "toxic": 1.0},
}


def new_signalling(encoded: dict[str, bytes]) -> Detector:
    detector = Detector("requests", 0, 1, policy(), encoded)
    detector.has_campaigns = True
    return detector


def signals(stream: list[EventFields], chunk: int = 1_000) -> list[Signal]:
    detector = new_signalling({})
    effects = []
    every = records(stream)
    for start in range(0, len(every), chunk):
        effects += detector.handle(every[start : start + chunk])
    return [effect.signal for effect in effects if isinstance(effect, EmitSignal)]


def test_the_first_request_signals_at_once_and_the_rest_at_most_every_five_minutes() -> None:
    told = signals(in_order(steady(0, 1800, 12), steady(0.5, 2500, 6, "clock")))
    own = [signal for signal in told if signal.tenant_id == "acme"]
    assert (own[0].requests, own[0].pane_end_ms) == (1, BEGIN_MS + 10_000)
    gaps_ms = [b.pane_end_ms - a.pane_end_ms for a, b in pairwise(own)]
    assert len(own) >= 6
    assert min(gaps_ms) >= 290_000
    assert sum(signal.requests for signal in own) == 360
    assert [signal.sequence for signal in own] == list(range(len(own)))


def test_what_waits_is_told_when_a_minute_closes_and_nothing_is_told_twice() -> None:
    told = signals([event(0, **RICH), event(60, id="later"), *steady(100, 1300, 1, "clock")])
    own = [signal for signal in told if signal.tenant_id == "acme"]
    assert [signal.requests for signal in own] == [1, 1]
    first, second = (signal.profile for signal in own)
    assert (first.payment_fp, first.signup_fp, first.ja4, first.ip_prefixes) == (
        "card",
        "phone",
        ["t13d"],
        ["192.0.2.0/24"],
    )
    assert first.created_ms == BEGIN_MS - 86_400_000
    assert [(prompt.simhash, prompt.templates) for prompt in first.prompts] == [("00000000000000ff", ["a", "b"])]
    assert (first.systems, first.programs, first.refused) == (["s"], {"1024/0.7": 1}, 1)
    assert (first.scores, first.scored) == ({"jailbreak": 0.25}, 1)
    assert second.payment_fp is UNSET
    assert (second.prompts, second.ja4, second.models) == ([], [], {"small": 1})


def test_origin_is_not_told() -> None:
    elsewhere = {**RICH, "language": "sw", "client": {**RICH["client"], "country": "ZW", "asn": 9}}
    assert signals([event(0, **RICH)]) == signals([event(0, **elsewhere)])


def test_a_busy_tenant_is_sampled_and_counted_whole() -> None:
    told = signals(in_order([event(0)], steady(1, 200, 600, **RICH), steady(0.5, 1000, 6, "clock")))
    busy = [signal for signal in told if signal.tenant_id == "acme"][1]
    assert (busy.requests, busy.profile.tokens) == (1990, 1990 * 100)
    assert len(busy.profile.prompts) == MAX_SAMPLED


def test_chunk_boundaries_and_a_restart_change_no_signal() -> None:
    stream = in_order(steady(0, 1200, 7, **RICH), steady(3, 1200, 1, "other"), steady(0.5, 1900, 6, "clock"))
    whole = signals(stream)
    assert signals(stream, chunk=1) == whole
    every, encoded = records(stream), dict[str, bytes]()
    pieces = []
    for half in (every[:60], every[60:]):
        detector = new_signalling(encoded)
        pieces += detector.handle(half)
        detector.take_changes()
    assert [effect.signal for effect in pieces if isinstance(effect, EmitSignal)] == whole
    assert decode_tenant(encoded["acme"]).gathering is not None


def test_without_campaigns_nothing_is_gathered() -> None:
    detector = Detector("requests", 0, 1, policy(), encoded := dict[str, bytes]())
    assert detector.handle(records([event(0, **RICH)])) == []
    detector.take_changes()
    assert decode_tenant(encoded["acme"]).gathering is None


def test_skeletons_under_the_exchange_key_are_told_once_each_the_newest_last() -> None:
    def prompt(*templates: str) -> dict[str, Any]:
        return {"prompt": {"exchange": {"key_id": "shared", "templates": list(templates)}}}

    stream = [
        event(at_s, id=str(at_s), **prompt(*templates))
        for at_s, templates in [(0, ["a"]), (20, ["b", "c"]), (30, ["b"])]
    ]
    told = signals([*stream, *steady(100, 1300, 1, "clock")])
    assert [signal.profile.exchanged for signal in told if signal.tenant_id == "acme"] == [["a"], ["b", "c"]]
