"""The doctor says what is wrong and what to do, and exits 1 only then."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from stream_app.adapters.topic_admin import clock_difference_ms, create_topics
from stream_app.cli.doctor import MAX_CLOCK_DIFFERENCE_MS, doctor
from stream_app.settings import Settings
from stream_app.topology import TOPICS
from tests import brokers
from tests.brokers import TestBroker

NOBODY_LISTENS = "127.0.0.1:1"

POLICY = """
version: "1"
cool_down_s: 60
rungs:
  throttle: {enter: 0.9999, leave: 0.99, ttl_s: 300, max_ttl_s: 3600}
features: {}
"""

Examine = Callable[..., Result]


@pytest.fixture
def examine(embedded_broker: TestBroker) -> Examine:
    """The doctor's answer about an embedded broker and the given settings."""
    own = {"STILLWATCH_BROKER": embedded_broker.with_topics({"a": 1}), "STILLWATCH_EMBEDDED": "1"}
    return lambda *arguments, **env: CliRunner().invoke(doctor, arguments, env=own | env)


def findings(result: Result) -> dict[str, list[tuple[str, str]]]:
    lines = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
    return {name: [(status, detail) for status, other, detail in lines if other == name] for _, name, _ in lines}


@pytest.mark.kafka
def test_all_is_well_with_a_prepared_broker(real_kafka: str, topic_prefix: str) -> None:
    create_topics(Settings(broker=real_kafka, topic_prefix=topic_prefix))
    env = {"STILLWATCH_BROKER": real_kafka, "STILLWATCH_TOPIC_PREFIX": topic_prefix}
    result = CliRunner().invoke(doctor, ["--json"], env=env)
    brokers.delete_topics(real_kafka, topic_prefix)
    answer = msgspec.json.decode(result.stdout)
    assert (result.exit_code, answer["ok"]) == (0, True)
    assert {finding["name"]: finding["status"] for finding in answer["findings"]} == {
        "python": "ok",
        "libraries": "ok",
        "settings": "ok",
        "policy": "skipped",
        "broker": "ok",
        "topics": "ok",
        "clock": "ok",
    }


@pytest.mark.kafka
def test_each_missing_topic_has_its_remedy(real_kafka: str, topic_prefix: str) -> None:
    env = {"STILLWATCH_BROKER": real_kafka, "STILLWATCH_TOPIC_PREFIX": topic_prefix}
    result = CliRunner().invoke(doctor, env=env)
    assert result.exit_code == 1
    assert findings(result)["topics"] == [
        ("wrong", f"{topic_prefix}.{spec.name} is missing: run stillwatch topics create") for spec in TOPICS
    ]


@pytest.mark.kafka
def test_clocks_of_one_machine_agree(real_kafka: str) -> None:
    assert abs(clock_difference_ms(Settings(broker=real_kafka))) < MAX_CLOCK_DIFFERENCE_MS


def test_without_a_broker_the_rest_is_still_examined() -> None:
    result = CliRunner().invoke(doctor, env={"STILLWATCH_BROKER": NOBODY_LISTENS})
    found = findings(result)
    assert result.exit_code == 1
    assert found["broker"][0][0] == "wrong"
    assert f"no Kafka broker answers at {NOBODY_LISTENS}" in found["broker"][0][1]
    assert found["topics"] == found["clock"] == [("skipped", "no broker to ask")]
    assert found["libraries"][0][0] == found["settings"][0][0] == "ok"


def test_wrong_settings_are_told_all_at_once(examine: Examine) -> None:
    result = examine(STILLWATCH_BROKER="nowhere", STILLWATCH_PARTITIONS="0")
    told = findings(result)["settings"]
    assert result.exit_code == 1
    assert [(status, detail.split(":")[0]) for status, detail in told] == [
        ("wrong", "STILLWATCH_BROKER"),
        ("wrong", "STILLWATCH_PARTITIONS"),
    ]


def test_an_embedded_broker_is_well_without_topics_of_its_own(examine: Examine) -> None:
    result = examine()
    assert result.exit_code == 0
    assert findings(result)["topics"][0][0] == findings(result)["clock"][0][0] == "skipped"


def test_a_valid_policy_is_named_with_its_version(examine: Examine, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    result = examine(STILLWATCH_POLICY=str(policy))
    assert (result.exit_code, findings(result)["policy"]) == (0, [("ok", f"{policy}, version 1")])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "No such file or directory"),
        (b"\xff\xfe\x00", "not a UTF-8 text file"),
        (POLICY.replace("60", "-60").encode(), "cool_down_s"),
    ],
)
def test_a_policy_that_cannot_be_used_says_why(
    examine: Examine, tmp_path: Path, content: bytes | None, told: str
) -> None:
    policy = tmp_path / "policy.yaml"
    if content is not None:
        policy.write_bytes(content)
    result = examine(STILLWATCH_POLICY=str(policy))
    status, detail = findings(result)["policy"][0]
    assert (result.exit_code, status) == (1, "wrong")
    assert str(policy) in detail
    assert told in detail


def test_another_version_of_a_library_is_told(tmp_path: Path) -> None:
    found = tmp_path / "river-0.1.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Metadata-Version: 2.1\nName: river\nVersion: 0.1\n")
    done = subprocess.run(
        [sys.executable, "-c", "from stream_app.cli.doctor import doctor; doctor()"],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "STILLWATCH_BROKER": NOBODY_LISTENS},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "river 0.1 is installed, ==0.26.1 is asked for: run make setup" in done.stdout
