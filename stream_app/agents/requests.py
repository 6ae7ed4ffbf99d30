"""The agent of the tenant stage: request events in, decisions out."""

import time
from collections.abc import AsyncIterator
from typing import cast

from faust.streams import Stream
from faust.types import AgentT, AppT, StreamT, TopicT

from stream_app.adapters.ownership import Ownership
from stream_app.adapters.partitions import Event

#: A chunk is what has arrived, up to this many records: enough to spread the cost of a turn, few enough to stay prompt.
MAX_CHUNK = 500
#: State is published and source offsets acknowledged this often; a crash repeats at most this much work.
CHECKPOINT_S = 1.0


async def chunks(stream: StreamT[bytes]) -> AsyncIterator[list[Event]]:
    """What has arrived, in order, without waiting for more."""
    chunk: list[Event] = []
    queue = cast("TopicT", stream.channel).queue
    async for event in stream.events():
        chunk.append(event)
        if queue.empty() or len(chunk) >= MAX_CHUNK:
            yield chunk
            chunk = []


def add_requests_agent(app: AppT, topic: TopicT, ownership: Ownership) -> AgentT[bytes]:
    """Register the agent that applies request events, and the timer that does what must not wait for one."""

    @app.agent(topic, name="requests", concurrency=1)
    async def judge_requests(stream: StreamT[bytes]) -> None:
        acknowledging = cast("Stream[bytes]", stream).noack()
        ownership.stream = acknowledging
        await ownership.wait_for_operator_log()
        checkpointed_s = time.monotonic()
        async for chunk in chunks(acknowledging):
            await ownership.apply(chunk)
            if time.monotonic() - checkpointed_s >= CHECKPOINT_S:
                await ownership.checkpoint()
                checkpointed_s = time.monotonic()

    @app.timer(CHECKPOINT_S)
    async def take_over_and_checkpoint() -> None:
        await ownership.take_over()
        await ownership.checkpoint()

    return judge_requests
