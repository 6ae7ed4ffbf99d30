"""Campaigns as alerts: which, with which labels, and that they reach Alertmanager whatever it does meanwhile."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from stream_app.adapters import campaign_alerts
from stream_app.adapters.campaign_alerts import PAGE_TOKENS, CampaignAlerts, alerts_of
from stream_app.detection.campaigns.confirmation import CampaignKind
from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.records import Campaign, Member, Status
from stream_app.detection.campaigns.roles import Role
from stream_app.detection.campaigns.stage import CampaignStage
from stream_app.detection.signals import Profile, Signal
from stream_app.metrics import CampaignMetrics

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
Labels = dict[str, str]


def stage(*members: str, tokens: int = 10_000, ages_h: float = 0, **changes: Any) -> CampaignStage:
    """A stage with one confirmed distillation of these members, whose last signals are so old."""
    made = CampaignStage()
    for name in ("somebody", *members):
        end_ms = 10 * DAY_MS - round(ages_h * HOUR_MS) * (name != "somebody")
        made.profiles.add(Signal(name, 0, 1, end_ms, 10, Profile(tokens=tokens)))
    people = {name: Member(name, 0.99, Role.MEMBER, 0, {}) for name in members}
    pool, kind, status = Pool(np.zeros(0)), CampaignKind.DISTILLATION, Status.CONFIRMED
    plain = Campaign("c-1", 0, pool, kind, status, is_listed=True, members=people)
    made.memory.campaigns.append(replace(plain, **changes))
    return made


def labels_of(made: CampaignStage) -> list[Labels]:
    return [dict(labels) for labels in alerts_of(made)]


def test_a_confirmed_campaign_is_one_alert_however_many_its_members() -> None:
    [found] = alerts_of(stage(*(f"t{number}" for number in range(1_000)))).items()
    labels, annotations = dict(found[0]), found[1]
    assert labels == {
        "alertname": "CampaignDetected",
        "campaign_id": "c-1",
        "kind": "distillation",
        "severity": "page",
        "team": "trust",
    }
    assert annotations["summary"] == "distillation campaign c-1: 1000 accounts, 10000 requests, 10000000 tokens taken"
    assert annotations["dossier"] == "stillwatch campaigns dossier c-1"
    assert "t1" not in str(found).replace("c-1", "")


def test_where_there_is_a_console_an_alert_leads_to_the_campaign_and_its_dossier() -> None:
    [annotations] = alerts_of(stage("a"), "https://console.example/").values()
    assert annotations["console"] == "https://console.example/campaign?id=c-1"
    assert annotations["dossier"] == "https://console.example/campaign/dossier?id=c-1&form=pdf"


@pytest.mark.parametrize(
    ("tokens", "kind", "severity"),
    [
        (PAGE_TOKENS, CampaignKind.DISTILLATION, "page"),
        (PAGE_TOKENS - 1, CampaignKind.DISTILLATION, "ticket"),
        (PAGE_TOKENS, CampaignKind.ACCOUNT_NETWORK, "ticket"),
    ],
)
def test_only_a_large_theft_wakes_somebody_up(tokens: int, kind: CampaignKind, severity: str) -> None:
    assert labels_of(stage("a", tokens=tokens, kind=kind))[0]["severity"] == severity


@pytest.mark.parametrize(
    "changes",
    [{"status": Status.CANDIDATE}, {"status": Status.RETRACTED}, {"is_listed": False}, {"ages_h": 25}, {"members": {}}],
)
def test_what_is_not_certain_or_is_over_is_no_alert(changes: dict[str, Any]) -> None:
    made = stage("a") if "members" in changes else stage("a", **changes)
    if "members" in changes:
        made.memory.campaigns[0].members = {}
    assert labels_of(made) == []


def test_a_campaign_silent_for_less_than_a_day_goes_on() -> None:
    assert len(labels_of(stage("a", ages_h=23))) == 1


class Desk:
    """Alertmanager's end of the wire: keeps what is posted, and answers with what ``answers`` hold, then 200."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.posts: asyncio.Queue[list[dict[str, Any]]] = asyncio.Queue()
        self.registry = CollectorRegistry()

    async def take(self, request: web.Request) -> web.Response:
        await self.posts.put(await request.json())
        return web.Response(status=self.answers.pop(0) if self.answers else 200)

    def run(self, scene: Callable[[CampaignAlerts], Awaitable[None]]) -> None:
        asyncio.run(self._run(scene))

    async def _run(self, scene: Callable[[CampaignAlerts], Awaitable[None]]) -> None:
        site = web.Application()
        site.add_routes([web.post("/api/v2/alerts", self.take)])
        runner = web.AppRunner(site)
        await runner.setup()
        server = web.TCPSite(runner, "127.0.0.1", 0)
        await server.start()
        port = runner.addresses[0][1]
        alerts = CampaignAlerts(f"http://127.0.0.1:{port}/", CampaignMetrics(self.registry))
        await alerts.start()
        async with asyncio.timeout(20):
            await scene(alerts)
        await alerts.stop()
        await runner.cleanup()

    def count(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("stillwatch_alert_posts_total", {"outcome": outcome})


def test_a_campaign_is_posted_when_it_comes_and_when_it_goes() -> None:
    desk = Desk()

    async def scene(alerts: CampaignAlerts) -> None:
        alerts.tell(alerts_of(stage("a")))
        [first] = await desk.posts.get()
        begin, end = (datetime.fromisoformat(first[name]) for name in ("startsAt", "endsAt"))
        assert begin <= datetime.now(UTC) < end
        alerts.tell({})
        [last] = await desk.posts.get()
        assert (last["labels"], last["startsAt"]) == (first["labels"], first["startsAt"])
        assert datetime.fromisoformat(last["endsAt"]) <= datetime.now(UTC)

    desk.run(scene)
    assert desk.posts.empty()


def test_a_campaign_that_becomes_a_page_ends_its_ticket() -> None:
    desk = Desk()

    async def scene(alerts: CampaignAlerts) -> None:
        alerts.tell(alerts_of(stage("a")))
        await desk.posts.get()
        alerts.tell(alerts_of(stage("a", tokens=PAGE_TOKENS)))
        page, ticket = await desk.posts.get()
        assert (page["labels"]["severity"], ticket["labels"]["severity"]) == ("page", "ticket")
        assert ticket["endsAt"] < page["endsAt"]

    desk.run(scene)


def test_what_is_not_taken_is_tried_again_counted_and_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(campaign_alerts, "_RETRY_S", 0.01)
    desk = Desk(500, 503)

    async def scene(alerts: CampaignAlerts) -> None:
        alerts.tell(alerts_of(stage("a")))
        posts = [await desk.posts.get() for _ in range(3)]
        assert len({post[0]["labels"]["campaign_id"] for post in posts}) == 1
        while not desk.count("sent"):
            await asyncio.sleep(0)

    with caplog.at_level(logging.WARNING):
        desk.run(scene)
    assert (desk.count("failed"), desk.count("sent")) == (2, 1)
    [line] = [one.getMessage() for one in caplog.records if "campaigns" in one.getMessage()]
    assert "(status 500)" in line


def test_who_no_longer_has_the_campaigns_ends_none() -> None:
    desk = Desk()

    async def scene(alerts: CampaignAlerts) -> None:
        alerts.tell(alerts_of(stage("a")))
        await desk.posts.get()
        alerts.forget()
        alerts.tell({})

    desk.run(scene)
    assert desk.posts.empty()
