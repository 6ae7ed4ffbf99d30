"""A backfilled deployment: its worker knows yesterday's tenants, and says nothing about yesterday."""

import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from stream_app.cli import main
from stream_app.demo.workers import running_worker
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.effects import EmitDecision
from stream_app.policies import DEFAULT_POLICY, read_policy
from stream_app.replay import Replay
from stream_app.settings import Settings
from stream_app.topology import Stage, TopicName
from tests.conftest import SettingsFor
from tests.integration.streaming import TIMEOUT_S, deployment
from tests.unit.campaign_worlds import campaign_events
from tests.unit.streams import POLICY_TEXT, in_order, steady, time_of

HOUR, DAY = 3_600, 86_400

pytestmark = [pytest.mark.kafka, pytest.mark.parametrize("broker", ["real"], indirect=True)]


def day() -> list[dict[str, Any]]:
    """A day in which one tenant works evenly and another has a surge in the evening."""
    return in_order(
        steady(0, DAY, 2, "busy"),
        steady(0, DAY, 1, "wild"),
        steady(DAY - 4 * HOUR, DAY - 4 * HOUR + 120, 400, "wild", "surge"),
    )


def first_hour() -> list[dict[str, Any]]:
    return in_order(
        steady(DAY, DAY + HOUR, 2, "busy"),
        steady(DAY, DAY + HOUR, 1, "wild"),
        steady(DAY + 600, DAY + 900, 100, "busy", "surge"),
    )


def stillwatch(settings: Settings, *words: str) -> Result:
    given = {f"STILLWATCH_{name.upper()}": str(value) for name, value in settings.model_dump(exclude_none=True).items()}
    return CliRunner().invoke(main, words, env=given, catch_exceptions=False)


def prepared(create: SettingsFor, prefix: str, folder: Path) -> tuple[Settings, Path]:
    policy, past = folder / "policy.yaml", folder / "past.jsonl"
    policy.write_text(POLICY_TEXT)
    past.write_bytes(b"\n".join(map(orjson.dumps, day())))
    return create(prefix, partitions=2).model_copy(update={"policy": policy}), past


def without_places(found: list[Decision]) -> list[tuple[Any, ...]]:
    return [(d.decision_id, d.key, d.action, d.reasons, d.counterfactual, d.issued_at, d.expires_at) for d in found]


def test_the_first_day_is_not_blind(create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path) -> None:
    settings, past = prepared(create_topics_for, topic_prefix, tmp_path)
    done = stillwatch(settings, "backfill", str(past), "--json")
    assert done.exit_code == 0, done.output
    assert orjson.loads(done.stdout) | {"late": 0} == {
        "events": len(day()),
        "refused": 0,
        "late": 0,
        "left_out": 0,
        "tenants": 2,
        "campaigns": 0,
        "decisions": orjson.loads(done.stdout)["decisions"],
        "begins_ms": 1_767_225_600_000,
        "ends_ms": 1_767_225_600_000 + DAY * 1000 - 30_000,
    }
    assert orjson.loads(done.stdout)["decisions"] > 0
    again = stillwatch(settings, "backfill", str(past))
    assert (again.exit_code, "--replace" in again.output) == (1, True)
    assert stillwatch(settings, "backfill", str(past), "--replace").exit_code == 0

    with deployment(settings, tmp_path) as running:
        refused = stillwatch(settings, "backfill", str(past), "--replace")
        assert (refused.exit_code, "running worker" in refused.output) == (1, True)
        running.wait_for(running.send_events(first_hour()))
        live = running.decisions()
        assert len(running.read(TopicName.DEAD_LETTERS)) == 0
    replay = Replay(read_policy(settings), settings.partitions, topic=settings.topic(TopicName.REQUESTS))
    whole = replay.run(orjson.dumps(event) for event in [*day(), *first_hour()])
    made = [effect.decision for effect in whole if isinstance(effect, EmitDecision)]
    expected = [decision for decision in made if decision.issued_at >= time_of(DAY)]
    assert len(made) > len(expected) > 0
    assert {decision.action for decision in expected} & {Action.THROTTLE, Action.BLOCK}
    assert without_places(live) == without_places(expected)
    verified = stillwatch(settings, "replay", "--verify", "kafka://", "--json")
    found = orjson.loads(verified.stdout)
    assert (verified.exit_code, found["differences"]) == (1, [])
    assert found["untold"] > 0  # decisions of known tenants are not proven by a detector that knows nobody
    assert found["untold"] + found["identical"] >= len(live)
    assert found["limits"]
    assert all("backfill had made" in limit for limit in found["limits"])


def test_the_past_may_lie_on_the_very_topic(create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path) -> None:
    settings, _ = prepared(create_topics_for, topic_prefix, tmp_path)
    events = [*steady(0, HOUR, 30, "busy"), *steady(HOUR, HOUR + 60, 400, "busy", "surge")]
    producer = Producer({"bootstrap.servers": settings.broker, "partitioner": "murmur2"})
    for event in events:
        producer.produce(settings.topic(TopicName.REQUESTS), orjson.dumps(event), key=event["tenant_id"])
    producer.flush()
    done = stillwatch(settings, "backfill", "--from", "kafka://", "--json")
    assert done.exit_code == 0, done.output
    found = orjson.loads(done.stdout)
    assert (found["events"], found["left_out"]) == (len(events), 0)
    assert found["decisions"] > 0
    with deployment(settings, tmp_path) as running:
        running.wait_for(running.send_events(steady(HOUR + 60, HOUR + 90, 10, "calm")))
        assert running.decisions() == []


def test_a_campaign_of_the_past_is_listed_before_day_one_and_acted_on_at_once(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    rules, log = tmp_path / "policy.yaml", tmp_path / "past.jsonl"
    rules.write_text(DEFAULT_POLICY.read_text().replace("mode: shadow", "mode: enforced"))
    settings = create_topics_for(topic_prefix, partitions=2).model_copy(update={"policy": rules})
    events = list(campaign_events())
    past, live = events[: len(events) * 4 // 5], events[len(events) * 4 // 5 :]
    log.write_bytes(b"\n".join(map(orjson.dumps, past)))
    done = stillwatch(settings, "backfill", str(log), "--json")
    assert done.exit_code == 0, done.output
    assert orjson.loads(done.stdout)["campaigns"] == 1
    (known,) = map(orjson.loads, stillwatch(settings, "campaigns", "list", "--json").stdout.splitlines())
    assert (known["status"], known["member_count"] > 100) == ("confirmed", True)
    stage = settings.model_copy(update={"stage": Stage.CAMPAIGNS})
    with deployment(settings, tmp_path) as running, running_worker(stage, tmp_path / "campaigns.log"):
        running.wait_for(running.send_events(live))
        deadline = time.monotonic() + TIMEOUT_S
        while not any(one.campaign_id == known["campaign_id"] for one in running.decisions()):
            assert time.monotonic() < deadline, "no member was acted on"
            time.sleep(0.2)
