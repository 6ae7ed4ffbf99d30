"""``latency``: from the Kafka timestamp of the causing record to the decision, at several shares of the drain rate."""

import time
from collections.abc import Iterator
from datetime import datetime
from threading import Event, Thread
from typing import NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from benchmarks.operation.deployments import Bench, Figures, counters, percentile, running_worker, wait_applied
from benchmarks.operation.drains import drain
from benchmarks.operation.live_traffic import BURST_EVENTS, Background, Bursts
from benchmarks.operation.streams import requests_of
from benchmarks.race.workloads import PARTITIONS, SEED, SIZES, draw_stream
from benchmarks.throughput import worker_cpu_s
from stream_app.detection.decisions import Decision
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.brokers import alter_topic
from tests.faults.workers import WorkerProcess

SHARES = (0.25, 0.5, 0.75)
BURSTS_PER_S = 5.0
#: A first burst comes when the worker has met every tenant of the background that is awake at all.
WARM_UP_S = 5.0


class Latency(NamedTuple):
    """Seconds from the causing record to the decision's append in the broker, and to its arrival at a consumer."""

    appended_s: float
    seen_s: float


class DecisionWatch(Thread):
    """Follows the decisions topic, and notes the latency of every decision that an event has tripped."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(name="decision-watch", daemon=True)
        self.latencies: list[Latency] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.broker,
                "group.id": "decision-watch",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 100,
                "log_level": 0,
            }
        )
        topic = settings.topic(TopicName.DECISIONS)
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
        self._stopping = Event()

    def run(self) -> None:
        """Read until stopped, and then to the end."""
        while (message := self._consumer.poll(0.5)) is not None or not self._stopping.is_set():
            if message is None or message.error() is not None or not (value := message.value()):
                continue
            seen_s = time.time()
            if _is_tripped(msgspec.json.decode(value, type=Decision)):
                caused_s = _caused_s(dict(message.headers() or []))  # type: ignore[arg-type]
                self.latencies.append(Latency(message.timestamp()[1] / 1000 - caused_s, seen_s - caused_s))

    def stop(self) -> None:
        """End reading."""
        self._stopping.set()
        self.join()
        self._consumer.close()


def measure(bench: Bench) -> Iterator[Figures]:
    """Bursts among live traffic, at shares of the rate at which a full topic is drained."""
    stream = draw_stream(SEED, SIZES["short"])
    drained = drain(bench, bench.deploy("latency-drain"), requests_of(stream))
    rate = drained.events / drained.wall_s
    yield {"case": "drain rate", "events_per_wall_s": round(rate)}
    for share in SHARES:
        yield _at(bench, share, share * rate, 12.0 if bench.is_short else 50.0)


def _at(bench: Bench, share: float, rate: float, duration_s: float) -> Figures:
    settings = _deploy(bench, f"latency-{round(100 * share)}")
    bursts = Bursts(settings, round(BURSTS_PER_S * duration_s), BURSTS_PER_S)
    with running_worker(settings) as worker:
        worker.wait_ready()
        bursts.send_history()
        wait_applied([worker], bursts.sent)
        background = Background(settings, draw_stream(SEED, SIZES["short"]), rate - BURSTS_PER_S * BURST_EVENTS)
        bench.tell(f"{share:.0%} of the drain rate")
        watch = DecisionWatch(settings)
        watch.start()
        _send_for(WARM_UP_S, background)
        watch.latencies.clear()
        bursts.begin()
        begun_cpu_s, begun_s, begun = worker_cpu_s(worker.pid), time.monotonic(), background.sent + bursts.sent
        _send_for(duration_s, background, bursts)
        cpu_s, wall_s = worker_cpu_s(worker.pid) - begun_cpu_s, time.monotonic() - begun_s
        sent = background.sent + bursts.sent
        behind = _behind(worker, sent)
        wait_applied([worker], sent)
        watch.stop()
    figures = _percentiles(watch.latencies)
    return {
        "case": f"{share:.0%} of the drain rate",
        "events_per_wall_s": round((sent - begun) / wall_s),
        **figures,
        "worker_busy_percent": round(100 * cpu_s / wall_s),
        "events_behind_at_the_end": behind,
    }


def _deploy(bench: Bench, name: str) -> Settings:
    policy = bench.folder / f"{name}.yaml"
    policy.write_text(DEFAULT_POLICY.read_text().replace("mode: shadow", "mode: enforced"))
    settings = bench.deploy(name, policy=policy)
    stamped = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime"}
    alter_topic(bench.bootstrap, settings.topic(TopicName.DECISIONS), stamped)
    return settings


def _send_for(duration_s: float, background: Background, bursts: Bursts | None = None) -> None:
    until_s = time.monotonic() + duration_s
    while time.monotonic() < until_s:
        background.send_due()
        if bursts is not None:
            bursts.send_due()
    background.flush()
    if bursts is not None:
        bursts.flush()


def _behind(worker: WorkerProcess, sent: int) -> int:
    return sent - int(counters(worker)["stillwatch_events_total"])


def _percentiles(latencies: list[Latency]) -> Figures:
    figures: Figures = {"decisions": len(latencies)}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        figures[f"appended_{name}_ms"] = round(1000 * percentile([latency.appended_s for latency in latencies], share))
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999)):
        figures[f"seen_{name}_ms"] = round(1000 * percentile([latency.seen_s for latency in latencies], share))
    return figures


def _is_tripped(decision: Decision) -> bool:
    """Whether an event caused it, not the close of a minute (which ends at a whole minute)."""
    return not decision.issued_at.endswith(":00.000Z")


def _caused_s(headers: dict[str, bytes]) -> float:
    return datetime.fromisoformat(headers["caused_at"].decode()).timestamp()
