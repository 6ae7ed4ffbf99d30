"""Composition root: the Faust application, its agent, its services and what they share."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, cast

import faust
from mode.types import ServiceT
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from stream_app.adapters.broker_watch import BrokerWatch
from stream_app.adapters.campaign_alerts import CampaignAlerts, alerts_of
from stream_app.adapters.instruction_logs import Parse
from stream_app.adapters.membership import OwnTables, committer, member_security, use_membership
from stream_app.adapters.outboxes import RecordsOf
from stream_app.adapters.ownership import Ownership
from stream_app.adapters.partitions import OnCampaigns
from stream_app.adapters.records import records_of
from stream_app.adapters.sources import Deliver
from stream_app.adapters.stop_deadline import set_stop_deadline
from stream_app.adapters.takeovers import NewDetector
from stream_app.adapters.web import WebFace
from stream_app.agents.requests import add_requests_agent
from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.campaigns.indicators import Exchange
from stream_app.detection.campaigns.repetitions import VerdictReader
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.detector import Detector
from stream_app.detection.operators import parse_operator
from stream_app.detection.policy import Policy
from stream_app.metrics import Metrics
from stream_app.settings import Settings
from stream_app.sharing.keys import load_exchange
from stream_app.signatures import load_signer
from stream_app.topology import Stage, TopicName

#: The broker's own least session timeout; a dead worker's partitions move after it. The embedded broker allows less.
SESSION_TIMEOUT_S, EMBEDDED_SESSION_TIMEOUT_S = 6.0, 2.0
#: Deliveries between the reader and the agent: one being applied, the next ready.
DELIVERIES_WAITING = 2


class WorkerParts(NamedTuple):
    """A Faust application and the services that live beside it."""

    app: faust.App
    services: list[ServiceT]


def read_exchange(settings: Settings) -> Exchange | None:
    """The key shared with partner providers, if there is one; raises ``KeyFileError``."""
    return load_exchange(settings.exchange_key_file) if settings.exchange_key_file else None


def detectors(settings: Settings, policy: Policy) -> NewDetector:
    """Makes the detector of a partition, by its number and encoded states."""

    topic = settings.topic(settings.stage_topics.source)
    exchange = read_exchange(settings)

    def new_detector(number: int, states: dict[str, bytes]) -> Detector | CampaignDetector:
        if settings.stage is Stage.CAMPAIGNS:
            return CampaignDetector(topic, number, policy, states, exchange)
        detector = Detector(topic, number, settings.partitions, policy, states)
        detector.has_campaigns = True
        return detector

    return new_detector


def effect_records(settings: Settings) -> RecordsOf:
    """Makes the records that perform an effect. Raises ``KeyFileError``."""
    signer = load_signer(settings.signing_key) if settings.signing_key else None
    return partial(records_of, source=f"/stillwatch/{settings.group}", historic=settings.historic, signer=signer)


def create_app(settings: Settings, new_detector: NewDetector, to_records: RecordsOf) -> WorkerParts:
    """Build the application; nothing connects before it is started."""
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    metrics = Metrics(registry)
    app = _faust_app(settings)
    deliveries = app.channel(maxsize=DELIVERIES_WAITING)
    copies = _table(app, settings).data
    alerts = CampaignAlerts(settings.alertmanager_url, metrics.campaigns) if settings.alertmanager_url else None
    ownership = Ownership(
        settings=settings,
        new_detector=new_detector,
        records_of=to_records,
        copies=copies,
        metrics=metrics,
        commit=committer(app, settings.topic(settings.stage_topics.source)),
        deliver=cast("Deliver", deliveries.put),
        instructions=_instructions(settings),
        crash=_crash_of(app),
        on_campaigns=_on_campaigns(metrics, alerts, settings.console_url),
    )
    use_membership(app, ownership.take_over)
    app.topics.add(app.topic(settings.topic(settings.stage_topics.source), acks=False))
    add_requests_agent(app, deliveries, ownership)
    _hand_over_on_leaving(app, ownership)
    logs = ownership.logs

    def why_not_ready() -> str | None:
        if behind := [log.topic for log in logs if not log.complete.is_set()]:
            return f"{', '.join(behind)} has not been read to its end"
        if app.rebalancing or not ownership.has_partitions:
            return "no partitions are assigned and recovered"
        return None

    web = WebFace(settings, registry, why_not_ready)
    told = [] if alerts is None else [alerts]
    return WorkerParts(app, [*logs, ownership, web, BrokerWatch(settings.broker), *told])


def _on_campaigns(metrics: Metrics, alerts: CampaignAlerts | None, console_url: str | None) -> OnCampaigns:
    def show(stage: CampaignStage | None) -> None:
        metrics.campaigns.show([] if stage is None else stage.campaigns)
        if alerts is not None and stage is None:
            alerts.forget()
        elif alerts is not None and stage is not None:
            alerts.tell(alerts_of(stage, console_url))

    return show


def _instructions(settings: Settings) -> dict[TopicName, Parse]:
    operator: dict[TopicName, Parse] = {TopicName.OPERATOR: parse_operator}
    return operator | {TopicName.VERDICTS: VerdictReader().parse} if settings.stage is Stage.TENANTS else operator


def _table(app: faust.App, settings: Settings) -> Any:
    changelog = app.topic(
        settings.topic(settings.stage_topics.state),
        key_serializer="raw",
        value_serializer="raw",
        partitions=settings.stage_partitions,
        compacting=True,
    )
    return app.Table(
        "tenant-state",
        partitions=settings.stage_partitions,
        changelog_topic=changelog,
        key_type=bytes,
        value_type=bytes,
    )


def _crash_of(app: faust.App) -> Callable[[Exception], None]:
    crashes: set[asyncio.Task[None]] = set()

    def crash(error: Exception) -> None:
        task = asyncio.get_running_loop().create_task(app.crash(error))
        crashes.add(task)

    return crash


def _hand_over_on_leaving(app: faust.App, ownership: Ownership) -> None:
    async def hand_over(*_: Any, **__: Any) -> None:
        await ownership.hand_over()

    async def stop(*_: Any, **__: Any) -> None:
        set_stop_deadline()
        await ownership.hand_over()

    app.on_partitions_revoked.connect(hand_over)
    app.on_before_shutdown.connect(stop)


def _faust_app(settings: Settings) -> faust.App:
    session_s = EMBEDDED_SESSION_TIMEOUT_S if settings.embedded else SESSION_TIMEOUT_S
    return faust.App(
        settings.stage_group,
        env={},  # only STILLWATCH_* configures us, not whatever Faust would find
        broker=[f"aiokafka://{server.strip()}" for server in settings.broker.split(",")],
        datadir=str(settings.data_dir.expanduser()),
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.stage_partitions,
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=session_s,
        broker_heartbeat_interval=session_s / 4,
        stream_wait_empty=False,
        table_standby_replicas=settings.standbys,
        TableManager=OwnTables,
        **member_security(settings),
    )
