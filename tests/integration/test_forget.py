"""A tenant is planted in both stages of a deployment on a real broker, erased, and found nowhere."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_app.cli import main
from stream_app.demo.workers import starting_worker
from stream_app.settings import Settings
from stream_app.topology import TOPICS, Stage, TopicName
from tests.conftest import SettingsFor
from tests.integration.streaming import TIMEOUT_S, Deployment, deployment
from tests.integration.test_worker import burst, touchy_policy

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.parametrize("broker", ["real"], indirect=True)]

ERASED = "planted"
COMPACTED = [spec.name for spec in TOPICS if "compact" in spec.config["cleanup.policy"]]
#: Campaigns need a crowd: `tests/unit/test_erasures.py` has one, and erases a member.
PLANTED = [TopicName.TENANT_STATE, TopicName.DECISIONS, TopicName.CAMPAIGN_STATE]


def compacted(running: Deployment, name: TopicName) -> dict[bytes, bytes | None]:
    """A topic as compaction leaves it, tombstones included."""
    kept: dict[bytes, bytes | None] = {}
    for record in running.read(name):
        kept[record.key or b""] = record.value
    return kept


def own_keys(running: Deployment, name: TopicName) -> dict[bytes, bytes | None]:
    return {key: value for key, value in compacted(running, name).items() if ERASED.encode() in key}


def is_kept(running: Deployment, name: TopicName) -> bool:
    return any(own_keys(running, name).values())


def is_gone(running: Deployment, name: TopicName) -> bool:
    return not is_kept(running, name)


def eventually(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not is_so():
        assert time.monotonic() < deadline, f"never {what}"
        time.sleep(0.3)


def run(settings: Settings, *words: str) -> str:
    env = {"STILLWATCH_BROKER": settings.broker, "STILLWATCH_TOPIC_PREFIX": settings.topic_prefix}
    done = CliRunner().invoke(main, list(words), env=env)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_an_erased_tenant_is_found_nowhere(create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(touchy_policy())
    settings = create_topics_for(topic_prefix, partitions=1).model_copy(update={"policy": policy})
    campaigns = settings.model_copy(update={"stage": Stage.CAMPAIGNS})
    start = datetime.now(UTC) - timedelta(seconds=20)
    with (
        starting_worker(campaigns, tmp_path / "campaigns.log"),
        deployment(settings, tmp_path) as running,
    ):
        running.wait_for(running.send_events([*burst("other", 0, 100, start), *burst(ERASED, 0, 300, start)]))
        for name in PLANTED:
            eventually(partial(is_kept, running, name), f"on {name}")
        assert ERASED in run(settings, "decisions", "list")
        assert "nothing brings it back" in run(settings, "forget", ERASED, "--yes", "--reason", "test")
        for name in PLANTED:
            eventually(partial(is_gone, running, name), f"off {name}")
    for name in COMPACTED:
        left = compacted(running, name)
        assert [key for key, value in left.items() if value is not None and ERASED.encode() in key + value] == [], name
    assert any(b"other" in key for key in compacted(running, TopicName.TENANT_STATE))
    shown = run(settings, "decisions", "list")
    assert ERASED not in shown
    assert ERASED.encode() in b"".join(record.key or b"" for record in running.read(TopicName.DECISION_LOG))
