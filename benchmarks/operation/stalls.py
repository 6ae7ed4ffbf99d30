"""``stall``: how long the worker's event loop is held up with very many active tenants."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.operation.deployments import Bench, Figures, running_worker, wait_applied
from benchmarks.operation.streams import PendingInput, requests_of, uniform_stream
from benchmarks.operation.watched_worker import Stall, Stalls
from stream_app.topology import TopicName

TENANTS = 100_000
#: After the last event: the checkpoints that follow are among what is watched.
SETTLE_S = 5.0


def measure(bench: Bench) -> Iterator[Figures]:
    """A full topic of events of a hundred thousand tenants, all of them active in every ten minutes."""
    size = 250_000 if bench.is_short else 1_000_000
    settings = bench.deploy("stall")
    bench.tell("filling")
    requests = requests_of(uniform_stream(TENANTS, size))
    pending = PendingInput(settings.broker, settings.topic(TopicName.REQUESTS), requests)
    found = bench.folder / "stalls.json"
    with running_worker(settings, arguments=("-m", "benchmarks.operation.watched_worker", str(found))) as worker:
        worker.wait_ready()
        bench.tell("draining")
        pending.show()
        wait_applied([worker], pending.events)
        time.sleep(SETTLE_S)
        os.kill(worker.pid, signal.SIGHUP)
    stalls = msgspec.json.decode(Path(found).read_bytes(), type=Stalls)
    for clock, longest in (("CPU", stalls.by_cpu), ("wall", stalls.by_wall)):
        for place, stall in enumerate(longest[:3]):
            yield {"case": f"longest by {clock} time, {place + 1}", **_figures(stall, stalls)}


def _figures(stall: Stall, stalls: Stalls) -> Figures:
    calls = ", ".join(f"{name} {ms:.1f} ms" for name, ms in sorted(stall.calls_ms.items(), key=lambda call: -call[1]))
    return {
        "cpu_ms": round(stall.cpu_ms, 1),
        "wall_ms": round(stall.wall_ms, 1),
        "at_s": round(stall.at_s, 1),
        "in_it": calls or "none of the core's calls",
        "iterations": stalls.iterations,
    }
