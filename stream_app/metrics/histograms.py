"""A histogram that takes many equal observations at once."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class WeightedHistogram(Collector):
    """Counts whole chunks: one observation costs half a microsecond, however many events it stands for.

    The client's own histogram takes one value at a time, which for every event would cost as much as decoding it.
    Observed on one thread only; a scrape on another may see a count without its sum.
    """

    def __init__(self, name: str, documentation: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self._name, self._documentation = name, documentation
        self._edges = [*buckets, inf]
        self._counts = [0] * len(self._edges)
        self._sum = 0.0
        registry.register(self)

    def observe(self, value: float, count: int) -> None:
        """Note that ``count`` things had this value."""
        self._counts[bisect_left(self._edges, value)] += count
        self._sum += value * count

    def collect(self) -> Iterator[Metric]:
        """The family as the client's own histogram shows it."""
        family = HistogramMetricFamily(self._name, self._documentation)
        edges = [*map(str, self._edges[:-1]), "+Inf"]
        family.add_metric([], list(zip(edges, accumulate(self._counts), strict=True)), self._sum)
        yield family
