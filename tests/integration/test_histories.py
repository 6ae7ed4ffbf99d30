"""Where a time begins in a topic, also on a broker that does not tell."""

import time

import pytest
from confluent_kafka import Producer

from stream_app.adapters.embedded_broker import EmbeddedBroker
from stream_app.adapters.histories import HistorySource, find_spans, read_spans
from stream_app.settings import Settings

HOUR_S = 3_600


@pytest.mark.parametrize(("hours", "expected"), [(0.5, 0), (50.5, 50), (1_000.0, 96)])
def test_the_embedded_broker_tells_what_is_newer_than_some_hours(hours: float, expected: int) -> None:
    now_s = time.time()
    with EmbeddedBroker({"stillwatch.requests.v1": 2, "stillwatch.operator.v1": 1}) as broker:
        producer = Producer({"bootstrap.servers": broker.bootstrap})
        for age in range(96, 0, -1):  # two days of hours, in both partitions in turn
            at_ms = round((now_s - age * HOUR_S) * 1000)
            producer.produce("stillwatch.requests.v1", b"{}", partition=age % 2, timestamp=at_ms)
        assert producer.flush(20) == 0
        settings = Settings(broker=broker.bootstrap, embedded=True)
        spans = find_spans(settings, HistorySource(None, None, hours))
        assert sum(span.end - span.first for span in spans) == expected
        assert len(list(read_spans(settings, spans))) == expected
