"""Keeps what other programs look decisions up in equal to a limiter's table."""

import time
from collections.abc import Mapping, Set
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Protocol
from urllib.parse import quote

import structlog

from stream_app.limiter.checks import Limiter
from stream_app.limiter.decisions_table import KnownDecision, SubjectKey

#: As long as nothing changes, a mirror looks this often whether enforcement was switched or the table completed.
IDLE_S = 0.2

#: How long a restarted or emptied program may go unnoticed, and how often a broken one is tried again.
ROUND_S = 1.0

#: Everything is written anew this often: it takes what has expired out of HAProxy's map, and mends what others broke.
#: Changes wait meanwhile, for seconds where there are 100,000 decisions, so it is not done more often.
REPLACE_S = 3_600.0

_log = structlog.get_logger()


class MirrorError(Exception):
    """The program could not be written to; the message says why in one line."""


class Target(Protocol):
    """A program that holds decisions by the keys of the control topic. Every call may raise ``MirrorError``."""

    name: str

    def holds_ours(self) -> bool:
        """False when it was restarted or emptied since ``replace``; asked every second."""

    def replace(self, decisions: Mapping[str, KnownDecision]) -> None:
        """Hold exactly these, without a moment in which one that stays is missing."""

    def change(self, decisions: Mapping[str, KnownDecision | None]) -> None:
        """Set these keys, and delete those with None, which may be absent already."""


class Mirror:
    """Writes a target in a thread of its own: all decisions first and after each fault, then each as it changes.

    Nothing is written before the table is complete, so a limiter that restarts takes nothing away meanwhile. While
    enforcement is off the target is empty. A table that grows stale leaves the target as it is: every decision in it
    ends by its own expiry.
    """

    def __init__(self, limiter: Limiter, target: Target) -> None:
        self._limiter = limiter
        self._target = target
        self._changed = limiter.table.follow()
        self._is_written = False
        self._was_enforced = True
        self._asked_at = self._replaced_at = 0.0
        self._equal_at = time.monotonic()
        self._is_told = False
        self._stopping = Event()
        self._failures = limiter.metrics.mirror_failures.labels(target.name)
        limiter.metrics.mirror_age_s.labels(target.name).set_function(lambda: time.monotonic() - self._equal_at)
        self._thread = Thread(target=self._run, name=f"mirror-{target.name}", daemon=True)

    def start(self) -> None:
        """Begin to write; returns at once, and never fails because of the target."""
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """End the thread; what the target holds stays."""
        self._stopping.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            keys = _taken(self._changed)
            try:
                self.write(keys)
                self._is_told = False
            except MirrorError as error:
                self._is_written = False
                self._failures.inc()
                if not self._is_told:
                    _log.warning("mirror cannot be written, trying again", mirror=self._target.name, error=str(error))
                    self._is_told = True
                self._stopping.wait(ROUND_S)

    def write(self, keys: Set[SubjectKey]) -> None:
        """One round: bring the target up to date with the subjects told. Raises ``MirrorError``."""
        limiter, now_ms = self._limiter, self._limiter.now_ms()
        if limiter.table.age_s(now_ms) is None:
            return
        is_enforced, now = limiter.is_enforced, time.monotonic()
        if self._is_written and is_enforced == self._was_enforced and now - self._asked_at >= ROUND_S:
            self._is_written = self._target.holds_ours()
            self._asked_at = now
        if not self._is_written or is_enforced != self._was_enforced or now - self._replaced_at >= REPLACE_S:
            rows = limiter.table.all_obeyed(now_ms) if is_enforced else {}
            self._target.replace({topic_key(key): decision for key, decision in rows.items()})
            self._is_written, self._was_enforced = True, is_enforced
            self._asked_at = self._replaced_at = now
        elif keys and is_enforced:
            self._target.change({topic_key(key): limiter.table.obeyed(key, now_ms) for key in keys})
        self._equal_at = now


def topic_key(subject_key: SubjectKey) -> str:
    """A subject's key as on the control topic, percent-encoded: ``account:acme/a%201``."""
    scope, *parts = subject_key
    return f"{scope}:{'/'.join(quote(part, safe='') for part in parts)}"


def _taken(changed: SimpleQueue[SubjectKey]) -> set[SubjectKey]:
    """Subjects that changed, all that are there; waits for the first a little."""
    keys: set[SubjectKey] = set()
    try:
        keys.add(changed.get(timeout=IDLE_S))
        while True:
            keys.add(changed.get_nowait())
    except Empty:
        return keys
