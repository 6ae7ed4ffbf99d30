"""A console on a free port, and the system's Chromium to look at it."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

import pytest
from aiohttp import web
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.console_worlds import World

Open = Callable[..., Page]
#: A machine that does much else besides is slow, not wrong.
PATIENCE_MS = 30_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser; skips without it, and fails where continuous integration should have installed it.

    Playwright keeps an event loop running in this thread: no longer than a module, or other tests could not run theirs.
    """
    path = shutil.which("chromium")
    if path is None:
        reason = "no chromium on this machine (Debian: chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def serving(world: World) -> Iterator[str]:
    """A world's console, on an event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    runner = web.AppRunner(world.app(), shutdown_timeout=1)

    async def start() -> str:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Open]:
    """Opens a page as a person of a role; whatever the browser complains about fails the test."""
    complaints: list[str] = []
    contexts = []

    def open_page(address: str, role: str = "analyst", *, theme: str = "light", width: int = 1280) -> Page:
        headers = {"X-Forwarded-User": role, "X-Forwarded-Groups": f"stillwatch-{role}"}
        context = chromium.new_context(
            color_scheme="dark" if theme == "dark" else "light",
            viewport={"width": width, "height": 860},
            extra_http_headers=headers,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda told: complaints.append(told.text) if told.type == "error" else None)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
