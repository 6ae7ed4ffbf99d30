"""Minutes with a campaign, a runaway tenant, bad input and a worker that leaves, and pictures of the dashboards."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

import yaml
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry
from rich.console import Console

from stream_app.adapters.topic_admin import create_topics
from stream_app.demo.gateway import Gateway
from stream_app.demo.traffic import made_up_traffic
from stream_app.demo.workers import RunningWorker, starting_worker
from stream_app.limiter import ControlTopic, DecisionsTable, Limiter
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import Settings
from stream_app.topology import Stage, TopicName
from tests.brokers import real_kafka
from tests.operations.pictures import draw_dashboards
from tests.operations.stack import alertmanager, limiter, prometheus, receivers
from tests.operations.test_dashboards import DASHBOARDS, dashboards

SEED = 7
LIVE_S = 240.0
#: Into the run: when bad input comes, when one of the two workers leaves, and when a person lets somebody pass.
BAD_INPUT_S, LEAVES_S, ALLOWED_S = 60, 120, 180
AFTERWARDS_S = 30  # until the last decisions are scraped
PARTITIONS = 4


def prepared(broker: str, folder: Path) -> Settings:
    """Settings of a deployment whose topics exist and whose policy is enforced."""
    policy = yaml.safe_load(DEFAULT_POLICY.read_text()) | {"mode": "enforced", "version": "pictures-1"}
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    own = {"topic_prefix": "pictures", "group": "pictures", "partitions": PARTITIONS, "policy": folder / "policy.yaml"}
    settings = Settings.model_validate({"broker": broker, "data_dir": folder, **own})
    create_topics(settings)
    return settings


def play(settings: Settings, workers: list[RunningWorker], limiter_port: int) -> None:
    """Let three hours of the past be caught up with, then minutes go by as they are."""
    obeyed = Limiter(DecisionsTable(), CollectorRegistry())
    control_topic = ControlTopic(
        obeyed,
        broker=settings.broker,
        topic=settings.topic(TopicName.DECISIONS),
        operator_topic=settings.topic(TopicName.OPERATOR),
    )
    traffic = made_up_traffic(SEED, LIVE_S)
    gateway = Gateway(traffic, obeyed, settings.broker, settings.topic(TopicName.REQUESTS))
    over = Event()
    asking = Thread(target=ask, args=(limiter_port, traffic.noisy_tenant, over), daemon=True)
    for thread in (control_topic, gateway, asking):
        thread.start()
    begin_s = time.monotonic()
    todo: list[tuple[float, Callable[[], None]]] = [
        (BAD_INPUT_S, lambda: send_bad_input(settings)),
        (LEAVES_S, workers[1].process.terminate),
        (ALLOWED_S, lambda: allow(settings)),
    ]
    handled = [0] * len(workers)
    while gateway.is_alive():
        for number, worker in enumerate(workers):
            if counts := worker.face.counts():
                handled[number] = counts.handled
        gateway.handled = max(gateway.handled, sum(handled))
        while todo and time.monotonic() - begin_s > todo[0][0]:
            todo.pop(0)[1]()
        time.sleep(0.25)
    time.sleep(AFTERWARDS_S)
    over.set()
    control_topic.stop()


def send_bad_input(settings: Settings) -> None:
    """What is no event."""
    producer = Producer({"bootstrap.servers": settings.broker, "log_level": 0})
    for number in range(200):
        producer.produce(settings.topic(TopicName.REQUESTS), b"{", key=b"broken", partition=number % PARTITIONS)
    producer.flush(20)


def allow(settings: Settings) -> None:
    """Somebody's word that a tenant may pass."""
    words = [sys.executable, "-m", "stream_app", "allow", "tenant:somebody", "--for", "1h", "--reason", "a load test"]
    given = {"STILLWATCH_BROKER": settings.broker, "STILLWATCH_TOPIC_PREFIX": settings.topic_prefix}
    subprocess.run(words, check=True, env=os.environ | given, stdout=subprocess.DEVNULL)


def ask(port: int, tenant_id: str | None, over: Event) -> None:
    """Ask the limiter as a gateway does, of the tenant that will run away and of one that nobody knows."""
    while not over.wait(0.1):
        for tenant in (tenant_id, "somebody"):
            try:
                urlopen(f"http://127.0.0.1:{port}/check?tenant_id={tenant}&account_id={tenant}-a0", timeout=5).close()
            except OSError:  # 429 is an answer, too
                continue


def main() -> None:
    """Run it and write the pictures."""
    told = Console(stderr=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stillwatch-pictures-")))
        settings = prepared(stack.enter_context(real_kafka()).bootstrap, folder)
        manager = stack.enter_context(alertmanager(folder, stack.enter_context(receivers()).address))
        stage = {"stage": Stage.CAMPAIGNS, "alertmanager_url": manager, "data_dir": folder / "campaigns"}
        campaigns = stack.enter_context(starting_worker(settings.model_copy(update=stage), folder / "campaigns.log"))
        workers = [
            stack.enter_context(starting_worker(settings, folder / f"worker{number}.log")) for number in range(2)
        ]
        for worker in (campaigns, *workers):
            worker.wait_until_ready()
        port = stack.enter_context(limiter(settings, folder))
        ports = {"worker": [one.face.port for one in workers], "campaigns": [campaigns.face.port], "limiter": [port]}
        by_job = {f"stillwatch-{job}": found for job, found in ports.items()}
        watching = stack.enter_context(prometheus(folder, by_job, manager))
        begin_s = time.time()
        with told.status(f"a run of {LIVE_S / 60:.0f} minutes"):
            play(settings, workers, port)
        with told.status("drawing"):
            draw_dashboards([dashboards.model_of(one) for one in DASHBOARDS], watching, begin_s, time.time())


if __name__ == "__main__":
    main()
