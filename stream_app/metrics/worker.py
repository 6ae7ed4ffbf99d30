"""Every Prometheus metric of the worker, built on a given registry; labels are closed sets, never a tenant."""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream_app import __version__
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.decode import RejectReason
from stream_app.detection.effects import OPTIONAL_FIELDS, DeadLetter, Effect, EmitDecision, EmitSignal, Tally
from stream_app.detection.features import FEATURES
from stream_app.metrics.campaigns import CampaignMetrics
from stream_app.metrics.histograms import WeightedHistogram
from stream_app.metrics.partitions import PartitionMetrics

#: Seconds; .25 and 2.5 are the edges that service levels are stated at.
LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Enter levels of the default policy's rungs, and one beyond the strictest.
SCORE_BUCKETS = (0.99, 0.999, 0.9999, 0.99999, 0.999999, 0.9999999)
#: Main reasons of decisions: features, and whatever begins or is called so. An operator's decision has none.
_CAMPAIGN, _LINK, _NONE, _OTHER = "campaign", "link", "none", "other"
REASONS = frozenset({*(feature.code for feature in FEATURES), _CAMPAIGN, _LINK, _NONE, _OTHER})
OUTCOMES = ("applied", "repeated", "rejected")


class Waited(NamedTuple):
    """So many events came with a record of this Kafka timestamp."""

    caused_ms: int
    events: int


class Metrics:
    """The worker's metrics; one instance per process and registry.

    Every series of a closed label set is there from the start, so that its first count is a rise and not a beginning.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.partitions = PartitionMetrics(registry)
        self.campaigns = CampaignMetrics(registry)
        self._add_events(registry)
        self._add_decisions(registry)
        self._signals = Counter(
            "stillwatch_signals", "Signals for the campaign stage acknowledged by the broker", registry=registry
        )
        self.instructions = Counter(
            "stillwatch_instructions",
            "Records of logs that every worker reads, by log and outcome",
            ["log", "outcome"],
            registry=registry,
        )
        build = Gauge("stillwatch_build_info", "Always 1; the version is the label", ["version"], registry=registry)
        build.labels(__version__).set(1)

    def _add_events(self, registry: CollectorRegistry) -> None:
        events = Counter(
            "stillwatch_events", "Events by outcome: applied, repeated, rejected", ["outcome"], registry=registry
        )
        self._events = {outcome: events.labels(outcome) for outcome in OUTCOMES}
        self._event_latency = WeightedHistogram(
            "stillwatch_event_latency_seconds",
            "From an event's Kafka timestamp until everything it caused is acknowledged",
            LATENCY_BUCKETS,
            registry,
        )
        self._last_applied = Gauge(
            "stillwatch_last_applied_timestamp_seconds", "When events were last applied", registry=registry
        )
        self._last_applied.set_to_current_time()  # so that a worker that never applies any is noticed, too
        self._late = Counter(
            "stillwatch_late_events", "Events applied although behind the watermark", registry=registry
        )
        self.missed = Counter(
            "stillwatch_missed_records",
            "Source records that were gone before they were read (the log began behind our position)",
            registry=registry,
        )
        self.rewinds = Counter(
            "stillwatch_rewinds", "Chunks that came out of order and were read again", registry=registry
        )
        self._sampled = Counter(
            "stillwatch_sampled_events", "Events looked at for optional fields: one of 32 records", registry=registry
        )
        fields = Counter(
            "stillwatch_sampled_fields", "Sampled events that had the optional field", ["field"], registry=registry
        )
        self._fields = {name: fields.labels(name) for name in OPTIONAL_FIELDS}
        self._forgotten = Counter(
            "stillwatch_forgotten_tenants", "Tenants dropped after thirty idle days", registry=registry
        )
        letters = Counter("stillwatch_dead_letters", "Inputs refused, by reason", ["reason"], registry=registry)
        self._dead_letters = {reason: letters.labels(reason.value) for reason in RejectReason}
        self._newest = Gauge(
            "stillwatch_newest_event_timestamp_seconds", "Event time of the newest event applied", registry=registry
        )

    def _add_decisions(self, registry: CollectorRegistry) -> None:
        self._decisions = Counter(
            "stillwatch_decisions",
            "Decisions acknowledged by the broker",
            ["action", "simulated", "origin"],
            registry=registry,
        )
        for action, simulated, origin in product(Action, ("true", "false"), ("detector", "operator")):
            self._decisions.labels(action.value, simulated, origin)
        reasons = Counter(
            "stillwatch_decision_reasons", "Decisions by their main reason", ["reason"], registry=registry
        )
        self._reasons = {reason: reasons.labels(reason) for reason in sorted(REASONS)}
        self._scores = Histogram(
            "stillwatch_decision_score",
            "Score of the main reason of a decision",
            buckets=SCORE_BUCKETS,
            registry=registry,
        )
        self._latency = Histogram(
            "stillwatch_decision_latency_seconds",
            "From the Kafka timestamp of the causing record to the acknowledged decision",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._last_decision = Gauge(
            "stillwatch_last_decision_timestamp_seconds", "When a decision was last acknowledged", registry=registry
        )
        self._withheld = Counter(
            "stillwatch_withheld_denials", "Denials that the harm budget turned into observing", registry=registry
        )

    def count_events(self, tally: Tally, waited: Iterable[Waited], now_s: float) -> None:
        """Add what became of chunks' events, all effects of which are acknowledged now (processing time)."""
        for outcome, series in self._events.items():
            series.inc(getattr(tally, outcome))
        for caused_ms, events in waited:
            self._event_latency.observe(max(now_s - caused_ms / 1000, 0.0), events)
        if tally.applied:
            self._last_applied.set(now_s)
        self._late.inc(tally.late)
        self._forgotten.inc(tally.forgotten)
        self._withheld.inc(tally.withheld)
        self._sampled.inc(tally.sampled)
        for name, count in tally.fields.items():
            self._fields[name].inc(count)
        if tally.campaigns >= 0:
            self.campaigns.reported.set(tally.campaigns)
        if tally.newest_event_ms:
            self._newest.set(tally.newest_event_ms / 1000)

    def count_effect(self, effect: Effect, acknowledged_s: float) -> None:
        """Count an effect acknowledged at that time; a decision's latency is from its cause until then."""
        match effect:
            case EmitDecision(decision=decision, cause_ms=cause_ms):
                self._count_decision(decision, max(acknowledged_s - cause_ms / 1000, 0.0))
                self._last_decision.set(acknowledged_s)
            case EmitSignal():
                self._signals.inc()
            case DeadLetter(reason=reason):
                self._dead_letters[reason].inc()

    def _count_decision(self, decision: Decision, latency_s: float) -> None:
        self._decisions.labels(decision.action, str(decision.simulated).lower(), decision.origin).inc()
        self._latency.observe(latency_s, {"decision_id": decision.decision_id})
        self._reasons[reason_of(decision)].inc()
        if decision.reasons:
            self._scores.observe(decision.reasons[0].score)


def reason_of(decision: Decision) -> str:
    """A decision's main reason as one of ``REASONS``."""
    if not decision.reasons:
        return _NONE
    code = decision.reasons[0].code
    if code in REASONS:
        return code
    return next((known for known in (_CAMPAIGN, _LINK) if code.startswith(f"{known}_")), _OTHER)
