"""Commands that write operator records, and that read them back, over a broker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from stream_app.adapters.embedded_broker import EmbeddedBroker
from stream_app.adapters.operator_topic import WrittenRecord, read_operator_records
from stream_app.cli import main
from stream_app.detection.operators import Enforcement, Feedback, Override, Release, SetPolicy, Watch
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.unit.streams import POLICY_TEXT

Run = Callable[..., Result]
PREFIXES = [
    "what_is_ordered_is_o",
    "what_no_worker_would",
    "the_newest_policy_wr",
    "enforcement_shows_wh",
    "a_campaign_is_judged",
]
WHY = ("--reason", "test", "--by", "jo")


@pytest.fixture(scope="module")
def bootstrap() -> Iterator[str]:
    """One broker for all tests: each has topics of its own."""
    topics = {f"{prefix}.{name}": 1 for prefix in PREFIXES for name in (TopicName.OPERATOR, TopicName.CAMPAIGNS)}
    with EmbeddedBroker(topics) as broker:
        yield broker.bootstrap


@pytest.fixture
def deployed(bootstrap: str, request: pytest.FixtureRequest) -> Settings:
    return Settings(broker=bootstrap, topic_prefix=request.node.name.removeprefix("test_")[:20], embedded=True)


@pytest.fixture
def run(deployed: Settings) -> Run:
    env = {
        "STILLWATCH_BROKER": deployed.broker,
        "STILLWATCH_TOPIC_PREFIX": deployed.topic_prefix,
        "STILLWATCH_EMBEDDED": "true",
    }
    return lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)), env=env)


def written(settings: Settings) -> list[WrittenRecord]:
    return list(read_operator_records(settings))


def test_what_is_ordered_is_on_the_topic_in_order(run: Run, deployed: Settings) -> None:
    orders = [
        ("allow", "tenant:acme", "--for", "2h", "--purpose", "evaluation"),
        ("override", "tenant:acme", "--for", "30m", "--action", "throttle", "--tokens-per-minute", 9),
        ("watch", "account:a%2Fb/user", "--for", "7d"),
        ("watch", "account:a%2Fb/user", "--end"),
        ("release", "tenant:acme", "--undoes", "op-1"),
        ("enforcement", "off"),
    ]
    for offset, order in enumerate(orders):
        said = run(*order, *WHY)
        assert said.exit_code == 0, said.output
        assert f"at offset {offset} as " in said.stdout
        assert "\nto undo: " in said.stdout
    kinds = [Override, Override, Watch, Watch, Release, Enforcement]
    understood = [one.instruction for one in written(deployed)]
    assert [type(one) for one in understood] == kinds
    released = understood[4]
    assert isinstance(released, Release)
    assert (released.record.body, released.record.by, released.record.reason) == ({"undoes": "op-1"}, "jo", "test")


REFUSED = [
    (("release", "acme"), "not written: not a control topic key such as tenant:acme: 'acme'"),
    (
        ("allow", "ip_prefix:10.0.0.0%2F8", "--for", "1h"),
        "not written: subject 'ip_prefix:10.0.0.0%2F8' must be tenant:ID or",
    ),
    (("release", "tenant:acme", "--by", "x" * 513), "not written: Expected `str` of length <= 512"),
    (("allow", "tenant:acme", "--for", "2"), "'2' is not a time such as 30m, 2h or 7d"),
    (("watch", "tenant:acme"), "a watch takes either --for TIME or --end"),
    (("watch", "country:XX", "--for", "1d"), "not written: nobody would act upon a watch of 'country:XX'"),
    (("override", "tenant:acme", "--for", "1h", "--action", "throttle"), "a throttle, and nothing else, takes"),
    (("policy", "set", "README.md"), "not written: README.md"),
    (("policy", "set", "no-such-file"), "no-such-file: No such file or directory"),
]


def test_what_no_worker_would_follow_is_not_written(run: Run, deployed: Settings) -> None:
    for order, line in REFUSED:
        said = run(*order, "--reason", "test")
        assert said.exit_code == 2, said.output
        assert line in said.stderr
        assert "Traceback" not in said.output
    assert written(deployed) == []


def test_the_newest_policy_written_is_the_one_in_force(run: Run, deployed: Settings, tmp_path: Path) -> None:
    assert run("policy", "show").stderr.startswith("policy default-1, shadow: ")
    one, two, bad = (tmp_path / name for name in ("one.yaml", "two.yaml", "bad.yaml"))
    one.write_text(POLICY_TEXT)
    two.write_text(POLICY_TEXT + "# again\n")
    bad.write_text("version: 1")
    assert run("policy", "check", one).exit_code == 0
    assert run("policy", "check", bad).exit_code == 1
    assert run("policy", "set", one, *WHY).exit_code == 0
    said = run("policy", "set", two, *WHY)
    assert "stillwatch policy show --offset 0 > before.yaml" in said.stdout
    assert run("policy", "show").stdout == two.read_text()
    assert run("policy", "show", "--offset", 0).stdout == one.read_text()
    assert run("policy", "show", "--offset", 5).exit_code == 1
    assert [type(entry.instruction) for entry in written(deployed)] == [SetPolicy, SetPolicy]


def test_enforcement_shows_who_switched_last(run: Run) -> None:
    assert orjson.loads(run("enforcement", "show", "--json").stdout)["enforced"] is True
    run("enforcement", "off", *WHY)
    shown = orjson.loads(run("enforcement", "show", "--json").stdout)
    assert (shown["enforced"], shown["by"], shown["reason"]) == (False, "jo", "test")
    run("enforcement", "on", *WHY)
    assert run("enforcement", "show").stdout.startswith("enforcement is on (by jo at ")


def test_a_campaign_is_judged_by_its_present_id(run: Run, deployed: Settings) -> None:
    header = {"campaign_id": "c-2", "aliases": ["c-1"], "status": "candidate", "evidence": []}
    producer = Producer({"bootstrap.servers": deployed.broker})
    producer.produce(deployed.topic(TopicName.CAMPAIGNS), orjson.dumps(header), key="c-2")
    assert producer.flush(20) == 0
    assert run("campaigns", "dismiss", "c-1", "--for", "7d", *WHY).exit_code == 0
    unknown = run("campaigns", "confirm", "c-3", *WHY)
    assert (unknown.exit_code, unknown.stderr) == (1, "Error: no campaign 'c-3' in the campaigns topic\n")
    (judged,) = [one.instruction for one in written(deployed)]
    assert isinstance(judged, Feedback)
    assert (judged.campaign_id, judged.is_confirmed, judged.expires_ms is None) == ("c-2", False, False)
