"""What pages need to have read from Kafka: done in threads, shown when it is there, and kept for a while."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from msgspec import Struct

from stream_app.adapters.recorded_events import (
    OnProgress,
    RecordsGoneError,
    Span,
    find_span,
    find_spans,
    read_span,
)
from stream_app.console.campaign_traffic import CampaignTraffic, read_signals
from stream_app.detection.decisions import Decision
from stream_app.detection.operators import OperatorWord
from stream_app.detection.policy import Policy
from stream_app.plots.explanations import NothingRecordedError, Recorded, picture_of
from stream_app.plots.pictures import Picture
from stream_app.plots.times import epoch_s
from stream_app.settings import Settings
from stream_app.topology import TopicName

#: An extract is that old at most before it is read anew.
KEPT_S = 60.0
#: Extracts kept; a campaign's is some 100 kB.
_MAX_KEPT = 32
#: Extracts read at the same time: each takes a core and 16 MB.
_THREADS = 2
#: Newest records that are read: some ten seconds.
MAX_SIGNALS = 500_000
#: How long before the first alert a campaign is shown from.
_BEFORE_MS = 2 * 86_400_000

T = TypeVar("T")


class Extract(Struct, Generic[T]):
    """Something being read, or read: ``result`` when it is there, ``problem`` when it cannot be."""

    result: T | None = None
    problem: str = ""
    done: int = 0
    total: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether there is no more to wait for."""
        return self.result is not None or bool(self.problem)


class Extracts:
    """Reads in threads what is asked for, each once however many ask."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="console-extract")
        self._kept: dict[str, tuple[float, Extract[Any]]] = {}

    def ask(self, name: str, read: Callable[[OnProgress], T]) -> Extract[T]:
        """The extract of this name, which is begun when there is none or an old one."""
        begun_s, extract = self._kept.get(name, (0.0, None))
        if extract is not None and (not extract.is_ready or time.monotonic() - begun_s < KEPT_S):
            return extract
        extract = Extract()
        self._kept.pop(name, None)
        self._kept[name] = (time.monotonic(), extract)
        while len(self._kept) > _MAX_KEPT:
            del self._kept[next(iter(self._kept))]
        future = self._threads.submit(read, _progress_of(extract))
        future.add_done_callback(lambda done: _finish(extract, done))
        return extract

    def stop(self) -> None:
        """Begin nothing more; what is being read is left to end with the process."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def traffic_of(
    settings: Settings, campaign: Mapping[str, Any], suspects: set[str], on_progress: OnProgress
) -> CampaignTraffic:
    """A campaign's load, tokens, links and comparison by its signals; raises ``RecordsGoneError``."""
    spans = find_spans(settings, TopicName.SIGNALS, _since_ms(campaign), MAX_SIGNALS)
    return read_signals(campaign, suspects, _read_all(settings, spans, on_progress))


class Rules(Struct, frozen=True):
    """The policy that a decision was made by, and operators' words."""

    policy: Policy
    words: Sequence[OperatorWord]


def timeline_of(
    settings: Settings, decision: Decision, of_subject: Sequence[Decision], rules: Rules, on_progress: OnProgress
) -> Picture:
    """A tenant's windows around a decision, as the core sees them when it is run again.

    Raises ``RecordsGoneError`` or ``NothingRecordedError``.
    """
    span = find_span(settings, decision)
    values = read_span(settings, span, decision.tenant_id, on_progress)
    place = f"topic {span.topic}, partition {span.partition}, offsets {span.first} to {span.end - 1}"
    return picture_of(decision, of_subject, rules.policy, Recorded(values, place, span.is_whole), rules.words)


def _since_ms(campaign: Mapping[str, Any]) -> int:
    return round(epoch_s(campaign["first_alert_time"]) * 1000) - _BEFORE_MS


def _read_all(settings: Settings, spans: Sequence[Span], on_progress: OnProgress) -> Iterator[bytes]:
    total, before = sum(span.end - span.first for span in spans), 0
    for span in spans:
        if span.first < span.end:
            yield from read_span(settings, span, "", _beyond(before, total, on_progress))
        before += span.end - span.first


def _beyond(before: int, total: int, on_progress: OnProgress) -> OnProgress:
    return lambda done, _: on_progress(before + done, total)


def _progress_of(extract: Extract[Any]) -> OnProgress:
    def note(done: int, total: int) -> None:
        extract.done, extract.total = done, total

    return note


def _finish(extract: Extract[Any], done: "Future[Any]") -> None:
    if done.cancelled():
        extract.problem = "the console is stopping"
    elif (error := done.exception()) is None:
        extract.result = done.result()
    elif isinstance(error, RecordsGoneError | NothingRecordedError):
        extract.problem = str(error)
    else:
        extract.problem = f"this cannot be drawn: {type(error).__name__}"
        raise error
