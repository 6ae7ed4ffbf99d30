"""``stillwatch demo`` as a newcomer runs it."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from stream_app.cli.demo import demo as demo_command
from stream_app.demo.operation import Operation
from stream_app.detection.decisions import split_key
from stream_app.simulate.population import plan_population
from tests.brokers import ROOT

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
TIMEOUT_S = 240
OPERATION = {f"tenant:{name}" for name in Operation(1, NOON, NOON).tenant_ids}


def demo(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "demo", "--json", *arguments],
        cwd=ROOT,
        capture_output=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    result: dict[str, Any] = orjson.loads(done.stdout)
    return result


def check_story(result: dict[str, Any]) -> None:
    """One tenant runs away, forty accounts are one campaign; they are acted on in time, and nobody else is."""
    assert result["events"] >= 50_000
    assert result["dead_letters"] == 0
    acted_on = {each["subject"] for each in result["subjects"] if each["action"] != "observe"}
    (campaign,) = (each for each in result["campaigns"] if each["status"] == "confirmed")
    assert (campaign["kind"], campaign["accounts"], campaign["outsiders"]) == ("distillation", 40, 0)
    assert campaign["members"] >= 36
    assert campaign["acted_on"] >= 28
    own = {f"tenant:{split_key(subject)[1][0]}" for subject in acted_on} - OPERATION
    assert own == {result["noisy"]["subject"]}
    assert len(acted_on & OPERATION) == campaign["acted_on"]
    assert result["latency_p99_s"] <= 2
    assert result["noisy"]["denied_after_s"] <= 3
    assert result["limiter"]["denied"] > 100


@pytest.mark.slow
def test_on_the_embedded_broker() -> None:
    check_story(demo())


@pytest.mark.slow
@pytest.mark.kafka
def test_on_a_real_broker(real_kafka: str) -> None:
    check_story(demo("--broker", real_kafka))


def test_with_events_of_ones_own(tmp_path: Path) -> None:
    lines = [orjson.dumps(event) for event in plan_population(2, 0.2, NOON, 3_600, 200).events()]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join([*lines[:-1], b"not an event", b"[" + lines[-1] + b"]", b""]))
    result = demo("--events", str(path))
    assert result["events"] == len(lines) + 1
    assert result["dead_letters"] == 1
    assert result["limiter"]["allowed"] + result["limiter"]["denied"] == len(lines)
    assert result["limiter"]["denied"] > 0  # decisions about the past hold from now on


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--broker", "nonsense"], "host:port"), (["--broker", "127.0.0.1:1"], "127.0.0.1:1")]
)
def test_a_broker_that_cannot_be_used_is_one_clear_line(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stream_app", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_that_its_parts_could_not_talk_with_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{'0' * 64}\n")
    monkeypatch.setenv("STILLWATCH_WEB_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("STILLWATCH_SECURITY_PROTOCOL", "SSL")
    answer = CliRunner().invoke(demo_command, [])
    assert answer.exit_code == 2
    assert answer.stderr.endswith("unset STILLWATCH_SECURITY_PROTOCOL, STILLWATCH_WEB_TOKEN_FILE\n")
