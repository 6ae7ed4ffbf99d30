"""The demo's console: a process of its own, with a token for whoever looks on."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from getpass import getuser
from pathlib import Path

from stream_app.settings import Settings

#: It ends within its own three seconds; after this long it is killed.
_STOP_TIMEOUT_S = 10.0
#: It listens after two seconds; on a machine that does much else besides, after thirty.
_START_TIMEOUT_S = 60.0


@contextmanager
def running_console(settings: Settings, folder: Path, workers: list[str]) -> Iterator[str]:
    """Start ``stillwatch console`` on a free port; the address that signs one in, which answers from then on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_urlsafe(24)
    tokens = folder / "console-tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(f"admin {getuser()} {token}\n")
    changes = {"console_tokens_file": tokens, "console_workers": ",".join(workers)}
    given = settings.model_copy(update=changes).model_dump(exclude_none=True)
    with (folder / "console.log").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "stream_app", "console", "--port", str(port)],
            env=os.environ | {f"STILLWATCH_{name.upper()}": str(value) for name, value in given.items()},
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_listening(process, port)
        yield f"http://127.0.0.1:{port}/sign-in?token={token}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_listening(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Whoever is shown the address may follow it at once; one that has ended is not waited for."""
    until_s = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until_s:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
