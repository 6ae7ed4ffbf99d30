"""Faust's transport for the embedded broker, which answers an empty fetch only when its waiting time is over.

A real broker answers as soon as a record comes in, so that Faust's 1.5 s cost nothing there; on the embedded one they
would be the latency of every decision.
"""

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

FETCH_WAIT_MS = 100


class _PromptThread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer


class _PromptConsumer(Consumer):
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _PromptThread(self, loop=self.loop, beacon=self.beacon)


class EmbeddedTransport(Transport):
    """Kafka transport whose consumer asks again after ``FETCH_WAIT_MS``."""

    Consumer = _PromptConsumer


def use_embedded_transport(app: faust.App) -> None:
    """Let an application that has not started consume from the embedded broker without its delay."""
    app.transport = EmbeddedTransport(app.conf.broker_consumer, app)
