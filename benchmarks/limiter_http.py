"""How fast a limiter answers gateways over HTTP: ``python -m benchmarks.limiter_http [--json FILE]``.

An open loop: questions leave at fixed times, 2,000 a second, whether or not earlier ones are answered, and each is
timed from the moment it was due. Beside the limiter, in turns: the same server answering a constant (the floor, which
shows what the machine and the load generator add), and any address given by ``--rival NAME=URL`` (``POST`` with the
body of ``--rival-body``). Servers run on one core, the generator on another, if there are two.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from prometheus_client import CollectorRegistry

from benchmarks.limiter import decision
from stream_app.limiter import ControlTopic, DecisionsTable, Limiter, create_http_app

ROWS = 100_000
CONNECTIONS = 64
#: A question that has had no answer by then is counted as lost.
GIVE_UP_S = 5.0


def serve(kind: str) -> None:
    """A server of our own process: a limiter with a full table, or the floor."""

    async def constant(_request: web.Request) -> web.Response:
        return web.Response(status=200, headers={"x-stillwatch-action": "allow", "x-stillwatch-reason": "no_decision"})

    if kind == "constant":
        app = web.Application()
        app.router.add_route("*", "/ext_authz/v1/chat", constant)
    else:
        table, registry = DecisionsTable(), CollectorRegistry()
        limiter = Limiter(table, registry)
        for number in range(ROWS):
            key = f"tenant:t{number}"
            table.apply(key.encode(), decision(key, "block"), limiter.now_ms())
        table.mark_complete(limiter.now_ms())
        topics = ControlTopic(limiter, broker="127.0.0.1:1", topic="none", operator_topic="none")
        app = create_http_app(limiter, topics, registry)
    asyncio.run(_serve(app))


async def _serve(app: web.Application) -> None:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await stopping.wait()
    await runner.cleanup()


class Connection(asyncio.Protocol):
    """One keep-alive connection; answers come in the order of questions, one at a time."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._due = 0.0
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._load.idle.append(self)

    def ask(self, question: bytes, due: float) -> None:
        self._due = due
        self._transport.write(question)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        wanted = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < wanted:
            return
        self._buffer = b""
        self._load.took_s.append(time.perf_counter() - self._due)
        self._load.statuses[head[9:12].decode()] = self._load.statuses.get(head[9:12].decode(), 0) + 1
        self._load.free(self)


class Load:
    """Questions at fixed times over a fixed set of connections; those that find none idle wait, and that counts."""

    def __init__(self, questions: list[bytes]) -> None:
        self.questions = questions
        self.took_s: list[float] = []
        self.statuses: dict[str, int] = {}
        self.idle: deque[Connection] = deque()
        self._waiting: deque[tuple[bytes, float]] = deque()

    def free(self, connection: Connection) -> None:
        if self._waiting:
            connection.ask(*self._waiting.popleft())
        else:
            self.idle.append(connection)

    async def run(self, port: int, rate: int, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        begin, asked, total = time.perf_counter() + 0.1, 0, int(rate * seconds)
        while asked < total:
            now = time.perf_counter()
            while asked < total and (due := begin + asked / rate) <= now:
                question = self.questions[asked % len(self.questions)]
                if self.idle:
                    self.idle.pop().ask(question, due)
                else:
                    self._waiting.append((question, due))
                asked += 1
            await asyncio.sleep(0.0005)
        deadline = time.perf_counter() + GIVE_UP_S
        while len(self.took_s) < total and time.perf_counter() < deadline:
            await asyncio.sleep(0.01)
        self.took_s += [GIVE_UP_S] * (total - len(self.took_s))


def ext_authz_questions() -> list[bytes]:
    """One in a hundred is blocked, as in a bad hour; seeded."""
    chance = random.Random(1)
    tenants = [
        f"t{chance.randrange(ROWS)}" if chance.random() < 0.01 else f"x{chance.randrange(ROWS)}" for _ in range(5000)
    ]
    return [
        f"GET /ext_authz/v1/chat HTTP/1.1\r\nhost: l\r\nx-tenant-id: {tenant}\r\nx-account-id: a1\r\n"
        "content-length: 0\r\n\r\n".encode()
        for tenant in tenants
    ]


def rival_questions(path: str, body: str) -> list[bytes]:
    """The same mix of tenants in the rival's own words: ``TENANT`` in the body is replaced."""
    questions = []
    for number in range(5000):
        text = body.replace("TENANT", f"x{number}")
        lines = (f"POST {path} HTTP/1.1", "host: l", "content-type: application/json", f"content-length: {len(text)}")
        questions.append("\r\n".join((*lines, "", text)).encode())
    return questions


def figures(load: Load, spent_s: float) -> dict[str, Any]:
    took = sorted(load.took_s)
    at = {name: round(took[min(len(took) - 1, int(len(took) * share))] * 1000, 2) for name, share in SHARES.items()}
    return {**at, "cpu_us": round(spent_s / len(took) * 1e6), "statuses": load.statuses}


SHARES = {"p50_ms": 0.50, "p90_ms": 0.90, "p99_ms": 0.99, "p999_ms": 0.999}


def go_first(pid: int) -> None:
    """Let a process's threads run before everybody else's, as if the machine were theirs."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.setpriority(os.PRIO_PROCESS, int(task.name), -20)
        with suppress(PermissionError):
            os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(1))


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(port: int, pid: int, questions: list[bytes], rate: int, seconds: float) -> dict[str, Any]:
    load = Load(questions)
    before = cpu_s(pid)
    asyncio.run(load.run(port, rate, seconds))
    return figures(load, cpu_s(pid) - before)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--serve", choices=("limiter", "constant"), help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rival", metavar="NAME=URL=PID")
    parser.add_argument("--rival-body", default="{}")
    parser.add_argument(
        "--first", action="store_true", help="Servers and generator go before everything else on a busy machine (root)."
    )
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    if given.serve:
        serve(given.serve)
        return
    cores = sorted(os.sched_getaffinity(0))
    running: list[subprocess.Popen[bytes]] = []
    targets: dict[str, tuple[int, int, list[bytes]]] = {}
    try:
        for kind in ("limiter", "constant"):
            command = [sys.executable, "-m", "benchmarks.limiter_http", "--serve", kind]
            server = subprocess.Popen(command, stdout=subprocess.PIPE)
            os.sched_setaffinity(server.pid, cores[:1])
            running.append(server)
            assert server.stdout is not None
            targets[kind] = (int(server.stdout.readline()), server.pid, ext_authz_questions())
        if given.rival:
            name, url, pid = given.rival.split("=")
            parts = urlsplit(url)
            os.sched_setaffinity(int(pid), cores[:1])
            targets[name] = (parts.port or 80, int(pid), rival_questions(parts.path, given.rival_body))
        os.sched_setaffinity(0, cores[-1:])
        if given.first:
            for pid in (os.getpid(), *(pid for _, pid, _ in targets.values())):
                go_first(pid)
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in targets}
        for number, (name, (port, pid, questions)) in product(range(given.rounds), targets.items()):
            rounds[name].append(measure(port, pid, questions, given.rate, given.seconds))
            print(f"round {number + 1} {name:10} {rounds[name][-1]}", file=sys.stderr, flush=True)
    finally:
        for server in running:
            server.send_signal(signal.SIGTERM)
            server.wait()
    print(f"{given.rate:,} questions a second, open loop, load average {os.getloadavg()[0]:.1f}")
    for name, found in rounds.items():
        middle = {key: median(one[key] for one in found) for key in (*SHARES, "cpu_us")}
        best = min(one["p99_ms"] for one in found)
        print(f"{name:10} median of {len(found)} rounds: {middle}, best p99 {best} ms")
    if given.json:
        given.json.write_bytes(orjson.dumps({"rate": given.rate, "rounds": rounds}, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    main()
