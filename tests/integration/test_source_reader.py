"""The reader of the source, when Faust empties the channel that it delivers to."""

import asyncio

import faust
import pytest
from confluent_kafka import Producer

from stream_app.adapters.sources import Chunk, SourceReader
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.conftest import SettingsFor

_ANSWER_S = 20


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_what_a_full_channel_loses_in_a_rebalance_is_read_again(
    topic_prefix: str, create_topics_for: SettingsFor
) -> None:
    asyncio.run(_lose_and_read_again(create_topics_for(topic_prefix, partitions=1)))


async def _lose_and_read_again(settings: Settings) -> None:
    app = faust.App(settings.group, env={}, web_enabled=False)
    app.flow_control.resume()
    channel = app.channel(maxsize=1)
    agents = channel.clone(is_iterator=True)
    begun: asyncio.Queue[list[Chunk]] = asyncio.Queue()
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def deliver(chunks: list[Chunk]) -> None:
        begun.put_nowait(chunks)
        await channel.put(chunks)  # type: ignore[arg-type]

    reader = SourceReader(settings, deliver, ended.set_exception)
    reader.start()
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader.assign(0, 0)
            for value in (b"waits in the channel", b"waits before it"):
                _produce(settings, value)
                await begun.get()
            app.flow_control.clear()  # as Faust does when partitions are revoked
            while not reader.repair(0, 0):
                await asyncio.sleep(0)
            values: list[bytes | None] = []
            while len(values) < 2:
                values += [record.value for chunk in await agents.queue.get() for record in chunk.records]
        assert values == [b"waits in the channel", b"waits before it"]
        assert not ended.done()
    finally:
        reader.stop()
        reader.join(_ANSWER_S)


def _produce(settings: Settings, value: bytes) -> None:
    producer = Producer({"bootstrap.servers": settings.broker})
    producer.produce(settings.topic(TopicName.REQUESTS), value, partition=0)
    assert producer.flush(_ANSWER_S) == 0
