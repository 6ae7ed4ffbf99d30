"""What the metrics say of events, decisions and campaigns, and that no number of tenants adds to them."""

import msgspec
import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.records import Campaign, Status
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.decisions import Action, Decision, PolicyRef, Reason
from stream_app.detection.effects import EmitDecision, Tally
from stream_app.detection.explanations import rfc3339
from stream_app.metrics import Metrics, Waited
from tests.unit.streams import BEGIN_MS, event, new_detector, record

THROUGH_THE_CORE = 2_000  # tenants whose events are judged; the rest are only decided upon, which costs less


def decision(*codes: str, origin: str = "detector", simulated: bool = False) -> Decision:
    return Decision(
        decision_id="d1",
        scope="tenant",
        subject="acme",
        tenant_id="acme",
        action=Action.THROTTLE,
        simulated=simulated,
        origin=origin,
        reasons=[Reason(code, 10.0, 1.0, "requests", 60, 0.99995) for code in codes],
        policy=PolicyRef("p", "throttle"),
        issued_at=rfc3339(BEGIN_MS),
        expires_at=rfc3339(BEGIN_MS + 1000),
        revision=1,
    )


class Shown(Metrics):
    """Metrics with a registry of their own, and one sample of them."""

    def __init__(self) -> None:
        super().__init__(CollectorRegistry())

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"stillwatch_{name}", labels)

    def series(self) -> set[tuple[str, tuple[tuple[str, str], ...]]]:
        samples = [sample for family in self.registry.collect() for sample in family.samples]
        return {(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples}


def test_events_count_by_how_long_their_record_waited() -> None:
    shown = Shown()
    shown.count_events(Tally(applied=90, repeated=5, rejected=5), [Waited(1_000, 99), Waited(9_000, 1)], now_s=10.0)
    buckets = {edge: shown.sample("event_latency_seconds_bucket", le=edge) for edge in ("0.5", "1.0", "2.5", "+Inf")}
    assert buckets == {"0.5": 0, "1.0": 1, "2.5": 1, "+Inf": 100}
    assert shown.sample("event_latency_seconds_count") == 100
    assert shown.sample("event_latency_seconds_sum") == 99 * 9 + 1
    assert shown.sample("last_applied_timestamp_seconds") == 10.0


def test_a_record_from_the_future_waited_no_time() -> None:
    shown = Shown()
    shown.count_events(Tally(applied=1), [Waited(11_000, 1)], now_s=10.0)
    assert shown.sample("event_latency_seconds_sum") == 0


def test_refused_events_are_no_sign_of_life() -> None:
    shown = Shown()
    shown.count_events(Tally(applied=1), [Waited(9_000, 1)], now_s=10.0)
    shown.count_events(Tally(rejected=3), [Waited(19_000, 3)], now_s=20.0)
    assert shown.sample("last_applied_timestamp_seconds") == 10.0


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        (["requests_60s", "errors_60s"], "requests_60s"),
        (["campaign_payer"], "campaign"),
        (["link_members"], "link"),
        ([], "none"),
        (["of_tomorrow"], "other"),
    ],
)
def test_every_reason_has_its_place_in_a_closed_set(codes: list[str], reason: str) -> None:
    shown = Shown()
    before = shown.series()
    shown.count_effect(EmitDecision(decision(*codes), BEGIN_MS), BEGIN_MS / 1000 + 2)
    assert shown.sample("decision_reasons_total", reason=reason) == 1
    assert shown.sample("decisions_total", action="throttle", simulated="false", origin="detector") == 1
    assert shown.sample("last_decision_timestamp_seconds") == BEGIN_MS / 1000 + 2
    assert shown.series() == before


def test_openmetrics_names_a_decision_beside_its_latency() -> None:
    shown = Shown()
    shown.count_effect(EmitDecision(decision("requests_60s"), BEGIN_MS), BEGIN_MS / 1000 + 2)
    encode, content_type = choose_encoder("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    families = text_string_to_metric_families(encode(shown.registry).decode())
    found = [sample.exemplar for family in families for sample in family.samples if sample.exemplar]
    assert [(one.labels, one.value) for one in found] == [({"decision_id": "d1"}, 2.0)]


def test_campaigns_count_by_kind_and_status() -> None:
    shown, stage = Shown(), CampaignStage()
    for number, status in enumerate([Status.CONFIRMED, Status.CANDIDATE, Status.CONFIRMED]):
        stage.memory.campaigns.append(Campaign(f"c{number}", 0, Pool(np.zeros(0)), status=status, is_listed=True))
    shown.campaigns.show(stage.campaigns)
    assert shown.sample("campaigns_by_status", kind="cohort", status="confirmed") == 2
    assert shown.sample("campaigns_by_status", kind="cohort", status="candidate") == 1
    shown.campaigns.show([])
    assert shown.sample("campaigns_by_status", kind="cohort", status="confirmed") == 0


def test_a_hundred_thousand_tenants_add_no_series() -> None:
    shown = Shown()
    before = shown.series()
    made = decision("requests_60s")
    for number in range(100_000):
        own = msgspec.structs.replace(made, decision_id=f"d{number}", subject=f"t{number}", tenant_id=f"t{number}")
        shown.count_effect(EmitDecision(own, BEGIN_MS), BEGIN_MS / 1000)
    detector = new_detector()
    detector.has_campaigns = True
    for number in range(THROUGH_THE_CORE):
        effects = detector.handle([record(number, event(number / 100, f"t{number}"))])
        shown.count_events(detector.take_tally(), [Waited(BEGIN_MS, 1)], BEGIN_MS / 1000)
        for effect in effects:
            shown.count_effect(effect, BEGIN_MS / 1000)
    assert shown.sample("decision_latency_seconds_count") == 100_000
    assert (shown.sample("signals_total") or 0) > THROUGH_THE_CORE / 2
    assert shown.series() == before


def test_a_partition_that_is_given_up_leaves_nothing() -> None:
    shown = Shown()
    before = shown.series()
    shown.partitions.lag.labels("3").set(7)
    shown.partitions.harm_used.labels("3").set(1)
    assert shown.series() != before
    shown.partitions.forget(3)
    assert shown.series() == before


def test_a_takeover_shows_what_is_left_to_read_and_a_failed_one_leaves_nothing() -> None:
    shown = Shown()
    before = shown.series()
    with shown.partitions.takeover(3) as remaining:
        remaining.set(9)
        assert shown.sample("recovery_remaining_records", partition="3") == 9
        assert shown.sample("recovering_partitions") == 1
    assert shown.sample("recovery_seconds_count") == 1
    with pytest.raises(OSError), shown.partitions.takeover(3):  # noqa: PT011 - any failure will do
        raise OSError
    assert shown.sample("recovering_partitions") == 0
    assert shown.sample("recovery_seconds_count") == 1
    assert shown.series() == before
