"""What the partitions of a worker are like at the moment, for its metrics."""

from collections.abc import Mapping

from stream_app.adapters.partitions import OwnedPartition
from stream_app.detection.detector import Detector
from stream_app.metrics import PartitionMetrics


def show_partition(metrics: PartitionMetrics, partition: OwnedPartition, end: int) -> None:
    """Set a partition's gauges; ``end`` is the offset behind the source's newest record, -1 while it is not known."""
    label = str(partition.number)
    if end >= 0:
        metrics.lag.labels(label).set(max(end - partition.position, 0))
    metrics.unsent_age.labels(label).set(partition.outbox.unsent_s)
    metrics.checkpoint_age.labels(label).set(partition.checkpoint_age_s)
    if isinstance(detector := partition.detector, Detector):
        budget, newest_ms = detector.policy.harm_budgets.subjects, detector.state.watermark.newest_ms
        allowance = detector.state.harm.allowance(budget, newest_ms or 0)
        metrics.harm_used.labels(label).set(allowance.used)
        metrics.harm_allowed.labels(label).set(allowance.allowed)


def show_states(metrics: PartitionMetrics, number: int, states: Mapping[str, bytes]) -> None:
    """Measure encoded states: 6 ms for 100,000 tenants, so a worker does it once in a while."""
    sizes = list(map(len, list(states.values())))
    metrics.state_bytes.labels(str(number)).set(sum(sizes))
    metrics.state_tenants.labels(str(number)).set(max(len(sizes) - 1, 0))  # one record is the partition's own
