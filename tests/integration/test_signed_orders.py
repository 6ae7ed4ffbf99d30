"""Operator records that must be signed: what workers and readers make of those that are, and of those that are not."""

import time
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from stream_app.adapters.decision_log import read_instructions
from stream_app.adapters.operator_topic import new_record, publish
from stream_app.cli.dead_letters import dead_letters
from stream_app.detection.operators import RecordType
from stream_app.settings import Settings
from stream_app.signatures import make_keys
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.integration.streaming import Deployment, deployment

WAIT_S = 30


def ordered(settings: Settings, subject: str) -> int:
    """The offset of a release, written as the command line does."""
    return publish(settings, new_record(RecordType.RELEASE, by="jo", reason="test", subject=subject))


def instructions(running: Deployment, outcome: str) -> float:
    name = f'stillwatch_instructions_total{{log="operator",outcome="{outcome}"}}'
    address = f"http://127.0.0.1:{running.worker.face.port}/metrics"
    with urllib.request.urlopen(address, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(name)), 0.0)


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_worker_follows_signed_orders_and_refuses_the_others(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    unsigned = create_topics_for(topic_prefix)
    public, _ = make_keys(tmp_path / "ours")
    make_keys(tmp_path / "theirs")
    settings = unsigned.model_copy(update={"operator_keys": str(public), "operator_signed_from": 1})
    ours, theirs = (settings.model_copy(update={"signing_key": tmp_path / name}) for name in ("ours", "theirs"))
    ordered(unsigned, "tenant:before")
    ordered(unsigned, "tenant:unsigned")
    ordered(theirs, "tenant:theirs")
    ordered(ours, "tenant:ours")
    with deployment(settings, tmp_path) as running:
        letters = running.read_until(TopicName.DEAD_LETTERS, 2)
        deadline = time.monotonic() + WAIT_S
        while instructions(running, "accepted") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert instructions(running, "rejected") == 2
    assert [b'"forged"' in (letter.value or b"") for letter in letters] == [True, True]
    assert [word.record.subject for word in read_instructions(settings)] == ["tenant:before", "tenant:ours"]

    environment = {
        f"STILLWATCH_{name.upper()}": str(value) for name, value in ours.model_dump(exclude_none=True).items()
    }
    again = CliRunner().invoke(dead_letters, ["replay", "--yes", "--force"], env=environment)
    assert again.exit_code == 1
    assert "0 sent again, 2 left" in again.output
    assert "whoever means it orders it anew" in again.output
