"""What a worker tells of each partition it owns: the label is the partition's number."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

#: Seconds; a takeover takes one to ten, and a million states half a minute.
_RECOVERY_BUCKETS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class PartitionMetrics:
    """Gauges by partition, and what takeovers and checkpoints take."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, documentation: str) -> Gauge:
            return Gauge(name, documentation, ["partition"], registry=registry)

        self.lag = gauge("stillwatch_consumer_lag_records", "Records not yet applied, by partition")
        self.unsent_age = gauge("stillwatch_unsent_seconds", "How long the oldest effect not yet acknowledged waits")
        self.checkpoint_age = gauge(
            "stillwatch_checkpoint_age_seconds", "Since the last checkpoint was begun; 0 while nothing has changed"
        )
        self.state_bytes = gauge("stillwatch_state_bytes", "Encoded states of a partition, as of its last minute")
        self.state_tenants = gauge("stillwatch_state_tenants", "Tenants with a state, as of its last minute")
        self.harm_used = gauge("stillwatch_harm_budget_used", "Subjects newly denied within the last hour")
        self.harm_allowed = gauge("stillwatch_harm_budget_allowed", "Subjects that may be newly denied in an hour")
        self._recovery_remaining = gauge(
            "stillwatch_recovery_remaining_records", "Changelog records still to read before a partition is taken over"
        )
        self._gauges = [
            *(self.lag, self.unsent_age, self.checkpoint_age, self.state_bytes, self.state_tenants),
            *(self.harm_used, self.harm_allowed, self._recovery_remaining),
        ]
        self._recovering = Gauge(
            "stillwatch_recovering_partitions", "Partitions that are being taken over", registry=registry
        )
        self._recovery_seconds = Histogram(
            "stillwatch_recovery_seconds",
            "From the beginning of a partition's takeover until its states and journal are read",
            buckets=_RECOVERY_BUCKETS,
            registry=registry,
        )
        self.checkpoint_seconds = Histogram(
            "stillwatch_checkpoint_seconds", "From the beginning of a checkpoint to its commit", registry=registry
        )
        self.checkpoint_bytes = Counter(
            "stillwatch_checkpoint_bytes", "Encoded states committed by checkpoints", registry=registry
        )

    @contextmanager
    def takeover(self, number: int) -> Iterator[Gauge]:
        """A partition is being taken over: yields the gauge of what is still to read, which a failure takes back."""
        began_s = time.monotonic()
        with self._recovering.track_inprogress():
            try:
                yield self._recovery_remaining.labels(str(number))
            except BaseException:
                self.forget(number)
                raise
        self._recovery_seconds.observe(time.monotonic() - began_s)

    def forget(self, number: int) -> None:
        """A partition is no longer ours: say nothing more of it."""
        for gauge in self._gauges:
            gauge.remove(str(number))
