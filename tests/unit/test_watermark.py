"""The clock of a partition: who may move it, and how far."""

from stream_app.detection.watermark import ALLOWED_LATENESS_MS, Watermark
from tests.unit.streams import BEGIN_MS, in_order, run, steady, time_of, to_ms


def observed(*claims: tuple[str, int]) -> int:
    """Seconds of test time that a watermark believes in after events of (tenant, seconds)."""
    watermark = Watermark()
    for tenant, time_s in claims:
        watermark.observe(tenant, BEGIN_MS + time_s * 1000)
        assert len(watermark.claims) < 3
    return (watermark.time_ms + ALLOWED_LATENESS_MS - BEGIN_MS) // 1000


def test_it_follows_the_newest_event_at_the_allowed_lateness() -> None:
    watermark = Watermark()
    watermark.observe("a", BEGIN_MS)
    assert watermark.time_ms == BEGIN_MS - 30_000
    assert observed(("a", 0), ("a", 20), ("a", 5)) == 20
    assert observed(("a", 0), ("a", 60)) == 60


def test_a_jump_needs_three_tenants() -> None:
    #   0          61   100  3600
    #   a ........ b .. c .. d      the three agree on 61 at least
    assert observed(("a", 0), ("b", 100), ("c", 61)) == 0
    assert observed(("a", 0), ("b", 100), ("b", 110), ("b", 120)) == 0
    assert observed(("a", 0), ("b", 100), ("c", 61), ("d", 3600)) == 61


def test_a_jump_is_believed_when_claims_go_on_for_a_minute() -> None:
    assert observed(("a", 0), ("b", 1000), ("b", 1059)) == 0
    assert observed(("a", 0), ("b", 1000), ("b", 1059), ("b", 1060)) == 1060


def test_a_voice_at_the_old_time_withdraws_all_claims() -> None:
    assert observed(("a", 0), ("b", 1000), ("c", 1000), ("a", 1), ("d", 1000)) == 1
    assert observed(("a", 0), ("b", 1000), ("a", 1), ("b", 1059), ("a", 2), ("b", 1120)) == 2
    assert observed(("a", 0), ("b", 1000), ("a", 1), ("b", 2000), ("b", 2060)) == 2060


def test_one_bad_clock_blinds_nobody() -> None:
    """A gateway an hour ahead reports a tenant's requests; all others are judged as if it did not exist."""
    #   0 ........... 600 ### 660     ordinary traffic, then a burst of one tenant
    #   3600 .............. 4260      the same minutes by the bad clock
    honest = in_order(steady(0, 660, 6), steady(0, 600, 6, "noisy"), steady(600, 660, 1200, "noisy", "burst"))
    ahead = steady(0, 660, 6, "ahead")
    arrivals = in_order(honest, ahead)
    wrong = [
        item | {"time": time_of((to_ms(item["time"]) - BEGIN_MS) / 1000 + 3600)}
        if item["tenant_id"] == "ahead"
        else item
        for item in arrivals
    ]
    told, expected = ([(d.subject, d.action, d.issued_at) for d in run(stream)] for stream in (wrong, honest))
    assert told == expected
    assert ("noisy", "throttle") in {(subject, action) for subject, action, _ in told}
