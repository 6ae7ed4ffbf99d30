"""Prometheus and Alertmanager as processes of our own, on the shipped rules and routes with shorter intervals."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import quote
from urllib.request import Request, urlopen

import yaml

from stream_app.settings import Settings
from tests import brokers
from tests.operations.programs import DEPLOY, RULES, needed

#: How much shorter than shipped the intervals of a test are: a scrape and an evaluation each second, which even a busy
#: worker can answer, and groups of alerts told within six.
FACTOR, TELLING_FACTOR = 5, 10
TIMEOUT_S = 60  # for anything to happen, on a machine that is busy with other tests
_UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_INTERVALS = {"group_wait", "group_interval", "repeat_interval", "scrape_interval", "scrape_timeout", "for"} | {
    "evaluation_interval"
}


class Note(NamedTuple):
    """What a receiver was told, and when (monotonic)."""

    at_s: float
    receiver: str
    status: str
    alerts: list[dict[str, Any]]

    @property
    def name(self) -> str:
        """Name of its alerts, which are grouped by it."""
        return str(self.alerts[0]["labels"]["alertname"])


def shorter(value: Any, factor: float) -> Any:
    """A configuration with every interval so many times shorter; ranges in expressions stay."""
    if isinstance(value, list):
        return [shorter(one, factor) for one in value]
    if isinstance(value, dict):
        return {
            key: _shorter_text(one, factor) if key in _INTERVALS else shorter(one, factor) for key, one in value.items()
        }
    return value


def _shorter_text(text: str, factor: float) -> str:
    found = re.fullmatch(r"(\d+)([a-z]+)", text)
    assert found, text
    number, unit = found.groups()
    return f"{max(round(int(number) * _UNITS_S[unit] / factor * 1000), 1)}ms"


class Receivers:
    """A web server that stands for PagerDuty, Slack and the ticket system, and keeps what they are told."""

    def __init__(self) -> None:
        notes: list[Note] = []

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                notes.append(Note(time.monotonic(), self.path.strip("/"), told["status"], told["alerts"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.notes = notes
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def told(self, receiver: str, name: str, status: str = "firing") -> list[Note]:
        """Notes of one alert to one receiver."""
        return [note for note in list(self.notes) if note[1:3] == (receiver, status) and note.name == name]

    def wait_for(self, receiver: str, name: str, status: str = "firing", timeout_s: float = TIMEOUT_S) -> Note:
        """The first such note. Raises ``TimeoutError``."""
        wait_until(lambda: bool(self.told(receiver, name, status)), f"no {status} {name} for {receiver}", timeout_s)
        return self.told(receiver, name, status)[0]


def wait_until(holds: Any, complaint: str, timeout_s: float = TIMEOUT_S) -> None:
    """Return once ``holds()``. Raises ``TimeoutError`` with the complaint."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.05)


@contextmanager
def receivers() -> Iterator[Receivers]:
    """Receivers that listen."""
    made = Receivers()
    yield made
    made.close()


@contextmanager
def alertmanager(folder: Path, address: str, factor: float = TELLING_FACTOR) -> Iterator[str]:
    """An Alertmanager with the shipped routes, whose receivers are paths of ``address``; its own address."""
    config = shorter(yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text()), factor)
    config["receivers"] = [
        {"name": one["name"], "webhook_configs": [{"url": f"{address}/{one['name']}"}]} for one in config["receivers"]
    ]
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    port = brokers._free_ports(1)[0]
    words = [f"--config.file={path}", f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address="]
    command = [needed("prometheus-alertmanager"), *words, f"--web.listen-address=127.0.0.1:{port}"]
    with _running(command, folder / "alertmanager.log", port):
        yield f"http://127.0.0.1:{port}"


class Prometheus(NamedTuple):
    """A running Prometheus."""

    address: str

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query; fails with Prometheus' word when it is none."""
        with urlopen(f"{self.address}/api/v1/query?query={quote(query)}", timeout=10) as answer:  # noqa: S310
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def exemplars(self, query: str) -> list[dict[str, str]]:
        """Labels of all exemplars of the last hour."""
        now_s = time.time()
        address = f"{self.address}/api/v1/query_exemplars?query={quote(query)}&start={now_s - 3600}&end={now_s}"
        with urlopen(address, timeout=10) as answer:  # noqa: S310
            found = json.load(answer)["data"]
        return [one["labels"] for series in found for one in series["exemplars"]]

    def has(self, query: str) -> bool:
        """Whether a query brings anything."""
        return bool(self.ask(query))


@contextmanager
def prometheus(
    folder: Path, ports: Mapping[str, Sequence[int]], alertmanager_address: str, factor: float = FACTOR
) -> Iterator[Prometheus]:
    """A Prometheus with the shipped rules, which scrapes ports of this machine by job."""
    config = shorter(yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text()), factor)
    for job in config["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in ports.get(job["job_name"], ())]}]
    peer = alertmanager_address.removeprefix("http://")
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [peer]}]}]
    config["rule_files"] = []
    for rules in RULES:
        own = folder / rules.name
        own.write_text(yaml.safe_dump(shorter(yaml.safe_load(rules.read_text()), factor)))
        config["rule_files"].append(str(own))
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    port = brokers._free_ports(1)[0]
    words = [f"--config.file={path}", f"--storage.tsdb.path={folder / 'prometheus'}", "--log.level=warn"]
    words += ["--enable-feature=exemplar-storage", f"--web.listen-address=127.0.0.1:{port}"]
    with _running([needed("prometheus"), *words], folder / "prometheus.log", port):
        yield Prometheus(f"http://127.0.0.1:{port}")


@contextmanager
def limiter(settings: Settings, folder: Path) -> Iterator[int]:
    """A limiter of this deployment; its port."""
    port = brokers._free_ports(1)[0]
    given = {"STILLWATCH_BROKER": settings.broker, "STILLWATCH_TOPIC_PREFIX": settings.topic_prefix}
    command = [sys.executable, "-m", "stream_app", "limiter", "--port", str(port)]
    with _running(command, folder / "limiter.log", port, "/health", given):
        yield port


@contextmanager
def _running(
    command: Sequence[str], log: Path, port: int, path: str = "/-/ready", given: Mapping[str, str] | None = None
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*brokers._dies_with_us(), *command], stdout=output, stderr=output, env=os.environ | dict(given or {})
        )
    try:
        wait_until(lambda: process.poll() is not None or _answers(port, path), f"{command[0]} does not begin")
        assert process.poll() is None, log.read_text()[-2000:]
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)


def _answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            pass
        with urlopen(Request(f"http://127.0.0.1:{port}{path}"), timeout=2):
            return True
    except OSError:
        return False
