"""Where a deployment stands before its past is filled in, and the states that are written for its workers."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from threading import Event
from typing import NamedTuple, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_app.adapters.changelogs import ChangelogCopy, recover
from stream_app.adapters.clients import ANSWER_S, client_config, new_consumer
from stream_app.adapters.journals import backfill_record
from stream_app.adapters.records import OutgoingRecord, records_of
from stream_app.adapters.transactions import PartitionProducer
from stream_app.detection.campaigns.entries import Entries
from stream_app.detection.decode import Rejected, decode_record
from stream_app.detection.effects import EmitCampaign
from stream_app.detection.state import PARTITION_KEY, StateError, decode_partition
from stream_app.settings import Settings
from stream_app.topology import Stage, TopicName

#: States in one transaction: some tens of megabytes, seconds on a slow broker, which ends one after a minute.
_STATES = 20_000
#: The first question for a group makes a new broker create its topic of groups; the next ones wait for that, too.
_FIRST_ANSWER_S = 30.0
#: What it answers meanwhile, if it does.
_COMING = {
    *(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR),
    KafkaError._TIMED_OUT,
}

_Answer = TypeVar("_Answer")


class OccupiedError(Exception):
    """The deployment has workers, or a past of its own; the message says which in one line."""


class Standing(NamedTuple):
    """Where workers will begin to read each partition, and the signals; what states there are that must give way.

    ``until_ms`` is the event time of the oldest record that workers will read themselves, if there is one.
    """

    starts: list[int]
    signals_start: int
    until_ms: int | None
    former: list[set[str]]
    former_campaigns: set[str]


def find_standing(settings: Settings, *, may_replace: bool) -> Standing:
    """Look at the topics and groups of both stages.

    Raises ``OccupiedError`` when a worker runs, and when there are states or positions unless ``may_replace``;
    ``KafkaException`` when the broker does not answer.
    """
    campaigns = settings.model_copy(update={"stage": Stage.CAMPAIGNS})
    for stage in (settings, campaigns):
        _check_group(stage, may_replace=may_replace)
    copies = [_copy(settings, number) for number in range(settings.partitions)]
    former_campaigns = _copy(campaigns, 0)
    if not may_replace and (any(copy.end for copy in copies) or former_campaigns.end):
        raise OccupiedError(f"{settings.topic(TopicName.TENANT_STATE)} holds states already: --replace forgets them")
    starts = [_start(settings, number, copy) for number, copy in enumerate(copies)]
    return Standing(
        starts,
        _begin(settings, settings.topic(TopicName.SIGNALS), 0),
        _oldest_ms(settings, starts),
        [set(copy.states) for copy in copies],
        set(former_campaigns.states),
    )


def write_states(
    settings: Settings,
    states: Sequence[Mapping[str, bytes]],
    campaign_states: Mapping[str, bytes],
    entries: Entries,
    standing: Standing,
) -> Iterator[int]:
    """Write every partition's states, its own last, then those of campaigns; yields how many each time.

    Each journal is told first that its partition's states were filled in. Former owners are fenced first. Raises
    ``FencedError`` and ``RefusedError``. Stopped in between, it leaves states that the next call has to replace.
    """
    for number, found in enumerate(states):
        noted = backfill_record(settings.stage_topics.journal, number, standing.starts[number])
        yield from _write(settings, number, found, standing.former[number], [noted])
    campaigns = settings.model_copy(update={"stage": Stage.CAMPAIGNS})
    told = [backfill_record(campaigns.stage_topics.journal, 0, standing.signals_start)]
    for key, entry in entries.items():
        told += records_of(EmitCampaign(key, entry), 0, source="", historic=False)
    yield from _write(campaigns, 0, campaign_states, standing.former_campaigns, told)


def _write(
    settings: Settings, number: int, states: Mapping[str, bytes], former: set[str], told: Sequence[OutgoingRecord]
) -> Iterator[int]:
    producer = PartitionProducer(settings, number)
    producer.open(Event())
    changes: dict[str, bytes | None] = dict.fromkeys(former - states.keys())
    changes |= {key: encoded for key, encoded in states.items() if key != PARTITION_KEY}
    changes[PARTITION_KEY] = states[PARTITION_KEY]  # last: with it a worker has all
    rest = iter(changes.items())
    producer.send(told)
    while batch := dict(islice(rest, _STATES)):
        producer.checkpoint([], batch)
        yield len(batch)


def _check_group(settings: Settings, *, may_replace: bool) -> None:
    group = settings.stage_group
    admin = AdminClient(client_config(settings))
    members = _answered(
        lambda: admin.describe_consumer_groups([group], request_timeout=ANSWER_S)[group].result().members
    )
    if members:
        raise OccupiedError(f"group {group} has a running worker: stop all workers first")
    asked = ConsumerGroupTopicPartitions(group)
    places = _answered(
        lambda: admin.list_consumer_group_offsets([asked], request_timeout=ANSWER_S)[group].result().topic_partitions
    )
    if not may_replace and any(place.offset >= 0 for place in places or ()):
        raise OccupiedError(f"group {group} has positions already: --replace forgets what its workers have learned")


def _answered(ask: Callable[[], _Answer]) -> _Answer:
    """What a group's coordinator answers; a new broker is still making it when it is asked for the first time."""
    deadline = time.monotonic() + _FIRST_ANSWER_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _COMING or time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def _copy(settings: Settings, number: int) -> ChangelogCopy:
    copy = ChangelogCopy(_take_any)  # states of another version may be replaced, too
    recover(settings, number, copy, Event(), lambda _: None)
    return copy


def _take_any(_key: str, _encoded: bytes) -> None:
    return


def _start(settings: Settings, number: int, former: ChangelogCopy) -> int:
    """Where the worker of old would have gone on, or else the first record that there is."""
    begin = _begin(settings, settings.topic(TopicName.REQUESTS), number)
    if (own := former.states.get(PARTITION_KEY)) is None:
        return begin
    try:
        return max(begin, decode_partition(own).position)
    except StateError as error:
        raise OccupiedError(f"partition {number} has a state that cannot be read: {error}") from error


def _begin(settings: Settings, topic: str, number: int) -> int:
    consumer = new_consumer(settings)
    try:
        begin, _ = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_FIRST_ANSWER_S)
    finally:
        consumer.close()
    return begin


def _oldest_ms(settings: Settings, starts: Sequence[int]) -> int | None:
    """Event time of the oldest among the next records of all partitions."""
    topic = settings.topic(TopicName.REQUESTS)
    times = []
    consumer = new_consumer(settings)
    try:
        for number, start in enumerate(starts):
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_FIRST_ANSWER_S)
            if start >= end:
                continue
            consumer.assign([TopicPartition(topic, number, start)])
            message = consumer.poll(ANSWER_S)
            if message is None or message.error() is not None:
                continue
            events = decode_record(message.value(), {})
            times += [event.time.timestamp() for event in events if not isinstance(event, Rejected)]
    finally:
        consumer.close()
    return round(min(times) * 1000) if times else None
