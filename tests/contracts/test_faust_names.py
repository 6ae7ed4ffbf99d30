"""Everything of Faust, aiokafka and River that we rely on beyond their documentation, in one place."""

import inspect
from importlib.metadata import version

import aiokafka
import faust
import pytest
from faust.streams import Stream
from faust.tables import Table
from faust.transport.drivers import aiokafka as driver
from faust.transport.producer import ProducerBuffer
from faust.types.tuples import ConsumerMessage
from packaging.requirements import Requirement
from river.stats import Mean, Var

from tests.brokers import ROOT

PINNED = ("faust-streaming", "mode-streaming", "aiokafka", "river")


@pytest.mark.parametrize("name", PINNED)
def test_the_installed_version_is_the_pinned_one(name: str) -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    (pinned,) = (Requirement(line.removesuffix(" \\")) for line in lines if line.startswith(f"{name}=="))
    assert str(pinned.specifier) == f"=={version(name)}"


def test_faust_transport() -> None:
    assert "transport" in inspect.signature(driver.AIOKafkaConsumerThread._create_worker_consumer).parameters
    assert list(inspect.signature(driver.Consumer._new_consumer_thread).parameters) == ["self"]
    assert driver.Transport.Consumer is driver.Consumer
    assert isinstance(faust.App.transport, property)
    assert faust.App.transport.fset is not None
    assert "_fetch_max_wait_ms" in inspect.getsource(aiokafka.AIOKafkaConsumer.start)


def test_faust_application() -> None:
    for name in ("on_partitions_revoked", "on_before_shutdown"):
        assert name in inspect.getsource(faust.App)
    assert (faust.App.rebalancing, faust.App.consumer_generation_id) == (False, 0)
    assert {"generation_id", "offset", "headers"} <= set(ConsumerMessage.__slots__)
    assert inspect.iscoroutinefunction(ProducerBuffer.flush)


def test_faust_table_and_stream() -> None:
    assert list(inspect.signature(Table.send_changelog).parameters)[:4] == ["self", "partition", "key", "value"]
    assert {"noack", "events", "ack"} <= set(dir(Stream))


def test_river_variance() -> None:
    variance = Var(ddof=0)
    variance.update(2.0)
    variance.update(4.0)
    assert (variance.mean.n, variance.mean._mean, variance._S) == (2.0, 3.0, 2.0)
    assert isinstance(variance.mean, Mean)
