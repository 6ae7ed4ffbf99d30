"""Campaigns as alerts: posted to Alertmanager's API as long as they go on."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import quote

import aiohttp
import numpy as np
import orjson
from mode import Service

from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.records import Campaign, Status
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.metrics import CampaignMetrics

_log = logging.getLogger(__name__)

#: Alertmanager ends an alert that nobody repeats; a restart of the worker, or its standby, takes less than that.
_REPOST_S, _ENDS_AFTER_S = 60.0, 600.0
_RETRY_S, _ANSWER_S = 5.0, 5.0
#: A campaign whose members have all been silent for so long (event time) is over, though it stays on the topic.
_SILENT_MS = 24 * 3_600_000
#: Output tokens taken by members that wake somebody up: ten thousand answers of a thousand are enough to train a
#: student on.
PAGE_TOKENS = 10_000_000

#: An alert is known by its labels; what is here beside them may change.
Labels = tuple[tuple[str, str], ...]
Annotations = dict[str, str]
Alerts = Mapping[Labels, Annotations]


class Taken(NamedTuple):
    """What members of a campaign have had: requests, output tokens, and when the last was active (event time)."""

    requests: int
    tokens: int
    last_ms: int


def alerts_of(stage: CampaignStage, console_url: str | None = None) -> Alerts:
    """The alerts of all confirmed campaigns that go on, by their labels; no tenant is named.

    With the console's address they lead to the campaign's page and its dossier, else they name the command.
    """
    profiles = stage.profiles
    newest_ms = int(profiles.last_ms[: len(profiles)].max(initial=0))
    found: dict[Labels, Annotations] = {}
    for campaign in stage.campaigns:
        taken = _taken(stage, campaign)
        if campaign.status is Status.CONFIRMED and taken.last_ms >= newest_ms - _SILENT_MS:
            found[_labels(campaign, taken)] = _annotations(campaign, taken, console_url)
    return found


def _taken(stage: CampaignStage, campaign: Campaign) -> Taken:
    profiles = stage.profiles
    rows = np.array([profiles.rows[name] for name in campaign.members if name in profiles.rows], np.int64)
    return Taken(
        int(profiles.requests[rows].sum()),
        int(profiles.tokens[rows].sum()),
        int(profiles.last_ms[rows].max(initial=0)),
    )


def _labels(campaign: Campaign, taken: Taken) -> Labels:
    is_theft = campaign.kind is CampaignKind.DISTILLATION and taken.tokens >= PAGE_TOKENS
    return (
        ("alertname", "CampaignDetected"),
        ("campaign_id", campaign.campaign_id),
        ("kind", campaign.kind.value),
        ("severity", "page" if is_theft else "ticket"),
        ("team", "trust"),
    )


def _annotations(campaign: Campaign, taken: Taken, console_url: str | None) -> Annotations:
    kind, name = campaign.kind.value.replace("_", " "), campaign.campaign_id
    links = {"dossier": f"stillwatch campaigns dossier {name}"}
    if console_url:
        page = f"{console_url.rstrip('/')}/campaign"
        links = {"console": f"{page}?id={quote(name)}", "dossier": f"{page}/dossier?id={quote(name)}&form=pdf"}
    return {
        "summary": f"{kind} campaign {name}: {len(campaign.members)} accounts, {taken.requests} requests, "
        f"{taken.tokens} tokens taken",
        "description": f"Confirmed with confidence {campaign.confidence}. Evidence in: {', '.join(campaign.proofs)}.",
        **links,
        "runbook_url": "docs/runbooks/CampaignDetected.md",
        "dashboard_url": "/d/stillwatch-campaigns",
    }


class CampaignAlerts(Service):
    """Keeps Alertmanager at ``url`` told of what ``tell`` was last given; a stage's tick never waits for it.

    Every alert is posted again each minute. One that is gone is posted once more as ended. What cannot be posted is
    tried again every five seconds, counted, and said once in the log. Memory: one entry a campaign.
    """

    def __init__(self, url: str, metrics: CampaignMetrics) -> None:
        super().__init__()
        self._address = f"{url.rstrip('/')}/api/v2/alerts"
        self._metrics = metrics
        self._alerts: dict[Labels, Annotations] = {}
        self._ended: dict[Labels, Annotations] = {}
        self._since: dict[Labels, datetime] = {}
        self._news = asyncio.Event()
        self._is_failing = False

    def tell(self, alerts: Alerts) -> None:
        """Hold these for the present alerts; returns at once."""
        gone = {labels: known for labels, known in self._alerts.items() if labels not in alerts}
        self._ended = {labels: known for labels, known in (self._ended | gone).items() if labels not in alerts}
        self._alerts = dict(alerts)
        now = datetime.now(UTC)
        self._since = {labels: self._since.get(labels, now) for labels in (*alerts, *self._ended)}
        self._news.set()

    def forget(self) -> None:
        """Another worker has the campaigns from now on: end nothing, and say nothing more."""
        self._alerts, self._ended = {}, {}

    @Service.task
    async def _post(self) -> None:
        while not self.should_stop:
            self._news.clear()
            pause_s = _REPOST_S if await self._post_all() else _RETRY_S
            try:
                await asyncio.wait_for(self._news.wait(), pause_s)
            except TimeoutError:
                continue

    async def _post_all(self) -> bool:
        """Post everything once; whether Alertmanager took it."""
        ended = self._ended
        now = datetime.now(UTC)
        body = posts_of(self._alerts, now + timedelta(seconds=_ENDS_AFTER_S), self._since)
        body += posts_of(ended, now, self._since)
        if not body:
            return True
        problem = await self._send(orjson.dumps(body))
        self._metrics.count_post(is_sent=problem is None)
        if problem is not None and not self._is_failing:
            _log.warning("campaigns cannot be posted to %s (%s); trying again", self._address, problem)
        self._is_failing = problem is not None
        if problem is None:
            self._ended = {labels: known for labels, known in self._ended.items() if labels not in ended}
        return problem is None

    async def _send(self, body: bytes) -> str | None:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(self._address, data=body, headers={"Content-Type": "application/json"}) as answer,
            ):
                return None if answer.status < 300 else f"status {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return str(error) or type(error).__name__


def posts_of(alerts: Alerts, end: datetime, since: Mapping[Labels, datetime]) -> list[dict[str, object]]:
    """Alerts as Alertmanager's API takes them; without a beginning it would take the end for it."""
    return [
        {
            "labels": dict(labels),
            "annotations": annotations,
            "startsAt": since[labels].isoformat(),
            "endsAt": end.isoformat(),
        }
        for labels, annotations in alerts.items()
    ]
