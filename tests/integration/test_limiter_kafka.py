"""The limiter against brokers: embedded and real."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from confluent_kafka import Producer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kafka.admin import KafkaAdminClient
from prometheus_client import CollectorRegistry

from stream_app.limiter import Allowance, ControlTopic, DecisionsTable, Limiter, RequestFacts
from stream_app.signatures import Purpose, Signer, Verifier
from stream_app.signed_records import ControlRecord, OperatorSignatures, signature_headers
from tests import brokers
from tests.brokers import NoRealBrokerError, RunningKafka, TestBroker
from tests.unit.streams import operator_record

DEADLINE_S = 30
EXPIRES_AT = (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def decision(tenant_id: str, action: str, revision: int = 1) -> tuple[bytes, bytes]:
    fields = {
        "decision_id": f"{tenant_id}-{revision}",
        "scope": "tenant",
        "subject": tenant_id,
        "action": action,
        "simulated": False,
        "origin": "detector",
        "reasons": [{"code": "requests_surge"}],
        "expires_at": EXPIRES_AT,
        "revision": revision,
    }
    return f"tenant:{tenant_id}".encode(), orjson.dumps(fields)


def send_orders(bootstrap: str, topic: str, *records: tuple[bytes, list[tuple[str, bytes]]]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap})
    for value, headers in records:
        producer.produce(topic, key=b"enforcement", value=value, headers=[*headers])
    assert producer.flush(20) == 0


def produce(bootstrap: str, topic: str, *records: tuple[bytes, bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2", "acks": "all", "linger.ms": 1})
    for key, value in records:
        producer.produce(topic, key=key, value=value)
    assert producer.flush(20) == 0


def operator_topic(topic: str) -> str:
    """The operator topic beside a control topic."""
    return topic.replace("decisions", "operator")


def eventually(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < deadline, f"not so within {DEADLINE_S} s"
        time.sleep(0.02)


class Following:
    """A limiter that follows a topic."""

    def __init__(
        self,
        bootstrap: str,
        topic: str,
        verifier: Verifier | None = None,
        signatures: OperatorSignatures | None = None,
    ) -> None:
        self.registry = CollectorRegistry()
        self.limiter = Limiter(DecisionsTable(), self.registry)
        self.control_topic = ControlTopic(
            self.limiter,
            broker=bootstrap,
            topic=topic,
            operator_topic=operator_topic(topic),
            verifier=verifier,
            operator_signatures=signatures,
        )

    def ask(self, tenant_id: str) -> Allowance:
        return self.limiter.check(RequestFacts(tenant_id=tenant_id, account_id="bob"))

    def is_ready(self) -> bool:
        return self.limiter.fault(self.limiter.now_ms()) is None

    def age_s(self) -> float:
        age_s = self.registry.get_sample_value("stillwatch_limiter_table_age_seconds")
        assert age_s is not None
        return age_s


@contextmanager
def following(
    bootstrap: str, topic: str, verifier: Verifier | None = None, signatures: OperatorSignatures | None = None
) -> Iterator[Following]:
    found = Following(bootstrap, topic, verifier, signatures)
    found.control_topic.start()
    try:
        yield found
    finally:
        found.control_topic.stop()
        assert not found.control_topic.is_running()


def test_reads_to_the_end_and_then_follows(broker: TestBroker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.decisions.v1"
    bootstrap = broker.with_topics({topic: 4, operator_topic(topic): 1})
    produce(bootstrap, topic, *(decision(f"t{number}", "block") for number in range(500)))
    produce(bootstrap, topic, (b"tenant:t0", None), decision("t1", "allow", 2), (b"tenant:t2", b"{"))
    with following(bootstrap, topic) as found:
        eventually(found.is_ready)
        assert [found.ask(f"t{number}").allowed for number in (0, 1, 2, 499)] == [True, True, False, False]
        assert found.registry.get_sample_value("stillwatch_limiter_unreadable_records_total") == 1
        produce(bootstrap, topic, decision("late", "block"))
        eventually(lambda: not found.ask("late").allowed)
        produce(bootstrap, topic, (b"tenant:late", None))
        eventually(lambda: found.ask("late").allowed)


def test_an_empty_topic_is_ready(broker: TestBroker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.decisions.v1"
    bootstrap = broker.with_topics({topic: 2, operator_topic(topic): 1})
    with following(bootstrap, topic) as found:
        eventually(found.is_ready)


def test_the_switch_is_heeded_without_any_worker_and_after_a_restart(broker: TestBroker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.decisions.v1"
    bootstrap = broker.with_topics({topic: 2, operator_topic(topic): 1})
    produce(bootstrap, topic, decision("t1", "block"))

    def switch(*, enforced: bool) -> None:
        value = operator_record("enforcement", 0, body={"enforced": enforced})
        produce(bootstrap, operator_topic(topic), (b"enforcement", value))

    with following(bootstrap, topic) as found:
        eventually(found.is_ready)
        assert not found.ask("t1").allowed
        switch(enforced=False)
        eventually(lambda: found.ask("t1").reason_code == "enforcement_off")
        assert found.is_ready()
    with following(bootstrap, topic) as again:
        eventually(again.is_ready)
        assert again.ask("t1").reason_code == "enforcement_off"
        switch(enforced=True)
        eventually(lambda: not again.ask("t1").allowed)


@pytest.mark.kafka
def test_only_committed_decisions_count(real_broker: TestBroker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.decisions.v1"
    bootstrap = real_broker.with_topics({topic: 1, operator_topic(topic): 1})
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": topic_prefix})
    producer.init_transactions(20)
    for tenant_id, end in (("aborted", producer.abort_transaction), ("committed", producer.commit_transaction)):
        producer.begin_transaction()
        key, value = decision(tenant_id, "block")
        producer.produce(topic, key=key, value=value)
        producer.flush(20)
        end(20)
    with following(bootstrap, topic) as found:
        eventually(found.is_ready)
        assert [found.ask(tenant_id).allowed for tenant_id in ("aborted", "committed")] == [True, False]


@pytest.mark.kafka
def test_a_new_partition_is_picked_up(
    real_broker: TestBroker, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_app.limiter.control_topic.METADATA_MAX_AGE_MS", 1_000)
    topic = f"{topic_prefix}.decisions.v1"
    bootstrap = real_broker.with_topics({topic: 1, operator_topic(topic): 1})
    with following(bootstrap, topic) as found:
        eventually(found.is_ready)
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        admin.create_partitions({topic: 4})
        admin.close()
        produce(bootstrap, topic, *(decision(f"t{number}", "block") for number in range(40)))
        eventually(lambda: not any(found.ask(f"t{number}").allowed for number in range(40)))


@pytest.fixture
def own_kafka() -> Iterator[RunningKafka]:
    """A broker that a test may freeze."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(brokers.real_kafka())
        except NoRealBrokerError as error:
            pytest.skip(str(error))


@pytest.mark.kafka
@pytest.mark.slow
def test_a_lost_broker_leaves_the_table_in_force_and_is_read_on_when_back(
    own_kafka: RunningKafka, topic_prefix: str
) -> None:
    topic = f"{topic_prefix}.decisions.v1"
    brokers.create_topics(own_kafka.bootstrap, {topic: 2, operator_topic(topic): 1})
    produce(own_kafka.bootstrap, topic, decision("acme", "block"))
    with following(own_kafka.bootstrap, topic) as found:
        eventually(found.is_ready)
        os.kill(own_kafka.pid, signal.SIGSTOP)
        try:
            eventually(lambda: found.age_s() > 8)
            assert not found.ask("acme").allowed
        finally:
            os.kill(own_kafka.pid, signal.SIGCONT)
        eventually(lambda: found.age_s() < 3)
        produce(own_kafka.bootstrap, topic, decision("acme", "allow", 2), decision("other", "block"))
        eventually(lambda: found.ask("acme").allowed and not found.ask("other").allowed)
        assert found.control_topic.records_read == 3


def test_a_broker_that_does_not_answer_is_waited_for(topic_prefix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = Following(f"127.0.0.1:{silent.getsockname()[1]}", f"{topic_prefix}.decisions.v1")
        found.control_topic.start()
        allowance = found.ask("acme")
        assert (allowance.allowed, allowance.reason_code) == (True, "table_not_ready")
        assert found.control_topic.is_running()
        found.control_topic.stop()
        assert not found.control_topic.is_running()


def send_signed(bootstrap: str, topic: str, signer: Signer, *records: tuple[bytes, bytes | None], at_ms: int) -> None:
    """Produce records as a worker that signs, at this time."""
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2", "acks": "all"})
    for key, value in records:
        headers = signature_headers(ControlRecord(key, value), signer, at_ms)
        producer.produce(topic, key=key, value=value, headers=[*headers])
    assert producer.flush(20) == 0


@pytest.mark.parametrize("broker", [pytest.param("real", marks=pytest.mark.kafka)], indirect=True)
def test_what_no_trusted_key_has_signed_is_ignored_and_counted(broker: TestBroker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.decisions.v1"
    bootstrap = broker.with_topics({topic: 2, operator_topic(topic): 1})
    ours, theirs = Signer(Ed25519PrivateKey.generate()), Signer(Ed25519PrivateKey.generate())
    now_ms = round(time.time() * 1000)
    blocked, freed = decision("acme", "block"), decision("freed", "block")
    send_signed(bootstrap, topic, ours, (b"tenant:old", None), at_ms=now_ms - 60_000)
    send_signed(bootstrap, topic, ours, blocked, freed, decision("old", "block"), at_ms=now_ms)
    send_signed(bootstrap, topic, ours, (b"tenant:freed", None), at_ms=now_ms + 1)
    with following(bootstrap, topic, ours.verifier()) as found:
        eventually(found.is_ready)
        assert [found.ask(name).allowed for name in ("acme", "freed", "old")] == [False, True, False]
        # unsigned: a release, a tombstone and a block; then signed by another key
        produce(bootstrap, topic, decision("acme", "allow", 9), (b"tenant:acme", None), decision("victim", "block"))
        send_signed(bootstrap, topic, theirs, decision("victim", "block"), at_ms=now_ms)
        # true records and their headers, sent again: the block under another key, the old tombstone in its own place
        producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2"})
        true_headers = signature_headers(ControlRecord(*blocked), ours, now_ms)
        producer.produce(topic, key=b"tenant:victim", value=blocked[1], headers=[*true_headers])
        assert producer.flush(20) == 0
        send_signed(bootstrap, topic, ours, (b"tenant:old", None), at_ms=now_ms - 60_000)
        eventually(lambda: found.control_topic.records_read == 11)
        assert [found.ask(name).allowed for name in ("acme", "freed", "old", "victim")] == [False, True, False, True]
        assert found.registry.get_sample_value("stillwatch_limiter_forged_records_total") == 5
        send_signed(bootstrap, topic, ours, decision("acme", "allow", 2), at_ms=now_ms + 2)
        eventually(lambda: found.ask("acme").allowed)


def test_a_switch_that_no_trusted_key_has_signed_is_ignored_and_counted(broker: TestBroker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}.decisions.v1"
    orders = operator_topic(topic)
    bootstrap = broker.with_topics({topic: 1, orders: 1})
    ours, theirs = Signer(Ed25519PrivateKey.generate()), Signer(Ed25519PrivateKey.generate())
    off, on = (operator_record("enforcement", number, body={"enforced": bool(number)}) for number in range(2))

    def signed(value: bytes, signer: Signer) -> tuple[bytes, list[tuple[str, bytes]]]:
        return value, signature_headers(ControlRecord(b"enforcement", value), signer, 1, Purpose.OPERATOR)

    produce(bootstrap, topic, decision("acme", "block"))
    send_orders(bootstrap, orders, signed(off, ours), signed(on, ours))
    with following(bootstrap, topic, signatures=OperatorSignatures(ours.verifier())) as found:
        eventually(found.is_ready)
        assert not found.ask("acme").allowed
        # unsigned, by another key, and the true one of before
        send_orders(bootstrap, orders, (off, []), signed(off, theirs), signed(off, ours))
        eventually(lambda: found.control_topic.records_read == 6)
        assert not found.ask("acme").allowed
        assert found.registry.get_sample_value("stillwatch_limiter_forged_records_total") == 3
