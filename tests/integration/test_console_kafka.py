"""The console against a broker: it shows what is on the topics, and writes what people order."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, CookieJar
from confluent_kafka import Producer
from prometheus_client import CollectorRegistry

from stream_app.adapters.operator_topic import publish
from stream_app.console.people import SignIns, one_token
from stream_app.console.service import Running, start_console
from stream_app.detection.policy import load_policy
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.console_worlds import CAMPAIGN, decision, form_token_of, header

DEADLINE_S = 20.0


def produce(settings: Settings, name: TopicName, key: str, value: dict[str, Any]) -> None:
    producer = Producer({"bootstrap.servers": settings.broker, "acks": "all", "linger.ms": 0})
    producer.produce(settings.topic(name), key=key, value=orjson.dumps(value))
    assert producer.flush(20) == 0


def lasting(key: str, **changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    expires_at = (now + timedelta(hours=1)).isoformat()
    return decision(key, issued_at=now.isoformat(), expires_at=expires_at, **changes)


async def started(settings: Settings, sign_ins: SignIns) -> Running:
    text = DEFAULT_POLICY.read_text()
    policy = text, load_policy(text, "default")
    address = ("127.0.0.1", 0)
    return await start_console(settings, sign_ins, policy, CollectorRegistry(), address, partial(publish, settings))


async def until(session: ClientSession, path: str, is_so: Callable[[str], Any]) -> str:
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with session.get(path, headers={"Accept": "text/html"}) as answer:
                text = await answer.text()
            if is_so(text):
                return text
            await asyncio.sleep(0.1)


def test_it_follows_the_topics_and_writes_what_people_order(create_topics_for: SettingsFor) -> None:
    settings = create_topics_for("console")
    for name in (TopicName.DECISION_LOG, TopicName.DECISIONS):
        produce(settings, name, "tenant:early", lasting("tenant:early"))
    produce(settings, TopicName.CAMPAIGNS, CAMPAIGN, header(0))
    token, people = one_token("ada")

    async def run() -> None:
        running = await started(settings, SignIns(people, []))
        try:
            async with ClientSession(running.url, cookie_jar=CookieJar(unsafe=True)) as session:
                await session.get(f"/sign-in?token={token}")
                await until(session, "/", lambda text: "early" in text and CAMPAIGN in text and "up to date" in text)
                assert (await session.get("/ready")).status == 200
                await asyncio.to_thread(
                    produce, settings, TopicName.DECISION_LOG, "tenant:late", lasting("tenant:late")
                )
                page = await until(session, "/decisions", lambda text: "tenant=late" in text or ">late<" in text)
                form = {"form_token": form_token_of(page)}
                form |= {"type": "release", "subject": "tenant:early", "reason": "ours", "back": "/audit"}
                async with session.post("/actions", data=form) as answer:
                    assert "recorded=" in str(answer.url)
                await until(session, "/audit", lambda text: "tenant:early" in text and "ours" in text and "ada" in text)
        finally:
            await running.stop()

    asyncio.run(run())


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_without_its_topics_it_waits_and_says_so(create_topics_for: SettingsFor) -> None:
    settings = create_topics_for("console").model_copy(update={"topic_prefix": "nothing"})
    token, people = one_token("ada")

    async def run() -> None:
        running = await started(settings, SignIns(people, []))
        try:
            async with ClientSession(running.url, cookie_jar=CookieJar(unsafe=True)) as session:
                await session.get(f"/sign-in?token={token}")
                await until(session, "/", lambda text: "Kafka cannot be read" in text)
                assert (await session.get("/ready")).status == 503
                assert (await session.get("/health")).status == 200
        finally:
            await running.stop()

    asyncio.run(run())
