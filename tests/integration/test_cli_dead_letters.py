"""Dead letters listed and sent again, over a broker."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from stream_app.adapters.decision_log import read_records
from stream_app.adapters.embedded_broker import EmbeddedBroker
from stream_app.adapters.records import records_of
from stream_app.cli import main
from stream_app.detection.decode import RejectReason
from stream_app.detection.effects import DeadLetter
from stream_app.detection.partitions import partition_of
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.unit.streams import operator_record

PARTITIONS = 4
PREFIXES = [
    "inputs_of_an_erased_",
    "letters_are_listed_n",
    "only_what_would_be_t",
    "force_sends_whatever",
    "it_asks_first",
]
NOW = datetime.now(UTC)
Run = Callable[..., Result]


def event(number: int, tenant_id: str = "acme", **changes: Any) -> dict[str, Any]:
    return {
        "id": f"r{number}",
        "time": NOW.isoformat(),
        "tenant_id": tenant_id,
        "account_id": "a1",
        "model": "m",
        "status_code": 200,
        "input_tokens": 1,
        "output_tokens": 1,
    } | changes


OLD = (NOW - timedelta(days=3)).isoformat()
ARRAY = orjson.dumps([event(4), event(5, "other"), event(6)])
#: reason, index, input, and whether it would still be refused.
REQUESTS: list[tuple[str, int | None, bytes, bool]] = [
    ("misrouted", None, orjson.dumps(event(1)), False),
    ("not_json", None, b"{", True),
    ("too_old", None, orjson.dumps(event(3, time=OLD)), True),
    ("mixed_tenants", 1, ARRAY, False),
    ("unknown_type", None, orjson.dumps(event(7)), True),
    ("too_large", None, b"x" * 70_000, True),
]


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    """One broker for all tests: each has topics of its own."""
    counts = {TopicName.REQUESTS: PARTITIONS, TopicName.OPERATOR: 1, TopicName.DEAD_LETTERS: 1}
    with EmbeddedBroker({f"{prefix}.{name}": count for prefix in PREFIXES for name, count in counts.items()}) as broker:
        yield broker.bootstrap


@pytest.fixture
def deployed(bootstrap: str, request: pytest.FixtureRequest) -> Settings:
    """A deployment with dead letters of every fate, in the order of ``REQUESTS``, then one of the operator topic."""
    settings = Settings(broker=bootstrap, topic_prefix=request.node.name.removeprefix("test_")[:20], embedded=True)
    letters = [
        DeadLetter(settings.topic(TopicName.REQUESTS), 3, offset, RejectReason(reason), "a\x1bdetail", index, value)
        for offset, (reason, index, value, _) in enumerate(REQUESTS)
    ]
    operator = operator_record("release", 0, subject="tenant:acme")
    letters.append(
        DeadLetter(settings.topic(TopicName.OPERATOR), 0, 9, RejectReason("invalid"), "newer", None, operator)
    )
    producer = Producer({"bootstrap.servers": settings.broker})
    for letter in letters:
        for record in records_of(letter, round(NOW.timestamp() * 1000), source="/test", historic=False):
            topic = settings.topic(record.topic)
            producer.produce(topic, record.value, key=record.key, headers=[*record.headers])
    assert producer.flush(20) == 0
    return settings


@pytest.fixture
def run(deployed: Settings) -> Run:
    env = {"STILLWATCH_BROKER": deployed.broker, "STILLWATCH_TOPIC_PREFIX": deployed.topic_prefix}
    return lambda *words, stdin="": CliRunner().invoke(main, ["dead-letters", *map(str, words)], stdin, env)


def sent(settings: Settings, name: TopicName = TopicName.REQUESTS) -> dict[str, tuple[bytes | None, bytes | None, str]]:
    """What has been sent again: by the place named in its header, key, value and where it is now."""
    return {dict(r.headers)["replayed_from"].decode(): (r.key, r.value, r.place) for r in read_records(settings, name)}


def test_letters_are_listed_newest_first_and_filtered(run: Run, deployed: Settings) -> None:
    lines = run("list").stdout.splitlines()
    assert len(lines) == len(REQUESTS) + 1
    assert "invalid" in lines[0]
    assert lines[-1].endswith(f"misrouted  {deployed.topic(TopicName.REQUESTS)}/3/0  a\\x1bdetail")
    assert len(run("list", "--limit", 2).stdout.splitlines()) == 2
    assert len(run("list", "--place", deployed.topic(TopicName.REQUESTS)).stdout.splitlines()) == len(REQUESTS)
    assert len(run("list", "--place", f"{deployed.topic(TopicName.REQUESTS)}/3/3/1").stdout.splitlines()) == 1
    assert run("list", "--since", (NOW + timedelta(hours=1)).isoformat()).stdout == ""
    (one,) = run("list", "--reason", "not_json", "--json").stdout.splitlines()
    assert orjson.loads(one)["original"] == "{"
    assert "not one of" in run("list", "--reason", "bad luck").stderr


def test_only_what_would_be_taken_is_sent_again(run: Run, deployed: Settings) -> None:
    done = run("replay", "--yes")
    assert done.exit_code == 1
    left = [line for line in done.stderr.splitlines() if line.startswith("left: ")]
    assert len(left) == sum(is_refused for *_, is_refused in REQUESTS)
    assert "3 sent again, 4 left" in done.stdout
    requests = deployed.topic(TopicName.REQUESTS)
    found = sent(deployed)
    assert {place: (key, value) for place, (key, value, _) in found.items()} == {
        f"{requests}/3/0": (b"acme", orjson.dumps(event(1))),
        f"{requests}/3/3/1": (b"other", orjson.dumps(event(5, "other"))),
    }
    assert f"partition {partition_of('acme', PARTITIONS)}," in found[f"{requests}/3/0"][2]
    ((key, value, _),) = sent(deployed, TopicName.OPERATOR).values()
    assert (key, value) == (b"tenant:acme", operator_record("release", 0, subject="tenant:acme"))


def test_force_sends_whatever_the_letters_hold(run: Run, deployed: Settings) -> None:
    requests = deployed.topic(TopicName.REQUESTS)
    assert run("replay", "--yes", "--force", "--place", requests).exit_code == 1  # one letter holds nothing
    found = sent(deployed)
    assert len(found) == len(REQUESTS) - 1
    key, value, place = found[f"{requests}/3/1"]
    assert (key, value) == (None, b"{")
    assert "partition 3," in place


def test_it_asks_first(run: Run, deployed: Settings) -> None:
    asked = run("replay", "--reason", "misrouted", stdin="n\n")
    assert "send 1 of 1 inputs again to " in asked.stderr
    assert asked.exit_code == 1
    assert run("replay", "--reason", "misrouted").exit_code == 1  # nobody is there to answer
    assert sent(deployed) == {}
    agreed = run("replay", "--reason", "misrouted", stdin="y\n")
    assert agreed.exit_code == 0
    assert agreed.stdout.endswith("1 sent again, 0 left\n")


def test_inputs_of_an_erased_tenant_are_left_out(run: Run, deployed: Settings) -> None:
    later = (NOW + timedelta(seconds=1)).isoformat()
    record = {"id": "1", "type": "forget", "subject": "tenant:other", "reason": "", "by": "jo", "at": later}
    producer = Producer({"bootstrap.servers": deployed.broker})
    producer.produce(deployed.topic(TopicName.OPERATOR), orjson.dumps(record))
    assert producer.flush(20) == 0
    lines = run("list").stdout.splitlines()
    assert len(lines) == len(REQUESTS)
    assert not any("mixed_tenants" in line for line in lines)
