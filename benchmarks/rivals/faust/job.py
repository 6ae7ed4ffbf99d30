"""Job J1 in plain Faust: a hopping windowed table, whose closed windows go through a topic to a second agent."""

import asyncio
import os
from datetime import timedelta
from math import sqrt

import faust
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import StreamT

BOOTSTRAP, GROUP = os.environ["J1_BOOTSTRAP"], os.environ["J1_GROUP"]
INPUT, OUTPUT = os.environ["J1_INPUT"], os.environ["J1_OUTPUT"]
CLOSED_WINDOWS = f"{GROUP}-closed-windows"
PARTITIONS = 4

Key = tuple[str, tuple[float, float]]


class Event(faust.Record):
    """The fields of a request that the job needs."""

    tenant_id: str
    status_code: int
    input_tokens: int
    output_tokens: int


class Sums(faust.Record):
    """What a window holds."""

    count: int = 0
    tokens: int = 0
    errors: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.count + other.count, self.tokens + other.tokens, self.errors + other.errors)


class Window(faust.Record):
    """A closed window of one tenant."""

    tenant_id: str
    window_end_ms: int
    count: int
    tokens: int
    errors: int


class Decision(Window):
    """A line of the output."""

    z: float


class Moments(faust.Record):
    """Exponentially weighted moments of a tenant's counts."""

    closed: int = 0
    mean: float = 0.0
    variance: float = 0.0


app = faust.App(
    GROUP,
    broker=f"kafka://{BOOTSTRAP}",
    store="memory://",
    topic_partitions=PARTITIONS,
    broker_commit_interval=5.0,
    table_cleanup_interval=1.0,
)
requests = app.topic(INPUT, key_type=str, value_type=Event)
closed_windows = app.topic(CLOSED_WINDOWS, key_type=str, value_type=Window)
decisions = app.topic(OUTPUT, key_type=str, value_type=Decision)


def close_window(key: Key, sums: Sums) -> None:
    """Hand a window over once Faust takes it for stale."""
    tenant_id, (_, last_s) = key
    end_ms = round((last_s + 0.1) * 1000)  # Faust's ranges end a tenth of a second early
    window = Window(tenant_id, end_ms, sums.count, sums.tokens, sums.errors)
    closed_windows.send_soon(key=tenant_id, value=window)


windows = app.Table("windows", default=Sums, value_type=Sums, on_window_close=close_window).hopping(
    60, 10, expires=timedelta(seconds=5)
)
moments = app.Table("moments", default=Moments, value_type=Moments)


@app.agent(requests)
async def count_requests(events: StreamT[Event]) -> None:
    """Add each request to its six windows."""
    async for event in events:
        tokens = event.input_tokens + event.output_tokens
        windows[event.tenant_id] += Sums(1, tokens, int(event.status_code >= 400))


@app.agent(closed_windows)
async def score_windows(closed: StreamT[Window]) -> None:
    """Score each closed window and decide."""
    async for window in closed:
        known = moments[window.tenant_id]
        distance = window.count - known.mean
        z = distance / sqrt(known.variance + 1)
        if known.closed >= 10 and z >= 3:
            await decisions.send(
                key=window.tenant_id,
                value=Decision(window.tenant_id, window.window_end_ms, window.count, window.tokens, window.errors, z),
            )
        variance = 0.95 * (known.variance + 0.05 * distance * distance)
        moments[window.tenant_id] = Moments(known.closed + 1, known.mean + 0.05 * distance, variance)


async def create_closed_windows() -> None:
    """Create the topic between the agents: one that Faust makes itself is sometimes not assigned on the first start."""
    admin = AIOKafkaAdminClient(bootstrap_servers=BOOTSTRAP)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(CLOSED_WINDOWS, PARTITIONS, 1)])
    finally:
        await admin.close()


if __name__ == "__main__":
    asyncio.run(create_closed_windows())
