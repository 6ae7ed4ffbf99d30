"""``stillwatch decisions`` over the decision log and over a replay's file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from stream_app.cli.decisions import decisions
from stream_app.detection.decisions import Action, Decision, PolicyRef, Reason, tenant_subject
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.unit.streams import time_of

NOBODY_LISTENS = "127.0.0.1:1"
NO_BROKER = f"Error: no Kafka broker answers at {NOBODY_LISTENS} (Connection refused)"
PARTITIONS = 3


def decision(number: int, subject: str = "acme", action: Action = Action.THROTTLE) -> Decision:
    """The decision ``d-number`` made ``number`` minutes after the beginning."""
    return Decision(
        decision_id=f"d-{number}",
        scope="tenant",
        subject=tenant_subject(subject),
        tenant_id=subject,
        action=action,
        simulated=False,
        origin="detector",
        reasons=[Reason("requests_60s", 90.0, 30.0, "requests", 60, 0.9999)],
        policy=PolicyRef("test-1", action),
        issued_at=time_of(60 * number),
        expires_at=time_of(60 * number + 600),
        revision=number,
    )


MADE = [
    decision(1),
    decision(2, "big co/eu", Action.BLOCK),
    decision(3, action=Action.BLOCK),
    decision(4, action=Action.ALLOW),
]
UNREADABLE = orjson.dumps(msgspec.to_builtins(decision(5)) | {"issued_at": "2026-02-31T00:00:00Z"})


def run(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(decisions, list(map(str, arguments)), env=env)


def ids(listed: Result) -> list[str]:
    assert listed.exit_code == 0, listed.output
    return [orjson.loads(line)["decision_id"] for line in listed.stdout.splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "decisions.jsonl"
    lines = [msgspec.json.encode(one) for one in (MADE[2], MADE[0], MADE[3], MADE[1], MADE[0])]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


@pytest.fixture
def env_of() -> Callable[[Settings], dict[str, str]]:
    return lambda settings: {"STILLWATCH_BROKER": settings.broker, "STILLWATCH_TOPIC_PREFIX": settings.topic_prefix}


def produce(settings: Settings, *values: bytes | None) -> None:
    """Put values on the decision log, one partition after the other."""
    producer = Producer({"bootstrap.servers": settings.broker})
    for number, value in enumerate(values):
        producer.produce(settings.topic(TopicName.DECISION_LOG), value, partition=number % PARTITIONS)
    assert producer.flush(30) == 0


def test_the_log_is_listed_newest_first_and_one_is_explained(
    create_topics_for: SettingsFor, topic_prefix: str, env_of: Callable[[Settings], dict[str, str]]
) -> None:
    settings = create_topics_for(topic_prefix, PARTITIONS)
    env = env_of(settings)
    empty = run("list", env=env)
    assert (empty.exit_code, empty.stdout, empty.stderr) == (0, "", "")
    produce(settings, *map(msgspec.json.encode, MADE), b"nonsense", UNREADABLE)
    listed = run("list", "--json", env=env)
    assert ids(listed) == ["d-4", "d-3", "d-2", "d-1"]
    assert listed.stderr.startswith("unreadable: 2 of 6; last ")
    told = run("explain", "d-2", env=env)
    assert told.exit_code == 0
    assert told.stdout.startswith("tenant big co/eu: block: 90 requests in 60 s, 3.0 times the usual 30\n")
    missing = run("explain", "d-9", env=env)
    assert missing.exit_code == 1
    assert missing.stderr.splitlines()[-1] == "Error: no decision 'd-9' in the decision log"


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["real"], indirect=True)
def test_a_transaction_that_was_aborted_or_just_ended_does_not_hold_the_reader_up(
    create_topics_for: SettingsFor, topic_prefix: str, env_of: Callable[[Settings], dict[str, str]]
) -> None:
    settings = create_topics_for(topic_prefix, PARTITIONS)
    producer = Producer({"bootstrap.servers": settings.broker, "transactional.id": topic_prefix})
    producer.init_transactions(30)
    for one, end in ((MADE[0], producer.commit_transaction), (MADE[1], producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(settings.topic(TopicName.DECISION_LOG), msgspec.json.encode(one), partition=0)
        producer.flush(30)
        end(30)
    assert ids(run("list", "--json", env=env_of(settings))) == ["d-1"]


def test_a_replays_file_is_listed_without_repeats(file: Path) -> None:
    listed = run("list", "--from", file)
    assert listed.exit_code == 0
    assert listed.stdout.splitlines()[1:3] == [
        "2026-01-01 00:03:00 UTC  d-3  tenant acme: block: 90 requests in 60 s, 3.0 times the usual 30",
        "2026-01-01 00:02:00 UTC  d-2  tenant big co/eu: block: 90 requests in 60 s, 3.0 times the usual 30",
    ]
    assert len(listed.stdout.splitlines()) == len(MADE)


def test_a_list_for_programs_can_be_read_again(file: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.jsonl"
    again.write_bytes(run("list", "--from", file, "--json").stdout_bytes)
    assert run("list", "--from", again).stdout == run("list", "--from", file).stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--action", "block"), ["d-3", "d-2"]),
        (("--subject", "acme"), ["d-4", "d-3", "d-1"]),
        (("--subject", "tenant:acme"), ["d-4", "d-3", "d-1"]),
        (("--subject", "big co/eu"), ["d-2"]),
        (("--subject", "big%20co%2Feu"), ["d-2"]),
        (("--subject", "nobody"), []),
        (("--since", time_of(180)), ["d-4", "d-3"]),
        (("--since", "2026-01-01T02:03:00+02:00"), ["d-4", "d-3"]),
        (("--since", "2026-01-02"), []),
        (("--limit", 2), ["d-4", "d-3"]),
        (("--limit", 1, "--action", "throttle"), ["d-1"]),
    ],
)
def test_lists_can_be_narrowed(file: Path, options: tuple[object, ...], expected: list[str]) -> None:
    assert ids(run("list", "--from", file, "--json", *options)) == expected


def test_one_decision_for_programs(file: Path) -> None:
    told = run("explain", "d-3", "--from", file, "--json")
    assert msgspec.json.decode(told.stdout_bytes, type=Decision) == MADE[2]


def test_unreadable_lines_are_counted_and_named_but_not_fatal(file: Path) -> None:
    with file.open("ab") as lines:
        lines.write(b"nonsense\n\n" + UNREADABLE + b"\n")
    listed = run("list", "--from", file, "--json")
    assert ids(listed) == ["d-4", "d-3", "d-2", "d-1"]
    assert listed.stderr.startswith(f"unreadable: 2 of 7; last {file}, line 8: ")
    assert len(listed.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "env", "code", "told"),
    [
        (("list", "--from", "nowhere"), {}, 2, "nowhere: no such file"),
        (("list", "--from", "/"), {}, 1, "Error: /: Is a directory"),
        (("list",), {"STILLWATCH_BROKER": NOBODY_LISTENS}, 1, NO_BROKER),
        (("explain", "x"), {"STILLWATCH_BROKER": NOBODY_LISTENS}, 1, NO_BROKER),
        (("list",), {"STILLWATCH_BROKER": "nonsense"}, 2, "STILLWATCH_BROKER: "),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(
    arguments: tuple[Any, ...], env: dict[str, str], code: int, told: str
) -> None:
    done = run(*arguments, env=env)
    assert done.exit_code == code
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1


def test_a_time_that_is_none_is_a_usage_error(file: Path) -> None:
    done = run("list", "--from", file, "--since", "yesterday")
    assert done.exit_code == 2
    assert "'yesterday' is not a time such as" in done.stderr
