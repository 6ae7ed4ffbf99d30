"""``stillwatch decisions explain`` with what stands around the decision: policy, neighbours, and the picture."""

from io import BytesIO
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import msgspec
import orjson
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from PIL import Image

from stream_app.cli.decisions import decisions
from stream_app.detection.decisions import Action, Decision
from stream_app.detection.detector import Detector
from stream_app.detection.operators import parse_operator
from stream_app.detection.partitions import partition_of
from stream_app.detection.policy import Policy, load_policy
from stream_app.detection.records import Record
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.conftest import SettingsFor
from tests.unit.streams import POLICY, POLICY_TEXT, evidence_of, in_order, operator_record, steady, time_of
from tests.unit.streams import decisions as decisions_of

PARTITIONS = 2
FILE_POLICY = load_policy(DEFAULT_POLICY.read_text(), "default")
EVENTS = [
    event
    for event in in_order(
        steady(0, 1860, 4), steady(1800, 1820, 1800, name="loop"), *(steady(0, 1860, 3, f"t{n}") for n in range(8))
    )
    if partition_of(event["tenant_id"], PARTITIONS) == partition_of("acme", PARTITIONS)
]


class Live(NamedTuple):
    """A deployment as it stands after the events: what was decided, and how to ask about it."""

    settings: Settings
    made: list[Decision]

    def explain(self, *arguments: object) -> Result:
        env = {"STILLWATCH_BROKER": self.settings.broker, "STILLWATCH_TOPIC_PREFIX": self.settings.topic_prefix}
        return CliRunner().invoke(decisions, ["explain", *map(str, arguments)], env=env)


def deploy(settings: Settings, first_event: int = 0, policy: Policy = POLICY) -> Live:
    """Decide as a worker would, with the topics' own offsets, and put events, decisions and the policy on topics."""
    topic, partition = settings.topic(TopicName.REQUESTS), partition_of("acme", PARTITIONS)
    detector = Detector(topic, partition, PARTITIONS, policy, {})
    override = operator_record("override", 1850, subject="tenant:acme", expires_s=3000, body={"action": "block"})
    lines = [orjson.dumps(event) for event in EVENTS]
    made = decisions_of(detector.handle([Record(offset, 1 << 50, line, {}) for offset, line in enumerate(lines)]))
    made += decisions_of(detector.instruct("operator", 0, parse_operator(override), override, "operator"))
    ordered = {"enable.idempotence": True}  # a repeated batch keeps its place: offsets are those that decisions name
    producer = Producer({"bootstrap.servers": settings.broker, "log_level": 0} | ordered)
    for event, line in list(zip(EVENTS, lines, strict=True))[first_event:]:
        producer.produce(topic, line, key=event["tenant_id"].encode(), partition=partition)
    for one in made:
        producer.produce(settings.topic(TopicName.DECISION_LOG), msgspec.json.encode(one), partition=0)
    for word in (operator_record("policy", 0, body={"yaml": POLICY_TEXT}), override):
        producer.produce(settings.topic(TopicName.OPERATOR), word, partition=0)
    assert producer.flush(30) == 0
    return Live(settings, made)


@pytest.fixture
def live(create_topics_for: SettingsFor, topic_prefix: str) -> Live:
    return deploy(create_topics_for(topic_prefix, PARTITIONS))


def words_of(svg: Path) -> str:
    return " ".join(text.text or "" for text in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text"))  # noqa: S314


def test_a_decision_is_drawn_from_the_events_on_the_topic(live: Live, tmp_path: Path) -> None:
    throttle = next(one for one in live.made if one.action is Action.THROTTLE)
    done = live.explain(throttle.decision_id, "--plot", tmp_path / "throttle.svg")
    assert (done.exit_code, done.stderr) == (0, f"{tmp_path / 'throttle.svg'}\n")
    for told in (
        "Before       observe at 2026-01-01 00:30:",
        "Rule         rung throttle: ",
        "After        block by the",
    ):
        assert told in done.stdout
    drawn = words_of(tmp_path / "throttle.svg")
    for told in ("tenant acme: throttle: ", "Rebuilt from 724 recorded events", "with the same id"):
        assert told in drawn
    place = evidence_of(live.made[0]).sources[0]
    assert f"topic {place.topic}, partition {place.partition}, offsets 0 to {len(EVENTS) - 1}." in drawn
    assert live.explain(throttle.decision_id, "--plot", tmp_path / "throttle.PNG").exit_code == 0
    assert Image.open(BytesIO((tmp_path / "throttle.PNG").read_bytes())).width == 1920


def test_an_operators_decision_is_told_with_its_author_and_drawn(live: Live, tmp_path: Path) -> None:
    done = live.explain(live.made[-1].decision_id, "--plot", tmp_path / "held.svg")
    assert done.exit_code == 0, done.output
    assert "override by ann: test" in done.stdout
    assert "Rebuilt from 724 recorded events" in words_of(tmp_path / "held.svg")


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_evidence_that_is_not_on_the_topic_is_told_in_one_line(
    create_topics_for: SettingsFor, topic_prefix: str, tmp_path: Path
) -> None:
    live = deploy(create_topics_for(topic_prefix, PARTITIONS), first_event=len(EVENTS) - 10)
    done = live.explain(live.made[0].decision_id, "--plot", tmp_path / "x.svg")
    assert done.exit_code == 1
    assert "ends at offset 10, before the evidence at " in done.stderr
    assert len(done.stderr.splitlines()) == 1
    elsewhere = live.settings.model_copy(update={"topic_prefix": f"{topic_prefix}-other"})
    told = evidence_of(live.made[0])
    sources = [msgspec.structs.replace(told.sources[0], topic=elsewhere.topic_prefix)]
    moved = msgspec.structs.replace(
        live.made[0], decision_id="moved", evidence=msgspec.structs.replace(told, sources=sources)
    )
    producer = Producer({"bootstrap.servers": live.settings.broker, "log_level": 0})
    producer.produce(live.settings.topic(TopicName.DECISION_LOG), msgspec.json.encode(moved), partition=0)
    assert producer.flush(30) == 0
    gone = live.explain("moved", "--plot", tmp_path / "x.svg")
    assert gone.exit_code == 1
    assert gone.stderr == f"Error: the events are gone: {live.settings.broker} has no topic {elsewhere.topic_prefix}\n"
    assert not (tmp_path / "x.svg").exists()


@pytest.mark.kafka
@pytest.mark.parametrize("broker", ["real"], indirect=True)
def test_what_retention_has_deleted_is_told(live: Live, tmp_path: Path) -> None:
    throttle = next(one for one in live.made if one.action is Action.THROTTLE)
    source = evidence_of(throttle).sources[0]
    admin = AdminClient({"bootstrap.servers": live.settings.broker})

    def delete_before(offset: int) -> None:
        place = TopicPartition(source.topic, source.partition, offset)
        admin.delete_records([place])[place].result(30)

    delete_before(source.first_offset - 5)
    assert live.explain(throttle.decision_id, "--plot", tmp_path / "part.svg").exit_code == 0
    assert "Older events are not there" in words_of(tmp_path / "part.svg")
    delete_before(source.last_offset + 1)
    gone = live.explain(throttle.decision_id, "--plot", tmp_path / "gone.svg")
    assert gone.exit_code == 1
    place = f"{source.topic}, partition {source.partition}"
    told = f"begins at offset {source.last_offset + 1}, the evidence ends at {source.last_offset}"
    assert gone.stderr == f"Error: the events are gone: {place} {told}\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Decision]:
    """Events and a replay's decisions in files, and one of these."""
    detector = Detector("replay", 0, 1, FILE_POLICY, {})
    lines = [orjson.dumps(event) for event in EVENTS]
    made = decisions_of(detector.handle([Record(offset, 1 << 50, line, {}) for offset, line in enumerate(lines)]))
    events, log = tmp_path / "events.jsonl", tmp_path / "decisions.jsonl"
    events.write_bytes(b"\n".join(lines))
    log.write_bytes(b"\n".join(map(msgspec.json.encode, made)))
    return events, log, made[-1]


def explain(*arguments: object) -> Result:
    return CliRunner().invoke(decisions, ["explain", *map(str, arguments)])


def test_a_replays_decision_is_drawn_from_the_replayed_files(
    files: tuple[Path, Path, Decision], tmp_path: Path
) -> None:
    events, log, made = files
    done = explain(made.decision_id, "--from", log, "--events", events, "--plot", tmp_path / "x.svg", "--json")
    assert done.exit_code == 0, done.output
    assert msgspec.json.decode(done.stdout, type=Decision) == made
    assert f"{events}." in words_of(tmp_path / "x.svg")


def test_what_cannot_be_drawn_is_told_in_one_line(files: tuple[Path, Path, Decision], tmp_path: Path) -> None:
    events, log, made = files
    calm = tmp_path / "calm.jsonl"
    calm.write_bytes(orjson.dumps(EVENTS[0] | {"tenant_id": "calm", "time": time_of(0)}))
    nowhere = tmp_path / "nowhere"
    for arguments, code, told in (
        (("--events", events, "--plot", "x.pdf"), 2, "x.pdf: a plot is written to a file that ends in .png or .svg\n"),
        (("--plot", tmp_path / "x.png"), 2, "--plot with --from needs the replayed events: --events FILE\n"),
        (("--events", nowhere, "--plot", tmp_path / "x.png"), 2, f"{nowhere}: No such file or directory\n"),
        (("--events", calm, "--plot", tmp_path / "x.png"), 1, "Error: no event of 'acme' around 2026-01-01 00:30:"),
        (
            ("--events", events, "--plot", nowhere / "x.png"),
            1,
            f"Error: cannot write {nowhere / 'x.png'}: No such file",
        ),
    ):
        done = explain(made.decision_id, "--from", log, *arguments)
        assert done.exit_code == code
        assert done.stderr.startswith(told)
        assert len(done.stderr.splitlines()) == 1
