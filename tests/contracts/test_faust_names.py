"""Everything of Faust, aiokafka and River that we rely on beyond their documentation, in one place."""

import inspect
from importlib.metadata import version

import faust
import pytest
from aiokafka.consumer import fetcher
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers import aiokafka as driver
from packaging.requirements import Requirement
from river.stats import Mean, Var

from tests.brokers import ROOT

PINNED = ("faust-streaming", "mode-streaming", "aiokafka", "river")


@pytest.mark.parametrize("name", PINNED)
def test_the_installed_version_is_the_pinned_one(name: str) -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    (pinned,) = (Requirement(line.removesuffix(" \\")) for line in lines if line.startswith(f"{name}=="))
    assert str(pinned.specifier) == f"=={version(name)}"


def test_faust_consumer() -> None:
    assert driver.Transport.Consumer is driver.Consumer
    assert driver.Consumer.RebalanceListener is driver.ConsumerRebalanceListener
    assert inspect.iscoroutinefunction(driver.ConsumerRebalanceListener.on_partitions_assigned)
    assert "_thread" in inspect.getsource(driver.ConsumerRebalanceListener.__init__)
    assert inspect.iscoroutinefunction(driver.AIOKafkaConsumerThread.call_thread)
    transport = inspect.getattr_static(faust.App, "transport")
    assert isinstance(transport, property)
    assert transport.fset is not None
    assert "paused" in inspect.getsource(fetcher)


def test_faust_application() -> None:
    for name in ("on_partitions_revoked", "on_before_shutdown"):
        assert name in inspect.getsource(faust.App)
    assert faust.App.rebalancing is False
    assert "self.conf.TableManager(" in inspect.getsource(faust.App)


def test_faust_recovery() -> None:
    assert isinstance(inspect.getattr_static(TableManager, "recovery"), property)
    assert {"signal_recovery_start", "_set_recovery_started", "_wait", "on_recovery_completed"} <= set(dir(Recovery))
    source = inspect.getsource(Recovery)
    for name in ("self._generation_id = generation_id", "self.active_tps", "self.standby_tps", "_restart_recovery"):
        assert name in source


def test_river_variance() -> None:
    variance = Var(ddof=0)
    variance.update(2.0)
    variance.update(4.0)
    assert (variance.mean.n, variance.mean._mean, variance._S) == (2.0, 3.0, 2.0)
    assert isinstance(variance.mean, Mean)
