"""Effects as Kafka records: keys, values, and CloudEvents 1.0 headers in binary mode."""

from datetime import datetime
from typing import NamedTuple, assert_never

import msgspec
import orjson

from stream_app.detection.decisions import Decision
from stream_app.detection.effects import (
    DeadLetter,
    Effect,
    EmitCampaign,
    EmitDecision,
    EmitSignal,
    EmitVerdict,
    ForgetDecision,
)
from stream_app.detection.explanations import rfc3339
from stream_app.signatures import Signer
from stream_app.signed_records import ControlRecord, signature_headers
from stream_app.topology import TopicName

DECISION_TYPE = "stillwatch.decision.v1"
#: A larger refused input is named by topic, partition and offset only.
MAX_ORIGINAL_BYTES = 64 * 1024

_CAMPAIGN_TOPICS = (TopicName.CAMPAIGN_LOG, TopicName.CAMPAIGNS)

Headers = list[tuple[str, bytes]]


class OutgoingRecord(NamedTuple):
    """One record to produce; ``value`` is ``None`` for a tombstone, and the key says the partition, or the source's."""

    topic: TopicName
    key: bytes | None
    value: bytes | None
    headers: Headers
    is_by_partition: bool = False


def records_of(
    effect: Effect, now_ms: int, *, source: str, historic: bool, signer: Signer | None = None
) -> list[OutgoingRecord]:
    """The records that perform an effect; ``source`` names this deployment, ``now_ms`` is processing time.

    With ``historic`` events a decision expires as long after now as it would have after its cause, so that consumers,
    who go by their own clocks, obey it. A ``signer`` signs what goes to the control topic.
    """
    match effect:
        case EmitDecision(decision=decision, cause_ms=cause_ms):
            if historic:
                decision = _moved_to(decision, now_ms)
            key, value = decision.key.encode(), msgspec.json.encode(decision)
            headers = _decision_headers(decision, source, cause_ms, now_ms) + _signed(key, value, signer, now_ms)
            return [
                OutgoingRecord(TopicName.DECISION_LOG, key, value, headers),
                OutgoingRecord(TopicName.DECISIONS, key, value, headers),
            ]
        case ForgetDecision(key=name):
            key = name.encode()
            return [OutgoingRecord(TopicName.DECISIONS, key, None, _signed(key, None, signer, now_ms))]
        case EmitSignal(signal=signal):
            return [OutgoingRecord(TopicName.SIGNALS, signal.tenant_id.encode(), msgspec.json.encode(signal), [])]
        case EmitVerdict(verdict=verdict):
            return [OutgoingRecord(TopicName.VERDICTS, verdict.tenant_id.encode(), msgspec.json.encode(effect), [])]
        case EmitCampaign(key=name, entry=entry):
            encoded = None if entry is None else orjson.dumps(entry)
            return [OutgoingRecord(topic, name.encode(), encoded, []) for topic in _CAMPAIGN_TOPICS]
        case DeadLetter():
            return [_dead_letter(effect, now_ms)]
        case _:
            assert_never(effect)


def _signed(key: bytes, value: bytes | None, signer: Signer | None, now_ms: int) -> Headers:
    return [] if signer is None else signature_headers(ControlRecord(key, value), signer, now_ms)


def _moved_to(decision: Decision, now_ms: int) -> Decision:
    issued, expires = (datetime.fromisoformat(text) for text in (decision.issued_at, decision.expires_at))
    life_ms = round((expires - issued).total_seconds() * 1000)
    return msgspec.structs.replace(decision, expires_at=rfc3339(now_ms + life_ms))


def _decision_headers(decision: Decision, source: str, cause_ms: int, now_ms: int) -> Headers:
    texts = {
        "ce_specversion": "1.0",
        "ce_id": decision.decision_id,
        "ce_source": source,
        "ce_type": DECISION_TYPE,
        "ce_time": decision.issued_at,
        "ce_subject": decision.key,
        "content-type": "application/json",
        "caused_at": rfc3339(cause_ms),
        "emitted_at": rfc3339(now_ms),
    }
    return [(name, text.encode()) for name, text in texts.items()]


def _dead_letter(letter: DeadLetter, now_ms: int) -> OutgoingRecord:
    place = f"{letter.topic}/{letter.partition}/{letter.offset}"
    content: dict[str, object] = {
        "reason": letter.reason.value,
        "detail": letter.detail,
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "at": rfc3339(now_ms),
    }
    if letter.index is not None:
        place += f"/{letter.index}"
        content["index"] = letter.index
    headers = [("original", letter.original)] if len(letter.original) <= MAX_ORIGINAL_BYTES else []
    return OutgoingRecord(TopicName.DEAD_LETTERS, place.encode(), orjson.dumps(content), headers)
