"""Every Prometheus metric of a worker: name, unit, closed label sets."""

from stream_app.metrics.campaigns import CampaignMetrics
from stream_app.metrics.partitions import PartitionMetrics
from stream_app.metrics.worker import Metrics, Waited

__all__ = ["CampaignMetrics", "Metrics", "PartitionMetrics", "Waited"]
