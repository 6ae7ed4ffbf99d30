"""How soon a decision is obeyed at each gateway: ``python -m benchmarks.enforcement [--json FILE]``.

A real broker, the limiter as a process of its own, the real gateways on their shipped configurations. Timed from the
broker's acknowledgement of a decision, or of a tombstone, to the first answer that obeys it, asked every few
milliseconds at all gateways at once.
"""

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from statistics import quantiles

import orjson
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from stream_app.limiter import ControlTopic, DecisionsTable, Limiter, RequestFacts
from tests import brokers
from tests.integration.gateways import Answer, Ask, Stage, decision, eventually, get, provider_api

PREFIX = "enforcement"
#: A question costs more than this; below it gateways would be measured by their load.
STEP_S = 0.003
GIVE_UP_S = 30.0


def seconds_until(ask: Ask, tenant_id: str, status: int, since: float) -> float:
    while ask(tenant_id, "a1").status != status:
        assert time.perf_counter() - since < GIVE_UP_S, f"not {status} within {GIVE_UP_S} s"
        time.sleep(STEP_S)
    return time.perf_counter() - since


def in_process(broker: str, stack: ExitStack) -> Ask:
    """The library, in this process."""
    limiter = Limiter(DecisionsTable(), CollectorRegistry())
    topics = ControlTopic(
        limiter, broker=broker, topic=f"{PREFIX}.decisions.v1", operator_topic=f"{PREFIX}.operator.v1"
    )
    topics.start()
    stack.callback(topics.stop)
    eventually(lambda: limiter.fault(limiter.now_ms()) is None, "ready")
    return lambda tenant, account: Answer(200 if limiter.check(RequestFacts(tenant, account)).allowed else 429, {}, b"")


def ask_http(port: int) -> Ask:
    return lambda tenant, account: get(port, "/ext_authz/", {"x-tenant-id": tenant, "x-account-id": account})


def main() -> None:
    parser = argparse.ArgumentParser(description="How soon a decision is obeyed at each gateway.")
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with ExitStack() as stack:
        kafka = stack.enter_context(brokers.real_kafka())
        brokers.create_topics(kafka.bootstrap, {f"{PREFIX}.decisions.v1": 8, f"{PREFIX}.operator.v1": 1})
        stage = Stage(Path(stack.enter_context(tempfile.TemporaryDirectory())), kafka.bootstrap, PREFIX)
        api_port = stack.enter_context(provider_api())
        asks: dict[str, Ask] = {
            "haproxy": stack.enter_context(stage.haproxy(api_port)),
            "redis": stack.enter_context(stage.redis()),
            "nginx": stack.enter_context(stage.nginx(api_port)),
        }
        if which("envoy"):
            asks["envoy"] = stack.enter_context(stage.envoy(api_port))
        stage.start_limiter()
        stack.callback(stage.stop_limiter)
        asks = {"library": in_process(kafka.bootstrap, stack), "http": ask_http(stage.limiter_port), **asks}
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "acks": "all", "linger.ms": 0})
        pool = stack.enter_context(ThreadPoolExecutor(len(asks)))
        took: dict[str, dict[str, list[float]]] = {name: {"denied": [], "allowed": []} for name in asks}
        for number in range(given.trials):
            key, value = decision(f"tenant:t{number}")
            for what, status, record in (("denied", 429, value), ("allowed", 200, None)):
                producer.produce(f"{PREFIX}.decisions.v1", key=key, value=record)
                assert producer.flush(20) == 0
                since = time.perf_counter()
                jobs = {
                    name: pool.submit(seconds_until, ask, f"t{number}", status, since) for name, ask in asks.items()
                }
                for name, job in jobs.items():
                    took[name][what].append(job.result())
            print(f"{number + 1} of {given.trials}", end="\r", file=sys.stderr)
    show(took)
    if given.json:
        given.json.write_bytes(orjson.dumps(took))


def show(took: dict[str, dict[str, list[float]]]) -> None:
    """Median, 95th percentile and worst, in milliseconds."""

    def line(found: list[float]) -> str:
        cuts = quantiles(found, n=20)
        return "  ".join(f"{1000 * one:7.0f}" for one in (cuts[9], cuts[18], max(found)))

    print("ms from acknowledged to obeyed: p50, p95, worst; denied | allowed again")
    for name, found in took.items():
        print(f"{name:8} {line(found['denied'])} | {line(found['allowed'])}")


if __name__ == "__main__":
    main()
