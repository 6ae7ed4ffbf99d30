"""Job J1 on Stillwatch's own ingest, checkpoints and group membership: ``python -m benchmarks.race.stillwatch_j1``.

Only the core is another one: hopping windows and a z-score in place of the detector.
"""

import argparse
import logging
from collections.abc import Iterable
from datetime import datetime
from math import sqrt
from pathlib import Path
from typing import Any, cast

import faust
import msgspec
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from msgspec import Struct

from benchmarks.race.oracle import ALPHA, SIZE_MS, STEP_MS, THRESHOLD, WARM_UP, Decision
from stream_app.adapters.records import OutgoingRecord
from stream_app.app import create_app
from stream_app.detection.detector import Detector
from stream_app.detection.effects import Tally
from stream_app.detection.records import Record
from stream_app.detection.state import (
    PARTITION_KEY,
    STATE_VERSION,
    PartitionState,
    decode_partition,
    encode_partition,
)
from stream_app.garbage import calm_garbage_collection
from stream_app.settings import Settings
from stream_app.topology import TOPICS, TopicName

PARTITIONS = 4
LATENESS_MS = 5_000
PANES = SIZE_MS // STEP_MS
_HEAD = bytes((STATE_VERSION, 0, 0, 0, 0))


class JobFields(Struct):
    """What the job needs of an event."""

    time: datetime
    tenant_id: str
    status_code: int
    input_tokens: int
    output_tokens: int


class Tenant(Struct, array_like=True):
    """Panes by index (count, tokens, errors), and the moments of the windows closed so far."""

    tenant_id: str
    panes: dict[int, list[int]]
    closed: int = 0
    mean: float = 0.0
    variance: float = 0.0


_event = msgspec.json.Decoder(JobFields).decode
_tenant = msgspec.msgpack.Decoder(Tenant).decode
_encode = msgspec.msgpack.Encoder().encode


class JobCore:
    """Stands in for ``Detector``: the same calls, another job."""

    has_due = False

    def __init__(self, states: dict[str, bytes]) -> None:
        own = states.get(PARTITION_KEY)
        self.state = PartitionState() if own is None else decode_partition(own)
        self._states = states
        self._tenants = {key: _tenant(value[len(_HEAD) :]) for key, value in states.items() if key != PARTITION_KEY}
        self._by_pane: dict[int, list[Tenant]] = {}
        for tenant in self._tenants.values():
            for index in tenant.panes:
                self._by_pane.setdefault(index, []).append(tenant)
        self._closed = self.state.watermark.claimed_since_ms  # the job's own: the last window that was closed
        self._changed: dict[str, Tenant] = {}
        self._changes: dict[str, bytes] = {}
        self._tally = Tally()

    @property
    def position(self) -> int:
        """Offset of the next record expected."""
        return self.state.position

    def handle(self, records: Iterable[Record]) -> list[Decision]:
        """Count events in their panes and close what the watermark has passed."""
        decisions: list[Decision] = []
        tenants, changed, watermark = self._tenants, self._changed, self.state.watermark
        newest = watermark.newest_ms or 0
        count = 0
        for record in records:
            event = _event(record.value or b"")
            time_ms = round(event.time.timestamp() * 1000)
            tenant = tenants.get(event.tenant_id)
            if tenant is None:
                tenant = tenants[event.tenant_id] = Tenant(event.tenant_id, {})
            changed[tenant.tenant_id] = tenant
            index = time_ms // STEP_MS
            pane = tenant.panes.get(index)
            if pane is None:
                pane = tenant.panes[index] = [0, 0, 0]
                self._by_pane.setdefault(index, []).append(tenant)
            pane[0] += 1
            pane[1] += event.input_tokens + event.output_tokens
            pane[2] += event.status_code >= 400
            count += 1
            if time_ms > newest:
                newest = time_ms
                if (newest - LATENESS_MS) // STEP_MS > self._closed:
                    self._close(decisions, (newest - LATENESS_MS) // STEP_MS)
            self.state.position = record.offset + 1
        watermark.newest_ms = newest
        self._tally.applied += count
        return decisions

    def _close(self, decisions: list[Decision], last: int) -> None:
        for end in range(max(self._closed + 1, min(self._by_pane, default=last) + 1), last + 1):
            active = {
                tenant.tenant_id: tenant for index in range(end - PANES, end) for tenant in self._by_pane.get(index, ())
            }
            for tenant in active.values():
                self._close_window(decisions, tenant, end)
            self._changed.update(active)
            self._by_pane.pop(end - PANES, None)
        self._closed = last

    def _close_window(self, decisions: list[Decision], tenant: Tenant, end: int) -> None:
        count = tokens = errors = 0
        panes = tenant.panes
        for index, (c, t, e) in panes.items():
            if index < end:
                count += c
                tokens += t
                errors += e
        panes.pop(end - PANES, None)
        if tenant.closed >= WARM_UP:
            z = (count - tenant.mean) / sqrt(tenant.variance + 1)
            if z >= THRESHOLD:
                decisions.append(Decision(tenant.tenant_id, end * STEP_MS, count, tokens, errors, z))
        distance = count - tenant.mean
        tenant.mean += ALPHA * distance
        tenant.variance = (1 - ALPHA) * (tenant.variance + ALPHA * distance * distance)
        tenant.closed += 1

    def begin_checkpoint(self) -> None:
        """Encode what has changed."""
        for key, tenant in self._changed.items():
            self._states[key] = self._changes[key] = _HEAD + _encode(tenant)
        self._changed.clear()
        self.state.watermark.claimed_since_ms = self._closed
        self._states[PARTITION_KEY] = self._changes[PARTITION_KEY] = encode_partition(self.state)

    def encode_checkpoint(self, _most: int = 0) -> dict[str, bytes]:
        """The changes since the last checkpoint."""
        changes, self._changes = self._changes, {}
        return changes

    def take_tally(self) -> Tally:
        """Counts since the last call."""
        tally, self._tally = self._tally, Tally()
        return tally


class JobSettings(Settings):
    """Settings whose requests and decisions topics are the race's; the others are named after the group."""

    given: dict[TopicName, str]

    def topic(self, name: TopicName) -> str:
        """Full name of a topic."""
        return self.given.get(name, f"{self.group}.{name}")


def decision_records(effect: Any, _now_ms: int) -> list[OutgoingRecord]:
    """A decision as the race wants it."""
    return [OutgoingRecord(TopicName.DECISIONS, effect.tenant_id.encode(), msgspec.json.encode(effect), [])]


def create_topics(settings: JobSettings) -> None:
    """The topics beside input and output."""
    topics = [
        NewTopic(settings.topic(spec.name), 1 if spec.partitions else PARTITIONS, 1, config=spec.config)
        for spec in TOPICS
        if spec.name not in settings.given
    ]
    admin = AdminClient({"bootstrap.servers": settings.broker})
    for created in admin.create_topics(topics).values():
        created.result()


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    for flag in ("bootstrap", "input", "output", "group"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--dir", required=True, type=Path)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    settings = JobSettings(
        broker=args.bootstrap,
        group=args.group,
        partitions=PARTITIONS,
        data_dir=args.dir,
        web_port=0,
        given={TopicName.REQUESTS: args.input, TopicName.DECISIONS: args.output},
    )
    create_topics(settings)
    app, services = create_app(settings, lambda _, states: cast("Detector", JobCore(states)), decision_records)
    calm_garbage_collection()
    faust.Worker(app, *services, quiet=True, redirect_stdouts=False, override_logging=False).execute_from_commandline()


if __name__ == "__main__":
    main()
