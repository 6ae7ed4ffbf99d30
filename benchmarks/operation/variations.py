"""``tenants``, ``partitions``, ``arrays``: what an event costs against the number of each."""

from collections.abc import Iterator

from benchmarks.operation.deployments import Bench, Figures
from benchmarks.operation.drains import drain
from benchmarks.operation.streams import in_arrays, requests_of, uniform_stream
from benchmarks.race.workloads import SEED, SIZES, draw_stream

SIZE = SIZES["short"]
#: As many events as the largest number of tenants has tenants.
MILLION = 1_000_000
#: So few that a tenant's array is full within the allowed lateness: ten events a second each.
ARRAY_TENANTS = 200


def measure_tenants(bench: Bench) -> Iterator[Figures]:
    """Tenants of the same size, at the same total rate."""
    for tenants in (1_000, 10_000, 100_000, *(() if bench.is_short else (MILLION,))):
        stream = uniform_stream(tenants, max(SIZE, tenants))
        floor_rate = bench.floor_rate()
        drained = drain(bench, bench.deploy(f"tenants-{tenants}"), requests_of(stream))
        yield {"case": f"{tenants:,} tenants", **drained.figures(floor_rate)}


def measure_partitions(bench: Bench) -> Iterator[Figures]:
    """The stream of job J1 in more or fewer partitions."""
    stream = draw_stream(SEED, SIZE)
    for partitions in (1, 4, 16, 32):
        floor_rate = bench.floor_rate()
        settings = bench.deploy(f"partitions-{partitions}", partitions)
        drained = drain(bench, settings, requests_of(stream))
        yield {"case": f"{partitions} partition{'s' * (partitions > 1)}", **drained.figures(floor_rate)}


def measure_arrays(bench: Bench) -> Iterator[Figures]:
    """The same events of few tenants, several of them in a record."""
    stream = uniform_stream(ARRAY_TENANTS, SIZE)
    for size in (1, 10, 100):
        floor_rate = bench.floor_rate()
        requests = requests_of(stream) if size == 1 else in_arrays(requests_of(stream), size)
        drained = drain(bench, bench.deploy(f"arrays-{size}"), requests)
        yield {"case": f"{size} event{'s' * (size > 1)} a record", **drained.figures(floor_rate)}
