"""A network that misbehaves: toxiproxy between worker and broker."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import orjson

from tests import brokers
from tests.faults.clusters import Cluster

MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server"
VERSION = "v2.12.0"
PROGRAM = brokers.ROOT / ".cache" / "toxiproxy" / "server"
BUILD_TIMEOUT_S = 300
START_TIMEOUT_S = 10


class NoProxyError(Exception):
    """toxiproxy cannot be had here; the message says why in one line."""


class Proxy:
    """One proxied address; toxics hold for both directions until they are removed."""

    def __init__(self, control: str, listen: str, upstream: str) -> None:
        self._control = f"http://{control}/proxies"
        self._call("", {"name": "kafka", "listen": listen, "upstream": upstream, "enabled": True})

    @contextmanager
    def toxic(self, kind: str, **attributes: int) -> Iterator[None]:
        """Hurt what passes: ``latency`` (ms), ``bandwidth`` (rate, KB/s), ``reset_peer`` or ``timeout`` (ms)."""
        for stream in ("upstream", "downstream"):
            self._call("/kafka/toxics", {"name": stream, "type": kind, "stream": stream, "attributes": attributes})
        yield
        for stream in ("upstream", "downstream"):
            self._call(f"/kafka/toxics/{stream}", None, method="DELETE")

    def _call(self, path: str, body: dict[str, object] | None, method: str = "POST") -> None:
        content = None if body is None else orjson.dumps(body)
        request = Request(self._control + path, content, {"Content-Type": "application/json"}, method=method)  # noqa: S310
        urlopen(request, timeout=5).close()  # noqa: S310


@contextmanager
def running_proxy(cluster: Cluster) -> Iterator[Proxy]:
    """Start toxiproxy, built the first time, in front of a cluster of one. Raises ``NoProxyError``."""
    program = _program()
    (port,) = brokers._free_ports(1)
    command = [*brokers._dies_with_us(), str(program), "-host", "127.0.0.1", "-port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/version")
        yield Proxy(f"127.0.0.1:{port}", cluster.advertised, cluster.nodes[0].proxied_address)
    finally:
        process.kill()
        process.wait()


def _program() -> Path:
    if PROGRAM.exists():
        return PROGRAM
    if shutil.which("go") is None:
        raise NoProxyError("no go on this machine (Debian: golang-go), so no toxiproxy")
    environment = os.environ | {"GOBIN": str(PROGRAM.parent)}
    try:
        subprocess.run(
            ["go", "install", f"{MODULE}@{VERSION}"],
            env=environment,
            check=True,
            capture_output=True,
            timeout=BUILD_TIMEOUT_S,
        )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        raise NoProxyError(f"go could not build toxiproxy: {error}") from error
    return PROGRAM


def _wait_until_ready(address: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            urlopen(address, timeout=1).close()  # noqa: S310
        except URLError as error:
            if time.monotonic() > deadline:
                raise NoProxyError(f"toxiproxy did not start within {START_TIMEOUT_S} s") from error
            time.sleep(0.05)
        else:
            return
