"""Decisions in a map of HAProxy, over its runtime API: no reload; and in the map's file, for its next start.

An entry is ``KEY ACTION|EXPIRY|WHO|REASON|DECISION|REQUESTS``: KEY as on the control topic, the expiry in Unix
seconds, WHO ``operator`` or ``detector``, and a throttle's requests a minute or nothing. The configuration compares
the expiry with its own clock. HAProxy 2.4 or newer.
"""

import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from stream_app.limiter.decisions_table import KnownDecision
from stream_app.limiter.mirrors import MirrorError

#: HAProxy takes one command with its payload up to its buffer of 16 kB.
COMMAND_BYTES = 12_000
TIMEOUT_S = 5.0


class HaproxyMap:
    """A ``Target`` of ``Mirror``. ``path`` is the map's file, as the configuration of HAProxy writes it."""

    name = "haproxy"

    def __init__(self, socket_path: str, path: str) -> None:
        """Makes an empty file if there is none: HAProxy does not start without. Raises ``OSError``."""
        self._socket_path = socket_path
        self._map = path
        self._path = Path(path)
        self._path.touch()
        self._entries: dict[str, str] = {}
        self._start: str | None = None

    def holds_ours(self) -> bool:
        """Whether it is still the process that was written to."""
        return self._started() == self._start

    def replace(self, decisions: Mapping[str, KnownDecision]) -> None:
        """A new version of the map is filled beside the old one, then takes its place at once."""
        self._entries = {key: entry(decision) for key, decision in decisions.items()}
        self._save()  # before anything is asked: HAProxy may be down, and then starts from the file
        start = self._started()
        told = self._tell(f"prepare map {self._map}")
        version = told.rpartition(":")[2].strip()
        if not version.isdigit():
            raise MirrorError(f"HAProxy says: {told.strip()}")
        for lines in _batches(f"{key} {value}\n" for key, value in self._entries.items()):
            self._order(f"add map @{version} {self._map} <<\n{lines}")
        self._order(f"commit map @{version} {self._map}")
        self._start = start

    def change(self, decisions: Mapping[str, KnownDecision | None]) -> None:
        """Each entry changes at once; one that is deleted or expired is taken out."""
        added = ""
        for key, decision in decisions.items():
            if decision is None:
                if self._entries.pop(key, None) is not None:
                    self._order(f"del map {self._map} {key}")
            elif key in self._entries:
                self._entries[key] = entry(decision)
                self._order(f"set map {self._map} {key} {self._entries[key]}")
            else:
                self._entries[key] = entry(decision)
                added += f"{key} {self._entries[key]}\n"
        for lines in _batches(added.splitlines(keepends=True)):
            self._order(f"add map {self._map} <<\n{lines}")
        self._save()

    def _save(self) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        try:
            new.write_text("".join(f"{key} {value}\n" for key, value in self._entries.items()))
            new.replace(self._path)
        except OSError as error:
            raise MirrorError(f"{self._path}: {error.strerror}") from error

    def _started(self) -> str:
        """What no two processes share, not even in a container, where each is number 1."""
        lines = self._tell("show info").splitlines()
        return " ".join(line for line in lines if line.startswith(("Pid:", "Start_time_sec:")))

    def _order(self, command: str) -> None:
        told = self._tell(command).strip()
        if told:
            raise MirrorError(f"HAProxy says: {told}")

    def _tell(self, command: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(TIMEOUT_S)
                connection.connect(self._socket_path)
                connection.sendall(f"{command}\n".encode())
                connection.shutdown(socket.SHUT_WR)
                return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()
        except OSError as error:
            raise MirrorError(f"{self._socket_path}: {error.strerror or error}") from error


def entry(decision: KnownDecision) -> str:
    """A map's value; a text of a record's is percent-encoded, so that none ends a command or a field."""
    requests = decision.throttle.requests
    parts = (
        decision.action,
        str(-(-decision.expires_ms // 1000)),
        "operator" if decision.is_operators else "detector",
        quote(decision.reason_code, safe=":"),
        quote(decision.decision_id, safe=":"),
        str(requests.per_minute) if requests else "",
    )
    return "|".join(parts)


def _batches(lines: Iterable[str]) -> Iterable[str]:
    batch: list[str] = []
    size = 0
    for line in lines:
        if size + len(line) > COMMAND_BYTES:
            yield "".join(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield "".join(batch)
