"""Real gateways on the shipped examples, in front of a stand-in for the provider's API."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
from redis import ConnectionError as RedisConnectionError
from redis import Redis

from stream_app.detection.decisions import account_subject
from tests.operations.programs import DEPLOY, needed

DEADLINE_S = 30
EXAMPLES = DEPLOY / "gateways"


class Answer(NamedTuple):
    """What a client is told; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


#: Asks a gateway for a tenant and one of its accounts, with headers besides.
Ask = Callable[..., Answer]


def eventually(is_so: Callable[[], bool], what: str = "so") -> None:
    """Wait until something is so; fails when it never is."""
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not {what} within {DEADLINE_S} s"
        time.sleep(0.05)


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def get(port: int, path: str, headers: Mapping[str, str]) -> Answer:
    """One request of its own connection."""
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path, headers=dict(headers))
        response: HTTPResponse = connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()


def example(name: str, folder: Path, changes: Mapping[str, str]) -> Path:
    """A shipped example with this machine's addresses and paths in place of its own; nothing else changes."""
    text = (EXAMPLES / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} has no {old}"
        text = text.replace(old, new)
    path = folder / Path(name).name
    path.write_text(text)
    return path


@contextmanager
def process(*words: str | Path, env: Mapping[str, str] | None = None, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program of our own, ended when done with."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            [str(word) for word in words], stdout=output, stderr=output, env={**os.environ, **(env or {})}
        )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


class _Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer as a provider would, or forbid by itself."""
        status = 403 if self.path == "/forbidden" else 200
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def provider_api() -> Iterator[int]:
    """The API behind the gateways; yields its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Api)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


class Stage:
    """A limiter's process, which a test may end and start again, and the gateways that obey it."""

    def __init__(self, folder: Path, broker: str, prefix: str) -> None:
        self.folder = folder
        self.limiter_port = free_port()
        self.haproxy_socket, self.haproxy_map = folder / "haproxy.sock", folder / "decisions.map"
        self.redis_port, self._haproxy_port = free_port(), free_port()
        self._environment = {"STILLWATCH_BROKER": broker, "STILLWATCH_TOPIC_PREFIX": prefix}
        self._limiter, self._redis_process, self._haproxy_process = ExitStack(), ExitStack(), ExitStack()

    def start_limiter(self) -> None:
        """Returns once its table is complete."""
        self._limiter.enter_context(
            process(
                *(sys.executable, "-m", "stream_app", "limiter", "--port", str(self.limiter_port)),
                *("--haproxy-socket", self.haproxy_socket, "--haproxy-map", self.haproxy_map),
                *("--redis", f"redis://127.0.0.1:{self.redis_port}"),
                env=self._environment,
                log=self.folder / "limiter.log",
            )
        )
        eventually(lambda: answers(self.limiter_port, "/ready"), "ready")

    def stop_limiter(self) -> None:
        """End it; what it has told gateways stays with them."""
        self._limiter.close()

    @contextmanager
    def nginx(self, api_port: int) -> Iterator[Ask]:
        """By auth_request."""
        port = free_port()
        changes = {"127.0.0.1:8080": f"127.0.0.1:{port}", ":8088": f":{self.limiter_port}", ":9000": f":{api_port}"}
        site = example("nginx/stillwatch.conf", self.folder, changes)
        main = self.folder / "nginx.conf"
        main.write_text(
            f"daemon off; master_process off; pid {self.folder}/nginx.pid; error_log {self.folder}/nginx.log;"
            f"events {{}} http {{ access_log off; client_body_temp_path {self.folder}/t1; proxy_temp_path"
            f" {self.folder}/t2; fastcgi_temp_path {self.folder}/t3; uwsgi_temp_path {self.folder}/t4;"
            f" scgi_temp_path {self.folder}/t5; include {site}; }}\n"
        )
        words = (needed("nginx"), "-p", self.folder, "-c", main, "-e", self.folder / "nginx.log")
        with process(*words, log=self.folder / "nginx.out"):
            yield from asking(port)

    @contextmanager
    def envoy(self, api_port: int) -> Iterator[Ask]:
        """By ext_authz."""
        port = free_port()
        changes = {"8080}": f"{port}}}", "8088}": f"{self.limiter_port}}}", "9000}": f"{api_port}}}"}
        config = example("envoy/stillwatch.yaml", self.folder, changes)
        words = (needed("envoy"), "-c", config, "--concurrency", "1", "--use-dynamic-base-id")
        with process(*words, log=self.folder / "envoy.log"):
            yield from asking(port)

    @contextmanager
    def haproxy(self, api_port: int) -> Iterator[Ask]:
        """By a map."""
        changes = {
            "127.0.0.1:8080": f"127.0.0.1:{self._haproxy_port}",
            ":9000": f":{api_port}",
            "/run/stillwatch/haproxy.sock": str(self.haproxy_socket),
            "/run/stillwatch/decisions.map": str(self.haproxy_map),
        }
        example("haproxy/stillwatch.cfg", self.folder, changes)
        self.haproxy_map.touch()
        with ExitStack() as self._haproxy_process:
            self.restart_haproxy()
            yield from asking(self._haproxy_port)

    def restart_haproxy(self) -> None:
        """End it, if it runs, and start it with the map's file as it is."""
        self._haproxy_process.close()
        words = (needed("haproxy"), "-db", "-f", self.folder / "stillwatch.cfg")
        self._haproxy_process.enter_context(process(*words, log=self.folder / "haproxy.log"))
        eventually(lambda: answers(self._haproxy_port, "/"), "answering")

    @contextmanager
    def redis(self) -> Iterator[Ask]:
        """By the shipped script, which a gateway would call."""
        with self.redis_client() as client, ExitStack() as self._redis_process:
            self.restart_redis()
            script = client.register_script((EXAMPLES / "redis" / "check.lua").read_text())

            def ask(tenant_id: str, account_id: str) -> Answer:
                subjects = (f"tenant:{quote(tenant_id)}", f"account:{account_subject(tenant_id, account_id)}")
                found: Any = script(keys=[f"stillwatch:decision:{subject}" for subject in subjects])
                status, wait_s, reason, decision_id = found
                told = {"x-stillwatch-reason": reason, "x-stillwatch-decision-id": decision_id}
                return Answer(status, told if status == 200 else told | {"retry-after": str(wait_s)}, b"")

            yield ask

    def restart_redis(self) -> None:
        """End it, if it runs, and start it with nothing in it."""
        self._redis_process.close()
        words = (needed("redis-server"), "--port", str(self.redis_port), "--bind", "127.0.0.1", "--save", "")
        self._redis_process.enter_context(process(*words, "--dir", self.folder, log=self.folder / "redis.log"))
        with self.redis_client() as client:
            eventually(lambda: _pings(client), "answering")

    def redis_client(self) -> Redis:
        """A client of the same server."""
        return Redis(port=self.redis_port, decode_responses=True)


def asking(port: int) -> Iterator[Ask]:
    """Asks at a port, once somebody answers there."""
    eventually(lambda: answers(port, "/"), "answering")
    yield lambda tenant, account, **headers: get(
        port, "/v1/chat", {"x-tenant-id": tenant, "x-account-id": account, **headers}
    )


def answers(port: int, path: str) -> bool:
    """Whether there is a 200 at a path; False without anybody."""
    try:
        return get(port, path, {}).status == 200
    except OSError:
        return False


def _pings(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisConnectionError:
        return False


def decision(key: str, action: str = "block", *, lasts_s: float = 3600, **changes: Any) -> tuple[bytes, bytes]:
    """A record of the control topic."""
    scope, _, subject = key.partition(":")
    subject = quote(subject, safe="/" if scope == "account" else "")
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lasts_s))
    fields = {
        "decision_id": f"d-{subject.replace('/', '-')}",
        "scope": scope,
        "subject": subject,
        "action": action,
        "simulated": False,
        "origin": "detector",
        "reasons": [{"code": "requests_surge"}],
        "expires_at": ends,
        "revision": 1,
    }
    return f"{scope}:{subject}".encode(), orjson.dumps(fields | changes)
