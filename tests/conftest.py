"""Brokers for every test that needs one."""

import os
import re
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

with warnings.catch_warnings():  # kafka-python reads its schemas by a call that Python 3.11 deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka  # noqa: F401

from stream_app.adapters.embedded_broker import EmbeddedBroker
from stream_app.adapters.topic_admin import create_topics, partition_counts
from stream_app.settings import Settings
from tests import brokers
from tests.brokers import NoRealBrokerError, TestBroker

SettingsFor = Callable[..., Settings]


@pytest.fixture(scope="session")
def real_kafka() -> Iterator[str]:
    """Bootstrap address of a real broker: ``STILLWATCH_TEST_BROKER``, or one started here; skips without Java."""
    given = os.environ.get("STILLWATCH_TEST_BROKER")
    if given:
        yield given
        return
    with ExitStack() as stack:
        try:
            running = stack.enter_context(brokers.real_kafka())
        except NoRealBrokerError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        yield running.bootstrap


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """The test's name and eight random digits: no two tests, nor two runs on one broker, share a topic."""
    return f"{re.sub('[^a-zA-Z0-9_-]+', '-', request.node.name)[:60].strip('-')}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def embedded_broker() -> Iterator[TestBroker]:
    """Every call of ``with_topics`` starts a broker of its own, since the embedded one takes its topics at start."""
    with ExitStack() as stack:
        yield TestBroker("embedded", lambda topics: stack.enter_context(EmbeddedBroker(topics)).bootstrap)


@pytest.fixture
def real_broker(real_kafka: str, topic_prefix: str) -> Iterator[TestBroker]:
    """The session's real broker; topics that begin with the test's prefix are deleted after it."""

    def with_topics(topics: Mapping[str, int]) -> str:
        brokers.create_topics(real_kafka, topics)
        return real_kafka

    yield TestBroker("real", with_topics)
    brokers.delete_topics(real_kafka, topic_prefix)


@pytest.fixture(params=["embedded", pytest.param("real", marks=pytest.mark.kafka)])
def broker(request: pytest.FixtureRequest) -> TestBroker:
    """Both kinds, one after the other; ``parametrize("broker", ["real"], indirect=True)`` asks for one."""
    found: TestBroker = request.getfixturevalue(f"{request.param}_broker")
    return found


@pytest.fixture
def create_topics_for(request: pytest.FixtureRequest, broker: TestBroker, tmp_path: Path) -> SettingsFor:
    """``create_topics_for(prefix, partitions=4)``: settings of a deployment whose topics all exist on the broker."""

    def create(prefix: str, partitions: int = 4) -> Settings:
        wanted = Settings(topic_prefix=prefix, group=prefix, partitions=partitions, web_port=0, data_dir=tmp_path)
        if broker.kind == "embedded":
            bootstrap = broker.with_topics(partition_counts(wanted))
            return wanted.model_copy(update={"broker": bootstrap, "embedded": True})
        settings = wanted.model_copy(update={"broker": request.getfixturevalue("real_kafka")})
        create_topics(settings)
        return settings

    return create


@pytest.fixture
def allow_large_messages() -> Callable[[str, str, int], None]:
    """``allow_large_messages(bootstrap, topic, limit_bytes)`` raises a topic's limit, as an operator might."""

    def allow(bootstrap: str, topic: str, limit_bytes: int) -> None:
        brokers.alter_topic(bootstrap, topic, {"max.message.bytes": str(limit_bytes)})

    return allow
