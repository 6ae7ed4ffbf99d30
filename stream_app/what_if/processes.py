"""Both policies at once: one reading of the history, a process for each."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from multiprocessing.connection import Connection

from stream_app.detection.policy import Policy
from stream_app.what_if.courses import Course, run_course

#: Values sent at a time: a system call vanishes beside applying them.
_BATCH = 512


class LostProcessError(Exception):
    """A process that ran a policy has ended before its time."""


def run_both(
    old: Policy, new: Policy, values: Iterable[bytes], *, partitions: int = 1, operator_lines: Sequence[bytes] = ()
) -> tuple[Course, Course]:
    """``run_course`` of two policies over the same values, which are read once; takes as long as the slower one.

    Raises ``LostProcessError``, and whatever ``values`` raises.
    """
    context = get_context("spawn")  # what the caller has of threads and connections stays with the caller
    with ExitStack() as stack:
        ends: list[Connection] = []
        for policy in (old, new):
            ours, theirs = context.Pipe()
            stack.callback(ours.close)
            process = context.Process(target=_serve, args=(theirs, policy, partitions, operator_lines), daemon=True)
            process.start()
            stack.callback(process.join)
            stack.callback(process.terminate)
            theirs.close()
            ends.append(ours)
        try:
            batch: list[bytes] = []
            for value in values:
                batch.append(value)
                if len(batch) == _BATCH:
                    _send(ends, batch)
                    batch = []
            _send(ends, batch)
            _send(ends, None)
            before, after = (end.recv() for end in ends)
        except (EOFError, OSError) as error:
            if isinstance(error, EOFError | ConnectionError):
                raise LostProcessError("a process that ran a policy has ended before its time") from error
            raise
    return before, after


def _send(ends: Sequence[Connection], batch: list[bytes] | None) -> None:
    for end in ends:
        end.send(batch)


def _serve(end: Connection, policy: Policy, partitions: int, operator_lines: Sequence[bytes]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    try:
        course = run_course(policy, _received(end), partitions=partitions, operator_lines=operator_lines)
        end.send(course)
    except (EOFError, ConnectionError):
        return


def _received(end: Connection) -> Iterator[bytes]:
    while (batch := end.recv()) is not None:
        yield from batch
