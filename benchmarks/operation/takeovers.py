"""``takeover``: kill -9 of one of two workers under load, until the other one decides in its place."""

import time
from collections.abc import Iterator

from benchmarks.operation.deployments import ALL_CORES, Bench, Figures, pinned
from tests.faults.clusters import running_cluster
from tests.faults.trials import Trial

REPETITIONS = 3
RATE = 400.0


def measure(bench: Bench) -> Iterator[Figures]:
    """A deployment of the fault tests, with their policy under which bursts trip all the time."""
    folder = bench.folder / "takeover"
    folder.mkdir()
    with running_cluster(1) as cluster, Trial(cluster, "takeover", folder, seed=1, rate=RATE) as trial:
        trial.traffic.start()
        for repetition in range(REPETITIONS):
            bench.tell(f"takeover {repetition + 1} of {REPETITIONS}")
            with pinned(ALL_CORES):
                trial.start_workers(2 - len(trial.running()))
            trial.until_shared()
            trial.go_on(5.0)
            victim = trial.running()[0]
            owned, since_s = victim.owned(), time.time()
            victim.kill()
            trial.watch_takeover(owned, since_s)
            takeover = trial.takeovers[-1]
            yield {
                "case": f"kill {repetition + 1}",
                "partitions": len(owned),
                "first_decision_s": round(takeover.first_s, 2),
                "all_partitions_s": round(takeover.all_s, 2),
            }
