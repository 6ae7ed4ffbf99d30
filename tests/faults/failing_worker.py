"""``stillwatch worker`` with a fault built in, configured by STILLWATCH_* as ever.

``python -m tests.faults.failing_worker [--crash STEP:N] [--drop N] [--without RULE] [--clock FILE]``
"""

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import click
from confluent_kafka import Producer

from stream_app.adapters import transactions
from stream_app.adapters.partitions import OwnedPartition
from stream_app.adapters.records import OutgoingRecord
from stream_app.adapters.sources import Chunk, SourceReader
from stream_app.adapters.transactions import PartitionProducer
from stream_app.cli import main
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.state import PARTITION_KEY
from stream_app.topology import TopicName

#: Exit code of a worker that crashed as it was told to.
CRASHED = 77
_FLUSH_S = 5.0


class OpenProducer(Producer):
    """The client's producer as a class whose methods can be replaced."""


class Step(NamedTuple):
    """A call at which the process may end: before it, or after it; ``counts`` tells which calls are meant."""

    owner: type
    method: str
    is_after: bool
    counts: Callable[..., bool]


def _is_with_tenants(_: object, changes: Mapping[str, bytes | None], *__: object) -> bool:
    return len(changes) > 1


def _is_state(topic: str, *_: object, **__: object) -> bool:
    return topic.endswith(TopicName.TENANT_STATE)


def _is_any(*_: object) -> bool:
    return True


def _is_last_state(topic: str, _: object, key: bytes, **__: object) -> bool:
    return _is_state(topic) and key == PARTITION_KEY.encode()


#: The steps of a checkpoint, by name.
STEPS = {
    "before-transaction": Step(PartitionProducer, "checkpoint", False, _is_with_tenants),
    "after-some-states": Step(OpenProducer, "produce", True, _is_state),
    "before-commit": Step(OpenProducer, "produce", True, _is_last_state),
    "after-commit": Step(PartitionProducer, "checkpoint", True, _is_with_tenants),
}
#: The midst of a tick of the campaign stage.
IN_TICK = {"in-tick": Step(CampaignStage, "_keep_shares", True, _is_any)}


def crash_at(step: Step, number: int) -> None:
    """End the process at the ``number``-th call, once the broker has all that a producer there was given."""
    original = getattr(step.owner, step.method)
    calls = count(1)

    def crash(owner: Any) -> None:
        if issubclass(step.owner, CampaignStage):
            os._exit(CRASHED)
        producer = owner if isinstance(owner, Producer) else owner._producer
        producer.flush(_FLUSH_S)
        os._exit(CRASHED)

    def replacement(self: Any, *args: Any, **kwargs: Any) -> Any:
        is_it = step.counts(*args, **kwargs) and next(calls) == number
        if is_it and not step.is_after:
            crash(self)
        answer = original(self, *args, **kwargs)
        if is_it:
            crash(self)
        return answer

    setattr(step.owner, step.method, replacement)


def drop_chunk(number: int) -> None:
    """Lose the ``number``-th chunk between reader and partition."""
    original = SourceReader._hand_over
    chunks = count(1)

    def replacement(self: SourceReader, given: list[Chunk]) -> None:
        original(self, [chunk for chunk in given if next(chunks) != number])

    SourceReader._hand_over = replacement  # type: ignore[method-assign,assignment]


def without_chain_check() -> None:
    """Take every chunk for the next one."""
    original = OwnedPartition.apply

    def replacement(self: OwnedPartition, chunk: Chunk) -> Awaitable[None]:
        return original(self, chunk._replace(start=min(chunk.start, self.position)))

    OwnedPartition.apply = replacement  # type: ignore[method-assign,assignment]


def without_one_transaction() -> None:
    """Commit the position before the states that belong to it."""
    original = PartitionProducer.checkpoint

    def replacement(
        self: PartitionProducer,
        records: Sequence[OutgoingRecord],
        changes: Mapping[str, bytes | None],
    ) -> None:
        original(self, [], {PARTITION_KEY: changes[PARTITION_KEY]})
        original(self, records, changes)

    PartitionProducer.checkpoint = replacement  # type: ignore[method-assign]


def without_fence() -> None:
    """Let every process write under a name of its own, so that no new owner ends what an old one does."""
    original = OpenProducer.__init__

    def replacement(self: OpenProducer, config: dict[str, Any]) -> None:
        original(self, config | {"transactional.id": f"{config['transactional.id']}-{os.getpid()}"})

    OpenProducer.__init__ = replacement  # type: ignore[method-assign,assignment]


#: What may be left out, by name.
ABLATIONS = {
    "chain-check": without_chain_check,
    "one-transaction": without_one_transaction,
    "fence": without_fence,
}


def shift_clock(file: Path) -> None:
    """Let the time of day be as many seconds ahead as a file says, whenever it is asked for.

    libfaketime would do so for librdkafka, too, but makes its waits, and Python's, fail or never end.
    """
    original = time.time
    time.time = lambda: original() + float(file.read_text())


@click.command()
@click.option("--crash", metavar="STEP:N", help=f"Steps: {', '.join(STEPS | IN_TICK)}")
@click.option("--drop", type=int, help="Lose this chunk")
@click.option("--without", type=click.Choice(list(ABLATIONS)), help="Leave a rule out")
@click.option("--clock", type=click.Path(path_type=Path), help="File with the seconds that the clock is ahead")
def failing_worker(crash: str | None, drop: int | None, without: str | None, clock: Path | None) -> None:
    """Run a worker that fails in a known way."""
    transactions.Producer = OpenProducer  # type: ignore[attr-defined]
    if crash:
        step, _, number = crash.partition(":")
        crash_at((STEPS | IN_TICK)[step], int(number))
    if drop:
        drop_chunk(drop)
    if clock:
        shift_clock(clock)
    if without:
        ABLATIONS[without]()
    main(["worker"])


if __name__ == "__main__":
    failing_worker()
