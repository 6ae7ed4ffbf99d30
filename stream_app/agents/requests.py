"""The agent of the tenant stage: chunks of request events in, decisions out."""

from faust.types import AgentT, AppT, ChannelT, StreamT

from stream_app.adapters.ownership import Ownership
from stream_app.adapters.sources import Chunk


def add_requests_agent(app: AppT, deliveries: ChannelT[list[Chunk]], ownership: Ownership) -> AgentT[list[Chunk]]:
    """Register the agent that applies chunks."""

    @app.agent(deliveries, name="requests", concurrency=1)
    async def judge_requests(stream: StreamT[list[Chunk]]) -> None:
        async for chunks in stream:
            try:
                await ownership.apply(chunks)
            except Exception as error:
                await app.crash(error)
                raise

    return judge_requests
