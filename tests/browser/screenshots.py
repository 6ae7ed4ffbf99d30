"""Takes the screenshots of docs/console.md from a running demo (``make screenshots``)."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
_TOLD = re.compile(r"(console|STILLWATCH_BROKER|STILLWATCH_TOPIC_PREFIX)(?:\s+|=)(\S+)")
#: A page of few colours: so many look the same, in a quarter of the bytes.
_COLOURS = 256


@contextmanager
def running_demo() -> Iterator[dict[str, str]]:
    """A demo whose traffic is over: the address that signs one in to its console, its broker and its topics' prefix."""
    words = [sys.executable, "-u", "-m", "stream_app", "demo", "--duration", "20", "--stay"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        told: dict[str, str] = {}
        for line in process.stderr:
            told |= dict(_TOLD.findall(line))
            if "Ctrl-C" in line:
                break
        yield told
    finally:
        process.terminate()
        process.communicate(timeout=60)


def settled(page: Page) -> Page:
    """The page once its figures are read."""
    expect(page.locator(".fragment:not(:has(.figures))")).to_have_count(0, timeout=60_000)
    page.wait_for_timeout(300)
    return page


def keep(page: Page, name: str, height: int) -> None:
    """Write the upper part of the page, as high as that."""
    shot = Image.open(BytesIO(page.screenshot(full_page=True)))
    part = shot.crop((0, 0, shot.width, min(height, shot.height)))
    write(part, name)


def write(shot: Image.Image, name: str) -> None:
    """Write a picture small."""
    few = shot.convert("RGB").quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(IMAGES / f"{name}.png", optimize=True)


def take(browser: Browser, address: str) -> None:
    """Go through the console as an analyst does."""
    page = browser.new_page(viewport={"width": 1180, "height": 800}, color_scheme="light")
    page.goto(address)
    page.wait_for_selector("#campaigns a.go")
    keep(page, "console-overview", 1_000)
    page.click("#campaigns a.go")
    campaign = page.url
    settled(page).wait_for_selector(".links")
    keep(page, "console-campaign", 1_090)
    page.hover(".hub >> nth=9")
    write(Image.open(BytesIO(page.locator(".links").screenshot())), "console-links")
    page.goto(page.url.split("/campaign")[0] + "/decisions?action=throttle&scope=account")
    page.click("#list a.go")
    settled(page).locator("summary", has_text="Release").click()
    keep(page, "console-decision", 1_000)
    phone = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    phone.goto(address)
    phone.goto(campaign)
    keep(settled(phone), "console-phone", 1_150)


if __name__ == "__main__":
    with running_demo() as told, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        take(chromium, told["console"])
        chromium.close()
