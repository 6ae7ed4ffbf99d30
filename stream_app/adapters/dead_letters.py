"""Dead letters: read from their topic, and what they hold sent again to where it came from."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from msgspec import Raw, Struct

from stream_app.adapters.clients import client_config
from stream_app.adapters.decision_log import Unreadable, read_erasures, read_records
from stream_app.adapters.operator_signatures import ProducedHeaders, operator_headers
from stream_app.adapters.operator_topic import ACKNOWLEDGED_S, PublishError
from stream_app.detection.decode import Rejected, RejectReason, decode_record, owner_of
from stream_app.detection.events import Event
from stream_app.detection.operators import OperatorRecord, parse_operator
from stream_app.detection.refusals import refuse_event
from stream_app.settings import Settings
from stream_app.signatures import KeyFileError
from stream_app.topology import TopicName

#: Header of what is sent again: the place of the dead letter's input.
REPLAYED_HEADER = "replayed_from"
#: librdkafka's ``RD_KAFKA_PARTITION_UA``.
_BY_KEY = -1
#: Records between two looks at what the broker has acknowledged.
_FLUSH_EVERY = 10_000


class _Letter(Struct, frozen=True):
    """``schemas/dead-letter``."""

    reason: str
    detail: str
    topic: str
    partition: int
    offset: int
    at: datetime
    index: int | None = None


class KeptLetter(Struct, frozen=True):
    """One dead letter: why and when an input was refused, where it lay, and its bytes if they were not too many."""

    place: str
    reason: str
    detail: str
    topic: str
    partition: int
    index: int | None
    at: datetime
    original: bytes | None


class Again(NamedTuple):
    """What a dead letter's input is sent again as; ``problem`` says why it would be refused again, if so.

    Without a ``key`` it goes to the partition it was on. ``value`` is None when there is nothing to send.
    """

    letter: KeptLetter
    key: str | None
    value: bytes | None
    problem: str | None


_letter = msgspec.json.Decoder(_Letter)
_operator_record = msgspec.json.Decoder(OperatorRecord)
_elements = msgspec.json.Decoder(list[Raw])


def read_dead_letters(settings: Settings) -> Iterator[KeptLetter | Unreadable]:
    """The dead-letter topic from its beginning, without inputs of tenants that were erased since.

    Raises ``DecisionLogError`` when it cannot be read.
    """
    erasures = read_erasures(settings)
    for record in read_records(settings, TopicName.DEAD_LETTERS):
        try:
            letter = _letter.decode(record.value or b"")
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            yield Unreadable(record.place, str(error).splitlines()[0])
            continue
        place = f"{letter.topic}/{letter.partition}/{letter.offset}"
        if letter.index is not None:
            place += f"/{letter.index}"
        original = dict(record.headers).get("original")
        tenants = {one.tenant_id for one in decode_record(original, {}) if isinstance(one, Event)}
        if any(erasures.hides_tenant(tenant_id, round(letter.at.timestamp() * 1000)) for tenant_id in tenants):
            continue
        yield KeptLetter(
            *(place, letter.reason, letter.detail, letter.topic, letter.partition, letter.index, letter.at, original)
        )


def prepare(letter: KeptLetter, settings: Settings, now_ms: int) -> Again:
    """What would be sent again for a letter at ``now_ms``, judged as workers would; of an array one event.

    How far events of the tenant's partition have come is not known here: what is a day old counts as too old, unless
    events are historic.
    """
    if not letter.topic.startswith(f"{settings.topic_prefix}."):
        log = f"{letter.topic} is a gateway's log, of which letters hold nothing, since it may be a prompt"
        return Again(
            letter, None, None, f"{log}: mend the cause, then give the log to gateway-events with --refused-since"
        )
    if letter.original is None:
        return Again(letter, None, None, "the letter does not hold the input, which had over 64 KiB")
    if letter.topic == settings.topic(TopicName.REQUESTS):
        return _prepare_event(letter, letter.original, now_ms, None if settings.historic else now_ms)
    if letter.topic == settings.topic(TopicName.OPERATOR):
        return _prepare_operator_record(letter, letter.original)
    return Again(letter, None, None, f"nothing of {letter.topic} is sent again: only requests and operator records are")


def send_again(settings: Settings, prepared: Iterable[Again], on_sent: Callable[[], None]) -> None:
    """Send inputs to the topics they came from, and wait until all are kept; raises ``PublishError``."""
    failures: list[KafkaError] = []

    def note(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error)

    config = {"acks": "all", "partitioner": "murmur2", "message.timeout.ms": int(ACKNOWLEDGED_S * 1000)}
    try:
        producer = Producer(client_config(settings) | config)
        for number, again in enumerate(prepared, 1):
            producer.produce(
                again.letter.topic,
                again.value,
                again.key,
                again.letter.partition if again.key is None else _BY_KEY,
                on_delivery=note,
                headers=_headers(settings, again),
            )
            on_sent()
            if number % _FLUSH_EVERY == 0:
                producer.flush(ACKNOWLEDGED_S)
        left = producer.flush(ACKNOWLEDGED_S + 1)
    except KafkaException as error:
        raise PublishError(f"{settings.broker}: {error.args[0].str()}") from error
    except KeyFileError as error:
        raise PublishError(str(error)) from error
    if failures or left:
        why = failures[0].str() if failures else f"no answer within {ACKNOWLEDGED_S:.0f} s"
        raise PublishError(f"{settings.broker}: {len(failures) or left:,} not sent again: {why}")


def _headers(settings: Settings, again: Again) -> ProducedHeaders:
    signed: ProducedHeaders = []
    if again.letter.topic == settings.topic(TopicName.OPERATOR):
        signed = operator_headers(settings, again.key or "", again.value or b"")
    return [(REPLAYED_HEADER, again.letter.place.encode()), *signed]


def _prepare_event(letter: KeptLetter, original: bytes, now_ms: int, newest_ms: int | None) -> Again:
    value = original if letter.index is None else _element(original, letter.index)
    if value is None:
        return Again(letter, None, None, f"its array has no event {letter.index}")
    items = decode_record(value, {})
    owner = owner_of(items)
    if letter.reason == RejectReason.UNKNOWN_TYPE:
        return Again(
            letter, owner, value, f"{letter.reason}: its headers were refused, and the letter has none of them"
        )
    for item in items:
        refused = item if isinstance(item, Rejected) else None
        if not isinstance(item, Rejected):
            time_ms = round(item.time.timestamp() * 1000)
            refused = refuse_event(item, time_ms, owner, now_ms, newest_ms)
        if refused is not None:
            return Again(letter, owner, value, f"{refused.reason}: {refused.detail}")
    return Again(letter, owner, value, None)


def _prepare_operator_record(letter: KeptLetter, original: bytes) -> Again:
    if letter.reason == RejectReason.FORGED:
        # not even by force: it would be signed on its way
        return Again(letter, None, None, f"{letter.reason}: {letter.detail}; whoever means it orders it anew")
    instruction = parse_operator(original)
    if isinstance(instruction, Rejected):
        return Again(letter, None, original, f"{instruction.reason}: {instruction.detail}")
    record = _operator_record.decode(original)
    return Again(letter, record.subject or record.type, original, None)


def _element(original: bytes, index: int) -> bytes | None:
    try:
        elements = _elements.decode(original)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return bytes(elements[index]) if index < len(elements) else None
