"""What the demo sends: a made-up population that catches up with the present, or a file of old events."""

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from heapq import merge
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from stream_app.demo.operation import Operation
from stream_app.simulate.population import plan_population

#: History before the demo begins, long enough for a dozen ten-minute windows of every tenant.
SPAN_S = 3 * 3600
#: The noisy tenant runs away this long before the end: long enough to see it denied.
NOISY_S = 15
#: The campaign begins this long before the end: it is named in the past that is caught up with, its members denied then
#: and now.
OPERATION_S = 9_000
#: Tenants of the made-up population, as a multiple of 400, and the afternoon on which it is observed: some 55,000
#: requests, the same ones at whatever hour the demo is run.
SCALE = 1.2
AFTERNOON = datetime(2026, 11, 2, 15, tzinfo=UTC)


class Request(NamedTuple):
    """One record to send and how many ``events`` it holds, good or bad.

    ``due_s`` is the Unix time before which it has not happened, 0 for old events.
    """

    tenant_id: str
    account_id: str
    due_s: float
    value: bytes
    events: int = 1


class Traffic(NamedTuple):
    """A stream of requests, who in it runs away from when on, and who is one campaign, if that is known."""

    requests: Iterator[Request]
    noisy_tenant: str | None
    noisy_onset_s: float
    operation: frozenset[str] | None = None


class _Facts(msgspec.Struct):
    tenant_id: str = ""
    account_id: str = ""


_facts = msgspec.json.Decoder(_Facts | list[_Facts])


def made_up_traffic(seed: int, duration_s: float) -> Traffic:
    """Three hours of a population's past and ``duration_s`` of its future, seen from now, and a campaign in it."""
    end = datetime.now(UTC) + timedelta(seconds=duration_s)
    plan = plan_population(seed, SCALE, AFTERNOON, SPAN_S, NOISY_S)
    shift = end - AFTERNOON
    operation = Operation(seed, AFTERNOON - timedelta(seconds=OPERATION_S), AFTERNOON)

    def requests() -> Iterator[Request]:
        for event in merge(plan.events(), operation.events(), key=_time):
            time = _time(event) + shift
            value = orjson.dumps(event | {"time": time.isoformat(timespec="milliseconds")})
            yield Request(str(event["tenant_id"]), str(event["account_id"]), time.timestamp(), value)

    return Traffic(requests(), plan.tenants[plan.noisy].tenant_id, end.timestamp() - NOISY_S, operation.tenant_ids)


def _time(event: dict[str, object]) -> datetime:
    return datetime.fromisoformat(str(event["time"]))


def file_traffic(path: Path) -> Traffic:
    """The lines of a file (``.gz`` too) as they are, good or bad, as fast as the worker takes them."""

    def requests() -> Iterator[Request]:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for line in lines:
                if value := line.strip():
                    yield _old_request(value)

    return Traffic(requests(), None, 0.0)


def _old_request(value: bytes) -> Request:
    try:
        facts = _facts.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Request("", "", 0.0, value)
    events = facts if isinstance(facts, list) else [facts]
    first = events[0] if events else _Facts()
    return Request(first.tenant_id, first.account_id, 0.0, value, max(len(events), 1))
