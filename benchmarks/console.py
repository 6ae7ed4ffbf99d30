"""The console: how long a big campaign takes, what a full view holds, and from a click to a tenant that is let in.

``python -m benchmarks.console`` takes two minutes; the click needs Chromium and runs the demo.
"""

import argparse
import asyncio
import resource
import time

from aiohttp.test_utils import TestClient, TestServer
from playwright.sync_api import sync_playwright
from prometheus_client import CollectorRegistry

from stream_app.console.view import MAX_LOG
from stream_app.limiter import ControlTopic, DecisionsTable, Limiter, RequestFacts
from stream_app.topology import TopicName, topic
from tests.browser.screenshots import running_demo
from tests.console_worlds import CAMPAIGN, World, decision, world_of

VIEWER = {"X-Forwarded-User": "v", "X-Forwarded-Groups": "stillwatch-viewer", "Accept": "text/html"}


def memory_mb() -> float:
    """The most that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def page_s(world: World, path: str, times: int = 5) -> list[float]:
    """Seconds of processor that a page takes, time by time."""
    taken = []
    async with TestClient(TestServer(world.app())) as client:
        for _ in range(times):
            before = time.process_time()
            await (await client.get(path, headers=VIEWER)).read()
            taken.append(round(time.process_time() - before, 3))
    return taken


def fill(world: World) -> None:
    """Decisions until the log is full, on as many subjects."""
    for number in range(MAX_LOG):
        key = f"tenant:t-{number:06}"
        evidence = {
            "events": 120,
            "first_time": "2026-11-25T20:00:00Z",
            "last_time": "2026-11-25T20:01:00Z",
            "sources": [{"topic": "stillwatch.requests.v1", "partition": 3, "first_offset": 1, "last_offset": 9_000}],
            "sample_event_ids": [f"event-{number}-{place}" for place in range(5)],
        }
        world.decide(decision(key, before_s=number % 3_000, evidence=evidence))


def click_s() -> float:
    """Seconds from the click on Release to a limiter that lets the tenant in, on the demo."""
    with running_demo() as told, sync_playwright() as playwright:
        limiter = Limiter(DecisionsTable(), CollectorRegistry())
        names = {
            name: topic(told["STILLWATCH_TOPIC_PREFIX"], name) for name in (TopicName.DECISIONS, TopicName.OPERATOR)
        }
        control = ControlTopic(
            limiter,
            broker=told["STILLWATCH_BROKER"],
            topic=names[TopicName.DECISIONS],
            operator_topic=names[TopicName.OPERATOR],
        )
        control.start()
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(told["console"])
        page.click("#campaigns a.go")
        tenant = page.locator("#members tr:has(.pill.block) td.name a").first.inner_text()
        page.goto(page.url.split("/campaign")[0] + f"/tenant?id={tenant}")
        facts = RequestFacts(tenant, f"{tenant}-a0")
        while limiter.check(facts).allowed:
            time.sleep(0.1)
        page.locator("summary", has_text="Release").click()
        page.locator("details[open] textarea").fill("a customer of ours")
        begun = time.monotonic()
        page.locator("details[open] button.primary").click(no_wait_after=True)
        while not limiter.check(facts).allowed:
            time.sleep(0.01)
        taken = time.monotonic() - begun
        control.stop()
        browser.close()
        return taken


def main() -> None:
    """Measure, and print what was found."""
    argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__).parse_args()
    print(f"campaign of 10,000: {asyncio.run(page_s(world_of(10_000), f'/campaign?id={CAMPAIGN}'))} s of processor")
    empty, world = memory_mb(), World()
    fill(world)
    print(f"full log and as many subjects: {memory_mb() - empty:.0f} MB above {empty:.0f} MB")
    print(f"overview of it: {asyncio.run(page_s(world, '/'))} s, filtered list: ", end="")
    print(f"{asyncio.run(page_s(world, '/decisions?text=t-0999&action=block'))} s")
    print(f"from the click to a tenant that is let in: {click_s():.2f} s")


if __name__ == "__main__":
    main()
