"""Log lines: one form for every library in a program."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, logging, structlog
from stream_app.logs import log_to_stderr
from stream_app.settings import Settings
log_to_stderr(Settings(log_form={form!r}, log_level={level!r}))
structlog.get_logger("stream_app.limiter").warning("unreadable records ignored", count=3)
logging.getLogger("stream_app.worker").info("partition %d: taken over", 7, extra={{"offset": 12}})
logging.getLogger("stream_app.adapters").debug("detail")
logging.getLogger("kafka.conn").error("connection refused, again")
logging.getLogger("faust.app").info("[^App]: Starting...")
logging.getLogger("aiohttp.access").info("GET /check?tenant_id=acme")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("aiokafka.consumer").exception("fetch failed")
try:
    raise asyncio.CancelledError
except asyncio.CancelledError:
    logging.getLogger("faust.agents.actor").exception("crashed")
"""


def lines(form: str, level: str = "info") -> list[str]:
    program = PROGRAM.format(form=form, level=level)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.mark.parametrize("form", ["auto", "json"])
def test_without_a_terminal_every_line_is_an_object(form: str) -> None:
    found = [json.loads(line) for line in lines(form)]
    assert [(line["logger"], line["level"], line["event"]) for line in found] == [
        ("stream_app.limiter", "warning", "unreadable records ignored"),
        ("stream_app.worker", "info", "partition 7: taken over"),
        ("aiokafka.consumer", "error", "fetch failed"),
    ]
    assert found[0]["count"] == 3
    assert found[1]["offset"] == 12
    assert "ZeroDivisionError" in found[2]["exception"]
    assert all(line["timestamp"].endswith("Z") for line in found)


def test_for_people_lines_are_text() -> None:
    first, second, *trace = lines("console")
    assert "unreadable records ignored" in first
    assert "count=3" in first
    assert "partition 7: taken over" in second
    assert trace[-1] == "ZeroDivisionError: division by zero"


def test_more_is_said_when_asked_for() -> None:
    assert "detail" in {json.loads(line)["event"] for line in lines("json", "debug")}
