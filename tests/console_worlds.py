"""A console over a made-up world of decisions, one campaign and a policy: no broker, and time stands still."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson
from prometheus_client import CollectorRegistry

from stream_app.console.extracts import Extracts
from stream_app.console.people import SignIns, read_networks
from stream_app.console.rendering import Desk
from stream_app.console.server import create_console_app
from stream_app.console.view import TopicRecord, View
from stream_app.detection.operators import OperatorRecord
from stream_app.detection.policy import load_policy
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import Settings
from stream_app.topology import TopicName

NOW_S = 1_795_640_000.0
NOW_MS = int(NOW_S * 1000)
CAMPAIGN = "c-6d2927108cf1"
GROUPS = ("content", "client", "network", "genesis", "payer")
NOBODY = 1  # a port where nobody listens


def rfc3339(before_s: float) -> str:
    """A time so long before the world's now."""
    return datetime.fromtimestamp(NOW_S - before_s, UTC).isoformat()


def form_token_of(page: str) -> str:
    """What a form of a page proves that the page was asked for."""
    found = re.search(r'name="form_token" value="(\w+)"', page)
    assert found
    return found[1]


def decision(key: str = "tenant:acme", *, before_s: float = 600, **changes: Any) -> dict[str, Any]:
    """A block by the detector which holds for another hour, unless it says otherwise."""
    scope, _, subject = key.partition(":")
    fields = {
        "decision_id": f"{key} {changes.get('action', 'block')} {before_s:g}",
        "scope": scope,
        "subject": subject,
        "tenant_id": subject.split("/")[0],
        "action": "block",
        "simulated": False,
        "origin": "detector",
        "reasons": [
            {"code": "requests_60s", "observed": 90, "expected": 4, "unit": "requests", "window_s": 60, "score": 0.9999}
        ],
        "policy": {"version": "demo-1", "rung": "block"},
        "issued_at": rfc3339(before_s),
        "expires_at": rfc3339(-3_600),
        "revision": round(1_000_000 - before_s),
    }
    return fields | changes


def member_decision(number: int, *, before_s: float = 900, **changes: Any) -> dict[str, Any]:
    """A member's block for the campaign."""
    reason = {
        "code": "campaign_network",
        "observed": 5.4,
        "expected": 0,
        "unit": "nats",
        "window_s": 0,
        "score": 0.9999,
    }
    fields = {"campaign_id": CAMPAIGN, "reasons": [reason], "counterfactual": "would not have fired otherwise"}
    return decision(f"tenant:{member_id(number)}", before_s=before_s, **(fields | changes))


def member_id(number: int) -> str:
    """A member's tenant."""
    return f"tenant-{10_000 + number}"


class World:
    """A view and what people have written; a release or an allow is followed as a worker would."""

    def __init__(self) -> None:
        self.view = View()
        self.written: list[OperatorRecord] = []

    def tell(self, name: TopicName, key: str, value: dict[str, Any] | None, *, partition: int = 0) -> None:
        """Put a record on a topic."""
        encoded = None if value is None else orjson.dumps(value)
        record = TopicRecord(name, partition, len(self.written), NOW_MS - 60_000, key.encode(), encoded)
        self.view.apply([record])

    def decide(self, made: dict[str, Any]) -> None:
        """Put a decision on both of its topics."""
        key = f"{made['scope']}:{made['subject']}"
        self.tell(TopicName.DECISION_LOG, key, made)
        self.tell(TopicName.DECISIONS, key, made)

    def publish(self, record: OperatorRecord) -> int:
        """Keep an operator's record and do at once what a worker does."""
        self.written.append(record)
        self.tell(TopicName.OPERATOR, record.subject or record.type, msgspec.to_builtins(record))
        if record.type in {"release", "allow"}:
            changes = {"action": "allow", "origin": "operator", "reasons": []}
            self.decide(decision(str(record.subject), before_s=-len(self.written), revision=2_000_000, **changes))
        return len(self.written) - 1

    def desk(self, clock: Callable[[], float] = lambda: NOW_S) -> Desk:
        """What pages are made from; Kafka is not there."""
        settings = Settings(broker=f"127.0.0.1:{NOBODY}")
        policy = load_policy(DEFAULT_POLICY.read_text(), "default")
        return Desk(settings, self.view, None, Extracts(), policy, self.publish, list, clock)

    def app(self, sign_ins: SignIns | None = None) -> Any:
        """The application; without sign-ins of the test's own, this machine's headers say who it is."""
        return create_console_app(self.desk(), sign_ins or SignIns({}, read_networks("127.0.0.1")), CollectorRegistry())


def world_of(members: int = 40) -> World:
    """One confirmed campaign of so many members, each blocked, a busy account, a few others, and a policy."""
    world = World()
    _policy(world)
    for number in range(members):
        name = member_id(number)
        nats = {group: round(7 - ((number + place) % 5) * 1.3, 2) for place, group in enumerate(GROUPS)}
        entry = {
            "campaign_id": CAMPAIGN,
            "tenant_id": name,
            "posterior": round(0.999999 - number * 1e-6, 6),
            "role": "block" if number % 6 else "act",
            "joined_at": rfc3339(7_200 - number % 60 * 60),
            "nats": nats,
        }
        world.tell(TopicName.CAMPAIGNS, f"{CAMPAIGN}/{name}", entry)
        world.decide(member_decision(number, before_s=5_400 - number % 60 * 60))
    for size in (members // 2, members):
        world.tell(TopicName.CAMPAIGN_LOG, CAMPAIGN, header(members) | {"member_count": size})
    world.tell(TopicName.CAMPAIGNS, CAMPAIGN, header(members))
    world.decide(decision("account:tenant-00056/tenant-00056-a0", before_s=300, action="throttle"))
    world.decide(decision("tenant:tenant-00283", before_s=1_200, action="observe", simulated=True))
    world.decide(decision("tenant:calm", before_s=2_400, action="allow", reasons=[]))
    return world


def header(members: int) -> dict[str, Any]:
    """The campaign's header."""
    values = [("content", f"9b624b{number:02x}", 28) for number in range(4)] + [("payment", "pay-00c0ffee00", 11)]
    return {
        "campaign_id": CAMPAIGN,
        "kind": "distillation",
        "status": "confirmed",
        "confidence": 0.71,
        "first_alert_time": rfc3339(7_200),
        "confirmed_time": rfc3339(6_000),
        "aliases": [],
        "evidence": [
            {"group": group, "nats": 240.0 - 40 * place, "control_nats": 8.0 * place, "members": float(members)}
            for place, group in enumerate(GROUPS)
        ],
        "pooled": ["network", "payer"],
        "explanations": [],
        "queue": {"wrappers": 6.0, "excess": 0.94, "pairs": 758.0, "shared_bodies": 0.0, "dealt": 1.0},
        "values": [
            {"kind": kind, "value": value, "members": carriers, "tenants": carriers + 2}
            for kind, value, carriers in values
        ],
    }


def _policy(world: World) -> None:
    text = DEFAULT_POLICY.read_text().replace("version: default-1", "version: demo-1")
    record = {
        "id": "p1",
        "type": "policy",
        "reason": "first",
        "by": "ada",
        "at": rfc3339(86_400),
        "body": {"yaml": text},
    }
    world.tell(TopicName.OPERATOR, "policy", record)
