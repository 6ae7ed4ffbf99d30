"""Effects performed: records sent through Faust's producer and waited for."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Sequence

from aiokafka.errors import KafkaError
from faust.types import AppT, TopicT

from stream_app.adapters.records import OutgoingRecord, records_of
from stream_app.detection.effects import Effect, EmitDecision
from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.topology import TopicName

_log = logging.getLogger(__name__)


#: First and longest pause between tries while the broker does not take our records.
_FIRST_RETRY_S, _LONGEST_RETRY_S = 0.5, 10.0


class EffectProducer:
    """Performs effects in their order and returns when the broker has acknowledged all of them.

    While the broker does not take them, all are sent again, for ever: a repeated decision is the same record, and
    nothing behind it is acknowledged meanwhile.
    """

    def __init__(self, app: AppT, settings: Settings, metrics: Metrics) -> None:
        self._source = f"/stillwatch/{settings.group}"
        self._historic = settings.historic
        self._metrics = metrics
        self._topics: dict[TopicName, TopicT] = {
            name: app.topic(settings.topic(name), key_serializer="raw", value_serializer="raw", allow_empty=True)
            for name in (TopicName.DECISIONS, TopicName.DECISION_LOG, TopicName.DEAD_LETTERS)
        }

    async def perform(self, effects: Sequence[Effect]) -> None:
        """Send the records of all effects, then wait for their acknowledgement."""
        if not effects:
            return
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                await self._send_all(effects)
                break
            except KafkaError as error:
                _log.warning("the broker took no decisions (%s); trying again in %.1f s", error, pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_RETRY_S)
        acknowledged_s = time.time()
        for effect in effects:
            cause_s = effect.cause_ms / 1000 if isinstance(effect, EmitDecision) else acknowledged_s
            self._metrics.count_effect(effect, acknowledged_s - cause_s)

    async def _send_all(self, effects: Sequence[Effect]) -> None:
        now_ms = round(time.time() * 1000)
        sent = [
            await self._send(record)
            for effect in effects
            for record in records_of(effect, self._source, now_ms, historic=self._historic)
        ]
        await asyncio.gather(*sent)

    async def _send(self, record: OutgoingRecord) -> Awaitable[object]:
        topic = self._topics[record.topic]
        return await topic.send(key=record.key, value=record.value, headers=dict(record.headers), force=True)
