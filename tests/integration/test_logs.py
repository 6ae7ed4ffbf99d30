"""What a worker's log lines may say of customers: nothing above debug; of secrets: nothing."""

import json
import secrets
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.demo.workers import running_worker
from stream_app.detection.decisions import Decision
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import LogLevel
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.integration.streaming import Deployment, deployment

NOW = datetime.now(UTC)
TENANT, ACCOUNT, CARD, ADDRESS = "planted-tenant", "planted-account", "planted-card", "203.0.113.0/24"
PLANTED = (TENANT, ACCOUNT, CARD, ADDRESS)


def events(count: int) -> list[dict[str, Any]]:
    return [
        {
            "id": f"event-{number}",
            "time": (NOW + timedelta(milliseconds=50 * number) - timedelta(minutes=5)).isoformat(),
            "tenant_id": TENANT,
            "account_id": ACCOUNT,
            "model": "m",
            "status_code": 200,
            "input_tokens": 10,
            "output_tokens": 10,
            "client": {"ip_prefix": ADDRESS},
            "account": {"payment_fp": CARD},
        }
        for number in range(count)
    ]


#: Events and operator records of ``provoke`` that end as dead letters.
REFUSED = 11


def operator_records() -> list[dict[str, Any]]:
    text = {"reason": "test", "by": "tester", "at": NOW.isoformat()}
    later = (NOW + timedelta(hours=1)).isoformat()
    block = {"body": {"action": "block"}, "expires_at": later}
    return [
        {"id": "1", "type": "override", "subject": f"tenant:{TENANT}", **block, **text},
        # refused: no action, a subject that is none, no expiry
        {"id": "2", "type": "override", "subject": f"tenant:{TENANT}", "body": {}, "expires_at": later, **text},
        {"id": "3", "type": "override", "subject": f"planet:{TENANT}", **block, **text},
        {"id": "4", "type": "allow", "subject": f"account:{TENANT}/{ACCOUNT}", **text},
        {"id": "5", "type": "allow", "subject": {"tenant": TENANT}, **text},
    ]


def provoke(running: Deployment) -> list[Decision]:
    """Everything that a worker has something to say of."""
    running.send_events(events(300))
    for record in operator_records():
        running.operate(record)
    for wrong in ({"status_code": "x"}, {"time": "yesterday"}, {"input_tokens": -1}):
        running.send(orjson.dumps(events(1)[0] | wrong), tenant_id=TENANT)
    running.send(orjson.dumps([{"tenant_id": TENANT}, {"tenant_id": ACCOUNT}]), tenant_id=TENANT)
    running.send(f"{{{TENANT}".encode(), tenant_id=TENANT)
    running.send(orjson.dumps(events(1)[0]), tenant_id=f"not-{TENANT}")
    running.producer.flush()
    running.wait_for(306)
    running.read_until(TopicName.DEAD_LETTERS, REFUSED)
    running.read_until(TopicName.DECISIONS, 1)
    return running.decisions()


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_customers_are_named_at_debug_only_and_secrets_never(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(
        DEFAULT_POLICY.read_text().replace("enter: 0.999\n", "enter: 0.6\n").replace("leave: 0.99\n", "leave: 0.55\n")
    )
    changes = {"log_level": LogLevel.DEBUG, "policy": policy}
    settings = create_topics_for(topic_prefix).model_copy(update=changes)
    with deployment(settings, tmp_path) as running:
        decisions = provoke(running)
    text = (tmp_path / "worker.log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    told = [line for line in lines if line["event"] == "decided"]
    assert decisions
    assert {line["decision_id"] for line in told} >= {decision.decision_id for decision in decisions}
    assert all(line["level"] == "debug" for line in told)
    assert any(TENANT in line["key"] for line in told)
    above = [json.dumps(line) for line in lines if line["level"] != "debug"]
    assert any("refused" in line for line in above)
    assert [line for line in above if any(planted in line for planted in PLANTED)] == []


def ask(port: int, path: str, token: str) -> int:
    """The status of an answer to who shows a token."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_no_token_is_logged_neither_right_nor_wrong(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    right, wrong, broken = (secrets.token_hex(32) for _ in range(3))
    file = tmp_path / "token"
    file.write_text(f"{right}\n")
    changes = {"log_level": LogLevel.DEBUG, "web_token_file": file}
    settings = create_topics_for(topic_prefix).model_copy(update=changes)
    with running_worker(settings, tmp_path / "worker.log") as worker:
        assert ask(worker.face.port, "/metrics", right) == 200
        assert ask(worker.face.port, "/metrics", wrong) == 401
        assert ask(worker.face.port, f"/metrics?token={wrong}", f"{wrong} {wrong}") == 401
        file.write_text(f"{right}\n{broken[:20]}\n")  # too short, which is told
        assert ask(worker.face.port, "/metrics", right) == 200
    text = (tmp_path / "worker.log").read_text()
    assert "holds a token of less than" in text
    assert [line for line in text.splitlines() if any(one in line for one in (right, wrong, broken[:20]))] == []
