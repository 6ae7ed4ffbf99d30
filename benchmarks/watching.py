"""What watching costs, and how soon a fault is a page: ``python -m benchmarks.watching``.

Cost: the workload of ``benchmarks.throughput``, in slices of forty events as a worker applies them, through the core;
then everything that a worker counts of it, the median of five runs as a share of the fastest of the core. CPU time of
this process. A scrape is measured apart, as a share of a core.

Page: a worker on real Kafka is frozen (SIGSTOP) under Prometheus and Alertmanager with the rules, routes and intervals
as shipped; wall seconds until the receiver of pages is told. Needs Java, Maven, Prometheus and Alertmanager; without
``--page N`` it is left out.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from benchmarks.throughput import cpu_s, workload
from stream_app.adapters.topic_admin import create_topics
from stream_app.demo.workers import running_worker
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Effect, Tally
from stream_app.detection.records import Record
from stream_app.metrics import Metrics, Waited
from stream_app.policies import read_policy
from stream_app.settings import Settings
from tests.brokers import real_kafka
from tests.operations.stack import alertmanager, prometheus, receivers

RUNS, SLICE = 5, 40
AT_MS = 1_793_534_400_000  # the end of the workload
SCRAPE_S = 5.0


Applied = list[tuple[Tally, list[Effect]]]


def apply_all(values: list[bytes]) -> Applied:
    """One partition's detector over all events, with what a worker would count after each slice."""
    detector = Detector("requests.v1", 0, 1, read_policy(Settings()), {})
    detector.has_campaigns = True
    return [(detector.take_tally(), effects) for effects in map(detector.handle, slices(values))]


def count_all(applied: Applied, metrics: Metrics) -> None:
    """What a worker counts of it."""
    for tally, effects in applied:
        now_s = time.time()
        events = tally.applied + tally.repeated + tally.rejected
        metrics.count_events(tally, [Waited(AT_MS, events)], now_s)
        for effect in effects:
            metrics.count_effect(effect, now_s)


def slices(values: list[bytes]) -> Iterator[list[Record]]:
    """Records at their events' time, a few at a time."""
    for first in range(0, len(values), SLICE):
        yield [Record(first + place, AT_MS, value, {}) for place, value in enumerate(values[first:][:SLICE])]


def measure_cost() -> dict[str, object]:
    """Shares of CPU time in percent."""
    values = workload()[:60_000]
    metrics = Metrics(CollectorRegistry())
    applied = apply_all(values)
    cores_s = [cpu_s(lambda: apply_all(values)) for _ in range(RUNS)]
    counts_s = [cpu_s(lambda: count_all(applied, metrics)) for _ in range(RUNS)]
    for number in range(8):
        for gauge in (metrics.partitions.lag, metrics.partitions.state_bytes, metrics.partitions.harm_used):
            gauge.labels(str(number)).set(1)
    scrape_s = cpu_s(lambda: [generate_latest(metrics.registry) for _ in range(100)]) / 100
    return {
        "events": len(values),
        "core_us_per_event": round(1e6 * min(cores_s) / len(values), 2),
        "counting_us_per_event": round(1e6 * median(counts_s) / len(values), 3),
        "counting_percent_of_core": round(100 * median(counts_s) / min(cores_s), 2),
        "scrape_ms": round(scrape_s * 1000, 2),
        "scrapes_percent_of_a_core": round(100 * scrape_s / SCRAPE_S, 3),
    }


def measure_page() -> float:
    """Seconds from SIGSTOP of the only worker until somebody is paged."""
    with tempfile.TemporaryDirectory(prefix="stillwatch-page-") as name, real_kafka() as broker, receivers() as told:
        folder = Path(name)
        settings = Settings(broker=broker.bootstrap, partitions=4, data_dir=folder)
        create_topics(settings)
        with (
            alertmanager(folder, told.address, factor=1) as manager,
            running_worker(settings, folder / "worker.log") as worker,
            prometheus(folder, {"stillwatch-worker": [worker.face.port]}, manager, factor=1),
        ):
            time.sleep(3 * SCRAPE_S)
            frozen_s = time.monotonic()
            worker.process.send_signal(signal.SIGSTOP)
            try:
                return told.wait_for("page-sre", "DetectorSilent", timeout_s=120).at_s - frozen_s
            finally:
                worker.process.send_signal(signal.SIGCONT)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--page", type=int, metavar="N", default=0, help="pages to wait for")
    pages = parser.parse_args().page
    found = measure_cost()
    if pages:
        found["page_s"] = [round(measure_page(), 1) for _ in range(pages)]
    sys.stdout.write(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode() + "\n")


if __name__ == "__main__":
    main()
