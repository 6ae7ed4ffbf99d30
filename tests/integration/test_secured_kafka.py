"""A broker with TLS, passwords, certificates and grants: who gets in, who may do what, and what the rest is told.

One broker for the module. Users and grants are those of ``stream_app/grants.py``.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from kafka.admin import KafkaAdminClient

from stream_app.adapters.admission import RefusedError, check_admission
from stream_app.adapters.clients import client_config
from stream_app.adapters.credentials import python_security
from stream_app.adapters.recorded_events import RecordsGoneError, find_signals
from stream_app.adapters.topic_admin import check_rights, create_topics
from stream_app.demo.workers import RunningWorker, starting_worker
from stream_app.grants import COMPONENTS, Grant, Resource, grants
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.brokers import NoRealBrokerError
from tests.secured_brokers import SecuredKafka, environment, secured_kafka

pytestmark = pytest.mark.kafka

TIMEOUT_S = 60
PREFIX = "stillwatch"
WORKER = grants("worker", prefix=PREFIX, group=PREFIX)


class Ended(NamedTuple):
    """A command that is over."""

    status: int
    output: str


class Running(NamedTuple):
    """A deployment on the secured broker; every component is a user of its own."""

    tenants: RunningWorker
    campaigns: RunningWorker
    limiter: "subprocess.Popen[str]"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """The broker, with all users and all topics."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(secured_kafka(tmp_path_factory.mktemp("secured")))
        except NoRealBrokerError as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        for name in COMPONENTS:
            found.add_user(f"stillwatch-{name}", grants(name, prefix=PREFIX, group=PREFIX))
            found.add_user(f"matrix-{name}", grants(name, prefix="matrix", group="matrix"))
        create_topics(found.settings("stillwatch-topics", partitions=2))
        create_topics(found.settings("matrix-topics", topic_prefix="matrix", partitions=1))
        yield found


def start(settings: Settings, *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "stream_app", *words],
        env=os.environ | environment(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process: "subprocess.Popen[str]") -> Ended:
    output, _ = process.communicate(timeout=TIMEOUT_S)
    return Ended(process.returncode, output)


def without(user: str, secured: SecuredKafka, lacking: Resource | TopicName) -> str:
    """A worker's user that is granted all but one thing."""
    is_lacking = {f"{PREFIX}.{lacking}", lacking}
    secured.add_user(user, [grant for grant in WORKER if not {grant.name, grant.resource} & is_lacking])
    return user


@pytest.fixture(scope="module")
def refused(secured: SecuredKafka, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Ended]:
    """Commands that must not work, all started at once."""
    folder = secured.folder
    (folder / "wrong.password").write_text("wr0ng-passw0rd\n")
    wrong = {"sasl_password_file": folder / "wrong.password"}
    own: dict[str, object] = {"partitions": 2, "web_port": 0, "data_dir": tmp_path_factory.mktemp("files")}
    expired = {"broker": secured.kafka.listeners["EXPIRED"]}
    cases: dict[str, tuple[Settings, str]] = {
        "worker: wrong password": (secured.settings("stillwatch-worker", **own | wrong), "worker"),
        "worker: expired": (secured.settings("stillwatch-worker", **own | expired), "worker"),
        "worker: no decisions": (
            secured.settings(without("no-decisions", secured, TopicName.DECISIONS), **own),
            "worker",
        ),
        "worker: no transactions": (
            secured.settings(without("no-transactions", secured, Resource.TRANSACTIONAL_ID), **own),
            "worker",
        ),
        "limiter: wrong password": (secured.settings("stillwatch-limiter", **own | wrong), "limiter --port 0"),
        "limiter: gateway's user": (secured.settings("stillwatch-gateway", **own), "limiter --port 0"),
        "decisions: limiter's user": (secured.settings("stillwatch-limiter", **own), "decisions list"),
    }
    running = {name: start(settings, *words.split()) for name, (settings, words) in cases.items()}
    return {name: ended(process) for name, process in running.items()}


@pytest.mark.parametrize(
    ("case", "line"),
    [
        ("worker: wrong password", "the broker at {} refuses user stillwatch-worker: wrong name or password"),
        ("worker: expired", "the broker at {} is not trusted: certificate has expired"),
        ("worker: no decisions", "{}: no-decisions may not Write stillwatch.decisions.v1"),
        ("worker: no transactions", "{}: no-transactions may not Write transactional id stillwatch-{}"),
        ("limiter: wrong password", "the broker at {} refuses user stillwatch-limiter: wrong name or password"),
        (
            "limiter: gateway's user",
            "{}: stillwatch-gateway may not Read and Describe stillwatch.decisions.v1, "
            "nor Read and Describe stillwatch.operator.v1",
        ),
        ("decisions: limiter's user", "{}TopicAuthorizationFailedError: stillwatch.decision-log.v1"),
    ],
)
def test_a_refusal_is_one_line_and_the_end(refused: dict[str, Ended], case: str, line: str) -> None:
    found = refused[case]
    assert found.status == 1
    assert "Traceback" not in found.output
    last = found.output.rstrip().splitlines()[-1].removeprefix("Error: ")
    assert re.fullmatch(re.escape(line).replace(r"\{\}", ".*"), last), found.output


def test_a_broker_that_cannot_be_trusted_is_not_talked_to(secured: SecuredKafka) -> None:
    strange = secured.settings("stillwatch-worker", tls_ca_file=secured.folder / "strange-ca.pem")
    with pytest.raises(RefusedError, match=r"is not trusted: unable to get local issuer certificate$"):
        check_admission(strange)
    _, _, port = secured.kafka.listeners["USERS"].rpartition(":")
    with pytest.raises(RefusedError, match=r"is not trusted: Hostname mismatch, certificate is not valid"):
        check_admission(secured.settings("stillwatch-worker", broker=f"localhost:{port}"))


def test_who_shows_no_certificate_where_one_is_asked_for_is_told(secured: SecuredKafka) -> None:
    certified = secured.certified("stillwatch-worker")
    check_admission(certified)
    bare = certified.model_copy(update={"tls_certificate_file": None, "tls_key_file": None})
    with pytest.raises(RefusedError, match=r"no TLS with the broker at .*certificate"):
        check_admission(bare)


def test_who_may_not_join_the_group_is_told(secured: SecuredKafka) -> None:
    user = without("no-group", secured, Resource.GROUP)
    with pytest.raises(RefusedError, match=f"{user} may not join group stillwatch$"):
        check_rights(secured.settings(user), "worker")


@pytest.fixture(scope="module")
def running(secured: SecuredKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Both stages and a limiter; the campaign stage shows a certificate instead of a password."""
    folder = tmp_path_factory.mktemp("running")
    # At debug, so that the clients' own lines are there, too, when it is asked what no line may hold.
    own: dict[str, object] = {"partitions": 2, "web_port": 0, "data_dir": folder, "log_level": "debug"}
    with ExitStack() as stack:
        tenants = stack.enter_context(
            starting_worker(secured.settings("stillwatch-worker", **own), folder / "tenants.log")
        )
        second = secured.certified("stillwatch-campaigns", stage="campaigns", **own)
        campaigns = stack.enter_context(starting_worker(second, folder / "campaigns.log"))
        limiter = start(secured.settings("stillwatch-limiter", **own), "limiter", "--port", "0")
        stack.callback(ended, limiter)
        stack.callback(limiter.terminate)
        tenants.wait_until_ready()
        campaigns.wait_until_ready()
        yield Running(tenants, campaigns, limiter)


def test_each_component_can_do_its_work_as_its_own_user(secured: SecuredKafka, running: Running) -> None:
    gateway = Producer(client_config(secured.settings("stillwatch-gateway")) | {"partitioner": "murmur2"})
    gateway.produce("stillwatch.requests.v1", b"{", key=b"acme")
    assert gateway.flush(20) == 0
    deadline = time.monotonic() + TIMEOUT_S
    while not ((counts := running.tenants.face.counts()) and counts.dead_letters):
        running.tenants.check()
        assert time.monotonic() < deadline, running.tenants.last_words()
        time.sleep(0.1)
    operator = secured.settings("stillwatch-operator", partitions=2)
    doctor, decisions = start(operator, "doctor"), start(operator, "decisions", "list")
    assert ended(doctor).status == 0
    assert ended(decisions) == Ended(0, "")
    with pytest.raises(RecordsGoneError, match="holds no signal"):
        find_signals(operator, 0)
    assert running.limiter.stdout
    lines = [running.limiter.stdout.readline() for _ in range(2)]
    assert lines[1] == "ready: 0 records read\n"


def test_no_password_is_logged(secured: SecuredKafka, running: Running, refused: dict[str, Ended]) -> None:
    texts = [running.tenants.log.read_text(), running.campaigns.log.read_text()]
    texts += [Path(f"/proc/{running.tenants.process.pid}/{name}").read_text() for name in ("cmdline", "environ")]
    texts += [found.output for found in refused.values()]
    assert all(texts[:2])
    for secret in (*secured.passwords.values(), "wr0ng-passw0rd"):
        assert not any(secret in text for text in texts)


def written(settings: Settings, topics: list[str]) -> set[str]:
    """Topics that a user can write to."""
    reached: set[str] = set()

    def note(error: KafkaError | None, message: Message) -> None:
        if error is None:
            reached.add(str(message.topic()))
        else:
            assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED

    producer = Producer(client_config(settings) | {"topic.metadata.propagation.max.ms": 0})
    for topic in topics:
        producer.produce(topic, b"?", key=b"?", partition=0, on_delivery=note)
    assert producer.flush(20) == 0
    return reached


def readable(settings: Settings, topics: list[str]) -> set[str]:
    """Topics that the broker says a user can read."""
    with KafkaAdminClient(bootstrap_servers=settings.broker, **python_security(settings)) as admin:
        described = admin.describe_topics(topics)
    return {topic["name"] for topic in described if "READ" in (topic.get("authorized_operations") or ())}


@pytest.mark.parametrize("name", COMPONENTS)
def test_each_user_reads_and_writes_what_the_table_says_and_nothing_else(secured: SecuredKafka, name: str) -> None:
    settings = secured.settings(f"matrix-{name}", topic_prefix="matrix", group="matrix")
    topics = [settings.topic(topic) for topic in TopicName]
    of = COMPONENTS[name]
    assert readable(settings, topics) == {settings.topic(topic) for topic in of.reads}
    assert written(settings, topics) == {settings.topic(topic) for topic in of.writes}
    check_rights(settings, name)


@pytest.mark.parametrize("name", ["limiter", "gateway", "operator"])
def test_who_is_no_worker_cannot_take_a_workers_place(secured: SecuredKafka, name: str) -> None:
    settings = secured.settings(f"stillwatch-{name}")
    fencing = Producer(client_config(settings) | {"transactional.id": "stillwatch-0"})
    with pytest.raises(KafkaException) as refusal:
        fencing.init_transactions(20)
    assert refusal.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
    member = Consumer(client_config(settings) | {"group.id": "stillwatch"})
    member.subscribe(["stillwatch.requests.v1", "stillwatch.decisions.v1"])
    answer = member.poll(20)
    assert answer is not None
    error = answer.error()
    assert error is not None
    assert error.code() in {KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED}
    member.close()


def test_who_may_not_read_a_topic_gets_nothing_of_it(secured: SecuredKafka) -> None:
    consumer = Consumer(client_config(secured.settings("stillwatch-campaigns")) | {"group.id": "stillwatch-campaigns"})
    consumer.assign([TopicPartition("stillwatch.requests.v1", 0, OFFSET_BEGINNING)])
    answer = consumer.poll(20)
    assert answer is not None
    error = answer.error()
    assert error is not None
    assert error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED
    consumer.close()


def test_what_is_granted_has_no_wildcard() -> None:
    granted: list[Grant] = [grant for name in COMPONENTS for grant in grants(name, prefix=PREFIX, group=PREFIX)]
    assert not [grant for grant in granted if "*" in grant.name or not grant.name]
