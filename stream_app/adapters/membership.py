"""Faust's side: it joins the group and says which partitions are ours; reading and recovery are our own.

Stock Faust reads the source itself and drops what arrives while a rebalance ends (docs/adr/0004). Here its consumer
takes part in the group and fetches nothing, and its recovery asks the ownership to take partitions over.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, ClassVar

import faust
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.transport.drivers.aiokafka import Consumer, ConsumerRebalanceListener, Transport
from mode import Service

from stream_app.adapters.credentials import python_security
from stream_app.settings import Settings

_COMMIT_S = 2.0

#: Owned and standby partition numbers of the table.
TakeOver = Callable[[set[int], set[int]], Awaitable[None]]


class _PausingListener(ConsumerRebalanceListener):
    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        places = list(assigned)
        self._thread._ensure_consumer().pause(*places)
        await super().on_partitions_assigned(places)


class _GroupConsumer(Consumer):
    RebalanceListener: ClassVar[type[ConsumerRebalanceListener]] = _PausingListener


class GroupTransport(Transport):
    """Kafka transport whose consumer is a member of the group and fetches nothing."""

    Consumer = _GroupConsumer


class _OwnRecovery(Recovery):
    take_over: TakeOver

    @Service.task
    async def _restart_recovery(self) -> None:
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):  # type: ignore[arg-type]
                return
            self.signal_recovery_start.clear()
            generation = self._generation_id
            try:
                self._set_recovery_started()
                actives = {place.partition for place in self.active_tps}
                await self._wait(self.take_over(actives, {place.partition for place in self.standby_tps}))
                await self._wait(self.on_recovery_completed(generation))
            except (RebalanceAgain, IllegalStateError):
                continue
            except ServiceStopped:
                return


class OwnTables(TableManager):
    """Faust's tables with a recovery that is ours; ``take_over`` is set before the application starts."""

    take_over: TakeOver

    @property
    def recovery(self) -> Recovery:
        """The service that Faust tells of every new assignment."""
        if self._recovery is None:
            recovery = _OwnRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
            recovery.take_over = self.take_over
            self._recovery = recovery
        return self._recovery


def committer(app: faust.App, topic: str) -> Callable[[dict[int, int]], Awaitable[bool]]:
    """Commits source positions as a member of the group; false when the broker does not take them in time."""

    async def commit(offsets: dict[int, int]) -> bool:
        thread: Any = app.consumer._thread  # type: ignore[attr-defined]
        positions = {TopicPartition(topic, number): offset for number, offset in offsets.items()}
        try:
            async with asyncio.timeout(_COMMIT_S):
                await thread.call_thread(thread._ensure_consumer().commit, positions)
        except (KafkaError, IllegalStateError, TimeoutError):
            return False
        return True

    return commit


def use_membership(app: faust.App, take_over: TakeOver) -> None:
    """Let an application that has not started leave reading and recovery to us."""
    app.transport = GroupTransport(app.conf.broker_consumer, app)
    tables: Any = app.tables
    tables.take_over = take_over


def member_security(settings: Settings) -> dict[str, Any]:
    """Security of a Faust application as its arguments. Raises ``CredentialsError``."""
    given = python_security(settings)
    if "sasl_mechanism" in given:
        login = faust.SASLCredentials(
            username=given["sasl_plain_username"],
            password=given["sasl_plain_password"],
            ssl_context=given["ssl_context"],
            mechanism=given["sasl_mechanism"],
        )
        return {"broker_credentials": login}
    return {"broker_credentials": given["ssl_context"]} if given else {}
