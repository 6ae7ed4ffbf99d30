"""The demo's cast and its course: start everything, let the traffic run, stop everything, report."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import yaml
from msgspec import Struct
from prometheus_client import CollectorRegistry

from stream_app.adapters.campaign_topic import read_campaigns
from stream_app.adapters.decision_log import DecisionLogError
from stream_app.adapters.embedded_broker import EmbeddedBroker
from stream_app.adapters.topic_admin import create_topics, partition_counts
from stream_app.demo.console import running_console
from stream_app.demo.gateway import Gateway
from stream_app.demo.observers import ControlTopicWatch
from stream_app.demo.traffic import Traffic
from stream_app.demo.workers import DemoError, RunningWorker, starting_worker
from stream_app.detection.decisions import Action, Subject
from stream_app.limiter import ControlTopic, DecisionsTable, Limiter
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import Settings
from stream_app.topology import Stage, TopicName

#: After the last request the worker is given this long to catch up.
_FINISH_TIMEOUT_S = 30.0
_LOOK_S = 0.25


class Scene(NamedTuple):
    """Everything that is running, for whoever looks on; ``console`` is the address that signs one in there."""

    settings: Settings
    traffic: Traffic
    gateway: Gateway
    watch: ControlTopicWatch
    limiter: Limiter
    started_s: float
    console: str | None = None


class FoundCampaign(Struct, frozen=True):
    """A campaign as the demo's topics have it in the end.

    ``acted_on`` members are denied something. Where the traffic is made up, ``accounts`` is how many accounts the one
    campaign in it has, and ``outsiders`` how many members are none of them.
    """

    campaign_id: str
    kind: str
    status: str
    first_alert_time: str
    members: int
    acted_on: int
    accounts: int | None
    outsiders: int | None


class DemoResult(Struct, frozen=True):
    """What the demo prints with ``--json``.

    Latencies are from the Kafka timestamp of the causing record to a consumer's receipt of the decision, without those
    decisions that wait for a look at all tenants; ``noisy`` tells how long after its first offending request the noisy
    tenant was first denied.
    """

    events: int
    duration_s: float
    decisions: dict[str, int]
    latency_p50_s: float | None
    latency_p99_s: float | None
    limiter: dict[str, int]
    dead_letters: int
    subjects: list[dict[str, str]]
    noisy: dict[str, str | float | None]
    campaigns: list[FoundCampaign]


Narrate = Callable[[str], None]
Look = Callable[[Scene], None]
#: What is done when the last decision is there, before everything is stopped.
End = Callable[[Scene, DemoResult], None]


def run_demo(
    settings: Settings, traffic: Callable[[], Traffic], narrate: Narrate, look: Look, end: End | None = None
) -> DemoResult:
    """Run from an empty table to the last decision; ``look`` is called four times a second.

    ``settings.embedded`` decides on the broker; a real one gets the topics it lacks. With an ``end`` there is somebody
    to look on, and so a console. Raises ``DemoError``.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stillwatch-demo-")))
        settings = settings.model_copy(update={"data_dir": folder, "policy": _enforced_policy(folder)})
        narrate("starting the broker" if settings.embedded else f"creating topics on {settings.broker}")
        if settings.embedded:
            broker = stack.enter_context(EmbeddedBroker(partition_counts(settings)))
            settings = settings.model_copy(update={"broker": broker.bootstrap})
        else:
            create_topics(settings)
        narrate("starting two workers: one judges tenants, one looks for campaigns")
        workers = stack.enter_context(_workers(settings, folder))
        console = None
        if end is not None:
            narrate("starting the console")
            faces = [f"http://127.0.0.1:{worker.face.port}" for worker in workers]
            console = stack.enter_context(running_console(settings, folder, faces))
        scene = stack.enter_context(_cast(settings, traffic()))._replace(console=console)
        _play(scene, workers, look)
        result = _result(scene, workers)
        if end is not None:
            end(scene, result)
        return result


class Workers(NamedTuple):
    """One worker of each stage."""

    tenants: RunningWorker
    campaigns: RunningWorker


@contextmanager
def _workers(settings: Settings, folder: Path) -> Iterator[Workers]:
    of_campaigns = settings.model_copy(update={"stage": Stage.CAMPAIGNS, "data_dir": folder / "campaigns"})
    with (
        starting_worker(settings, folder / "worker.log") as tenants,
        starting_worker(of_campaigns, folder / "campaigns.log") as campaigns,
    ):
        tenants.wait_until_ready()
        campaigns.wait_until_ready()
        yield Workers(tenants, campaigns)


def _enforced_policy(folder: Path) -> Path:
    policy = yaml.safe_load(DEFAULT_POLICY.read_text()) | {"mode": "enforced", "version": "demo-1"}
    path = folder / "policy.yaml"
    path.write_text(yaml.safe_dump(policy))
    return path


@contextmanager
def _cast(settings: Settings, traffic: Traffic) -> Iterator[Scene]:
    limiter = Limiter(DecisionsTable(), CollectorRegistry())
    topic = settings.topic(TopicName.DECISIONS)
    operator_topic = settings.topic(TopicName.OPERATOR)
    control_topic = ControlTopic(limiter, broker=settings.broker, topic=topic, operator_topic=operator_topic)
    watch = ControlTopicWatch(settings.broker, topic, settings.partitions)
    gateway = Gateway(traffic, limiter, settings.broker, settings.topic(TopicName.REQUESTS))
    scene = Scene(settings, traffic, gateway, watch, limiter, time.monotonic())
    control_topic.start()
    watch.start()
    gateway.start()
    try:
        yield scene
    finally:
        gateway.stop()
        watch.stop()
        control_topic.stop()
        gateway.join(_FINISH_TIMEOUT_S)
        watch.join(_FINISH_TIMEOUT_S)


def _play(scene: Scene, workers: Workers, look: Look) -> None:
    gateway, worker = scene.gateway, workers.tenants
    last_progress_s = time.monotonic()
    while gateway.is_alive() or gateway.handled < gateway.sent:
        worker.check()
        workers.campaigns.check()
        if gateway.error:
            raise DemoError(f"the gateway cannot send: {gateway.error}")
        counts = worker.face.counts()
        if counts and counts.handled > gateway.handled:
            gateway.handled = counts.handled
            last_progress_s = time.monotonic()
        look(scene)
        waits_for_worker = gateway.handled < gateway.sent
        if waits_for_worker and time.monotonic() - last_progress_s > _FINISH_TIMEOUT_S:
            raise DemoError(
                f"the worker has stood still for {_FINISH_TIMEOUT_S:.0f} s:\n{worker.log.read_text()[-2000:]}"
            )
        time.sleep(_LOOK_S)
    _wait_for_campaigns(workers)
    time.sleep(1.0)  # the last decisions are on their way to the watch
    look(scene)


def _wait_for_campaigns(workers: Workers) -> None:
    """Until every signal sent so far has been looked at, or has had time enough."""
    deadline = time.monotonic() + _FINISH_TIMEOUT_S
    while time.monotonic() < deadline:
        workers.campaigns.check()
        sent, looked_at = workers.tenants.face.counts(), workers.campaigns.face.counts()
        if sent and looked_at and looked_at.handled >= sent.signals:
            return
        time.sleep(_LOOK_S)


def _result(scene: Scene, workers: Workers) -> DemoResult:
    gateway, seen = scene.gateway, list(scene.watch.seen)
    counts = workers.tenants.face.counts()
    decisions: dict[str, int] = {}
    worst: dict[str, str] = {}
    for decision, _ in seen:
        action = decision.action
        decisions[action.value] = decisions.get(action.value, 0) + 1
        if action.severity > Action(worst.get(decision.key, "allow")).severity:
            worst[decision.key] = action.value
    latencies = sorted(latency_s for decision, latency_s in seen if not decision.campaign_id)
    noisy = scene.traffic.noisy_tenant
    denied_s = gateway.first_denied_s.get(noisy or "")
    return DemoResult(
        events=gateway.handled,
        duration_s=round(time.monotonic() - scene.started_s, 3),
        decisions=decisions,
        latency_p50_s=_quantile(latencies, 0.5),
        latency_p99_s=_quantile(latencies, 0.99),
        limiter={"allowed": gateway.allowed, "denied": sum(gateway.denied.values())},
        dead_letters=counts.dead_letters if counts else 0,
        subjects=[{"subject": subject, "action": action} for subject, action in sorted(worst.items())],
        noisy={
            "subject": f"tenant:{noisy}" if noisy else None,
            "denied_after_s": round(denied_s - gateway.noisy_since_s, 3) if denied_s else None,
        },
        campaigns=_campaigns(scene, worst),
    )


def _campaigns(scene: Scene, worst: Mapping[str, str]) -> list[FoundCampaign]:
    try:
        found = read_campaigns(scene.settings)
    except DecisionLogError as error:
        raise DemoError(f"the campaigns cannot be read: {error}") from error
    denied = {key for key, action in worst.items() if Action(action).severity >= Action.THROTTLE.severity}
    operation = scene.traffic.operation
    campaigns = []
    for campaign in found:
        members = {member["tenant_id"] for member in campaign["members"]}
        campaigns.append(
            FoundCampaign(
                campaign["campaign_id"],
                campaign["kind"],
                campaign["status"],
                campaign["first_alert_time"],
                members=len(members),
                acted_on=sum(Subject(member).key in denied for member in members),
                accounts=None if operation is None else len(operation),
                outsiders=None if operation is None else len(members - operation),
            )
        )
    return campaigns


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(int(share * len(ordered)), len(ordered) - 1)], 3) if ordered else None
