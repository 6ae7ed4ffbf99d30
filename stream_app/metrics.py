"""Every Prometheus metric of the worker, built on a given registry; labels are closed sets, never a tenant."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from stream_app import __version__
from stream_app.detection.effects import DeadLetter, Effect, EmitDecision, EmitSignal, Tally

#: Seconds; .25 and 2.5 are the edges that service levels are stated at.
LATENCY_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
#: Seconds; a tick of 10,000 tenants takes two, one of 100,000 should stay below twenty.
TICK_BUCKETS = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0)


class Metrics:
    """The worker's metrics; one instance per process and registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._events = Counter(
            "stillwatch_events",
            "Events by outcome: applied, repeated, rejected",
            ["outcome"],
            registry=registry,
        )
        self.missed = Counter(
            "stillwatch_missed_records",
            "Source records that were gone before they were read (the log began behind our position)",
            registry=registry,
        )
        self.rewinds = Counter(
            "stillwatch_rewinds", "Chunks that came out of order and were read again", registry=registry
        )
        self.recovery_remaining = Gauge(
            "stillwatch_recovery_remaining_records",
            "Changelog records still to read before a partition is taken over",
            ["partition"],
            registry=registry,
        )
        self._withheld = Counter(
            "stillwatch_withheld_denials", "Denials that the harm budget turned into observing", registry=registry
        )
        self._sampled = Counter(
            "stillwatch_sampled_events",
            "Events looked at for optional fields: one of 32 records",
            registry=registry,
        )
        self._fields = Counter(
            "stillwatch_sampled_fields", "Sampled events that had the optional field", ["field"], registry=registry
        )
        self._late = Counter(
            "stillwatch_late_events", "Events applied although behind the watermark", registry=registry
        )
        self._forgotten = Counter(
            "stillwatch_forgotten_tenants", "Tenants dropped after thirty idle days", registry=registry
        )
        self._decisions = Counter(
            "stillwatch_decisions",
            "Decisions acknowledged by the broker",
            ["action", "simulated", "origin"],
            registry=registry,
        )
        self._dead_letters = Counter(
            "stillwatch_dead_letters", "Inputs refused, by reason", ["reason"], registry=registry
        )
        self._latency = Histogram(
            "stillwatch_decision_latency_seconds",
            "From the Kafka timestamp of the causing record to the acknowledged decision",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self._signals = Counter(
            "stillwatch_signals", "Signals for the campaign stage acknowledged by the broker", registry=registry
        )
        self.tick_seconds = Histogram(
            "stillwatch_tick_seconds",
            "A tick of the campaign stage with the signals read with it",
            buckets=TICK_BUCKETS,
            registry=registry,
        )
        self._campaigns = Gauge("stillwatch_campaigns", "Campaigns reported, candidates included", registry=registry)
        self._newest = Gauge(
            "stillwatch_newest_event_timestamp_seconds", "Event time of the newest event applied", registry=registry
        )
        self.lag = Gauge(
            "stillwatch_consumer_lag_records", "Records not yet applied, by partition", ["partition"], registry=registry
        )
        self.checkpoint_seconds = Histogram(
            "stillwatch_checkpoint_seconds", "From the beginning of a checkpoint to its commit", registry=registry
        )
        self.instructions = Counter(
            "stillwatch_instructions",
            "Records of logs that every worker reads, by log and outcome",
            ["log", "outcome"],
            registry=registry,
        )
        build = Gauge("stillwatch_build_info", "Always 1; the version is the label", ["version"], registry=registry)
        build.labels(__version__).set(1)

    def forget_partition(self, number: int) -> None:
        """A partition is no longer ours: say nothing more of it."""
        for gauge in (self.lag, self.recovery_remaining):
            gauge.remove(str(number))

    def count_events(self, tally: Tally) -> None:
        """Add what became of a chunk's events."""
        for outcome in ("applied", "repeated", "rejected"):
            self._events.labels(outcome).inc(getattr(tally, outcome))
        self._late.inc(tally.late)
        self._forgotten.inc(tally.forgotten)
        self._withheld.inc(tally.withheld)
        self._sampled.inc(tally.sampled)
        for name, count in tally.fields.items():
            self._fields.labels(name).inc(count)
        if tally.campaigns >= 0:
            self._campaigns.set(tally.campaigns)
        if tally.newest_event_ms:
            self._newest.set(tally.newest_event_ms / 1000)

    def count_effect(self, effect: Effect, latency_s: float) -> None:
        """Count an acknowledged effect; the latency is used for decisions only."""
        match effect:
            case EmitDecision(decision=decision):
                self._decisions.labels(decision.action, str(decision.simulated).lower(), decision.origin).inc()
                self._latency.observe(max(latency_s, 0.0))
            case EmitSignal():
                self._signals.inc()
            case DeadLetter(reason=reason):
                self._dead_letters.labels(reason).inc()
