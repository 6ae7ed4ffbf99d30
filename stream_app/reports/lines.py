"""Record values line by line out of files, with the place of each recent one."""

import gzip
import io
import os
import shutil
import sys
import tempfile
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self

from stream_app.detection.events import MAX_MESSAGE_BYTES
from stream_app.replay import CHUNK_LINES

#: A longer line is cut here (the largest value and its line end fit), so that no input can fill the memory; the core
#: refuses what is left as too large.
MAX_LINE_BYTES = MAX_MESSAGE_BYTES + 2
STDIN = Path("-")
#: Reads of this size make the system calls vanish beside decoding.
_BUFFER_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"


class UnreadableError(Exception):
    """A file cannot be read, or not to its end; the message says which and why in one line."""


class Place(NamedTuple):
    """Where a line stands; ``line`` counts from 1 and includes blank lines."""

    file: str
    line: int


class EventFiles:
    """Files of JSON lines, plain or gzipped, that can be read more than once; pipes and ``-`` (standard input) are
    kept on disk.

    A context manager. ``bytes_read`` of ``bytes_total`` are bytes of the files as they lie on disk, in the reading
    under way.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.bytes_total = 0
        self._stack = ExitStack()
        self._files: list[tuple[str, BinaryIO]] = []
        self._recent: deque[tuple[bytes, str, int]] = deque(maxlen=CHUNK_LINES)
        self._bytes_before = 0
        self._reading: BinaryIO | None = None
        try:
            for path in paths:
                self._open(path)
        except OSError as error:
            self._stack.close()
            raise UnreadableError(f"{path}: {error.strerror or error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def names(self) -> list[str]:
        """The files as they were given."""
        return [name for name, _ in self._files]

    @property
    def bytes_read(self) -> int:
        """How far the reading under way has come."""
        return self._bytes_before + (self._reading.tell() if self._reading else 0)

    def lines(self) -> Iterator[bytes]:
        """All lines of all files in order, without blank ones and without white space at their ends.

        Raises ``UnreadableError`` where a file turns out to be damaged.
        """
        self._bytes_before, self._reading = 0, None
        recent = self._recent
        for name, file in self._files:
            file.seek(0)
            self._reading = file
            try:
                for line, raw in enumerate(_bounded_lines(_unpacked(file)), 1):
                    if value := raw.strip():
                        recent.append((value, name, line))
                        yield value
            except (OSError, EOFError, zlib.error) as error:
                raise UnreadableError(f"{name}: {error}") from error
            self._bytes_before += file.tell()
            self._reading = None

    def place_of(self, value: bytes) -> Place | None:
        """Where one of the last ``replay.CHUNK_LINES`` lines, this very object, stands.

        Equal lines of a single byte are one object in Python: the first of them is named.
        """
        return next((Place(name, line) for known, name, line in self._recent if known is value), None)

    def _open(self, path: Path) -> None:
        if path == STDIN:
            file = self._keep(sys.stdin.buffer)
        else:
            file = self._stack.enter_context(path.open("rb", buffering=_BUFFER_BYTES))
            if not file.seekable():
                file = self._keep(file)
        self.bytes_total += file.seek(0, os.SEEK_END)
        self._files.append((str(path), file))

    def _keep(self, pipe: BinaryIO) -> BinaryIO:
        file = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        shutil.copyfileobj(pipe, file)
        return file


def _unpacked(file: BinaryIO) -> BinaryIO:
    magic = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    return io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER_BYTES) if magic == _GZIP_MAGIC else file


def _bounded_lines(file: BinaryIO) -> Iterator[bytes]:
    for line in iter(partial(file.readline, MAX_LINE_BYTES), b""):
        yield line
        if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
            _skip_line(file)


def _skip_line(file: BinaryIO) -> None:
    for rest in iter(partial(file.readline, MAX_LINE_BYTES), b""):
        if rest.endswith(b"\n"):
            return
