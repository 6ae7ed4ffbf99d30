"""One deployment to be hurt: topics, workers, traffic, and the verdict on what came of it."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import orjson
from confluent_kafka import KafkaException

from stream_app.adapters.topic_admin import create_topics
from stream_app.detection.decisions import Decision
from stream_app.detection.operators import JournalEntry
from stream_app.detection.partitions import partition_of
from stream_app.policies import read_policy
from stream_app.replay import OPERATOR_LOG
from stream_app.settings import Settings
from stream_app.topology import TopicName
from tests.brokers import Record
from tests.faults.clusters import Cluster
from tests.faults.oracles import Instruction, Lost, Oracle, Outcome, Verdict, judge
from tests.faults.policies import touchy_policy
from tests.faults.proxies import Proxy
from tests.faults.topics import CommittedRecords
from tests.faults.traffic import Traffic, new_producer
from tests.faults.workers import STOCK, WorkerProcess

PARTITIONS = 6
#: A worker that can work has caught up by then; after that, nothing will be mended any more.
SETTLE_TIMEOUT_S = 60.0
CLOSING_TIMEOUT_S = 8.0
TAKEOVER_TIMEOUT_S = 60.0
_LOOK_S = 0.2
_TOPICS = (
    TopicName.REQUESTS,
    TopicName.TENANT_STATE,
    TopicName.DECISION_LOG,
    TopicName.DECISIONS,
    TopicName.DEAD_LETTERS,
    TopicName.JOURNAL,
    TopicName.OPERATOR,
)


class Takeover(NamedTuple):
    """From a kill until a new owner's first decision for one of the dead worker's partitions, and for all of them."""

    first_s: float
    all_s: float


class Trial:
    """A deployment on a cluster; ``workers`` run while faults happen, and all but the broker ends with the block."""

    def __init__(
        self, cluster: Cluster, prefix: str, folder: Path, *, seed: int, rate: float, proxy: Proxy | None = None
    ) -> None:
        policy = folder / "policy.yaml"
        policy.write_text(touchy_policy())
        self.cluster = cluster
        self._proxy = proxy
        self.settings = Settings(
            broker=cluster.advertised if proxy else cluster.bootstrap,
            topic_prefix=prefix,
            group=prefix,
            partitions=PARTITIONS,
            policy=policy,
            replication_factor=len(cluster.nodes),
        )
        direct = self.settings.model_copy(update={"broker": cluster.bootstrap})
        create_topics(direct)
        self.folder = folder
        self.traffic = Traffic(direct, cluster.bootstrap, seed, rate)
        self.workers: list[WorkerProcess] = []
        self.takeovers: list[Takeover] = []
        self.lost: dict[int, Lost] = {}
        self._started = 0
        self._expected: tuple[int, Outcome, int] | None = None
        self._open = ExitStack()
        counts = {TopicName.OPERATOR: 1, TopicName.DEAD_LETTERS: 1}
        self.topics = {
            name: CommittedRecords(cluster.bootstrap, direct.topic(name), counts.get(name, PARTITIONS))
            for name in _TOPICS
        }

    @property
    def proxy(self) -> Proxy:
        """The network between workers and broker, in a trial that has one."""
        assert self._proxy is not None
        return self._proxy

    def __enter__(self) -> Self:
        for topic in self.topics.values():
            self._open.enter_context(topic)
        return self

    def __exit__(self, *_: object) -> None:
        self.traffic.give_up()
        for worker in self.workers:
            worker.wake()
            worker.kill()
        self._open.close()

    def start_worker(
        self, *, arguments: Sequence[str] = STOCK, environment: Mapping[str, str] | None = None, **changes: Any
    ) -> WorkerProcess:
        """Start one more worker, without waiting until it is ready."""
        self._started += 1
        settings = self.settings.model_copy(update=changes)
        worker = WorkerProcess(settings, self.folder / f"worker-{self._started}", arguments, environment)
        self.workers.append(worker)
        return worker

    def start_workers(self, count: int) -> list[WorkerProcess]:
        """Start some workers and wait until they share the partitions."""
        started = [self.start_worker() for _ in range(count)]
        for worker in started:
            worker.wait_ready()
        return started

    def go_on(self, seconds: float) -> None:
        """Let traffic and workers run."""
        time.sleep(seconds)

    def until(self, is_so: Callable[[], bool], what: str, timeout_s: float = SETTLE_TIMEOUT_S) -> None:
        """Wait for something. Raises ``TimeoutError`` when it does not come."""
        deadline = time.monotonic() + timeout_s
        while not is_so():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {timeout_s:.0f} s\n{self.last_words()}")
            time.sleep(_LOOK_S)

    def until_shared(self) -> None:
        """Wait until the running workers say they own every partition, each of them some."""

        def is_shared() -> bool:
            shares = [worker.owned() for worker in self.running() if worker.face.is_ready()]
            return len(shares) == len(self.running()) and all(shares) and set().union(*shares) == set(range(PARTITIONS))

        self.until(is_shared, "every partition has an owner")

    def running(self) -> list[WorkerProcess]:
        """Workers that have not ended."""
        return [worker for worker in self.workers if worker.exit_code is None]

    def watch_takeover(self, owned: set[int], since_s: float) -> None:
        """Wait for the first decisions, of each of these partitions, that were made after a Unix time."""
        log = self.topics[TopicName.DECISION_LOG]
        begun = len(log.records)
        waits: dict[int, float] = {}

        def has_decided() -> bool:
            try:
                log.read_to_end()
            except KafkaException:
                return False
            for record in log.records[begun:]:
                emitted_s = _emitted_s(record)
                if emitted_s > since_s:
                    waits.setdefault(_source_partition(record), emitted_s - since_s)
            return owned <= waits.keys()

        self.until(has_decided, f"decisions for the partitions {owned}", TAKEOVER_TIMEOUT_S)
        times = [waits[number] for number in owned]
        self.takeovers.append(Takeover(min(times), max(times)))

    def until_deciding(self, partitions: set[int]) -> None:
        """Wait for a further decision of each of these partitions."""
        log = self.topics[TopicName.DECISION_LOG]
        log.read_to_end()
        begun = len(log.records)

        def has_decided() -> bool:
            log.read_to_end()
            return partitions <= {_source_partition(record) for record in log.records[begun:]}

        self.until(has_decided, f"further decisions of the partitions {partitions}", TAKEOVER_TIMEOUT_S)

    def operate(self, **record: Any) -> None:
        """Put a record on the operator topic."""
        producer = new_producer(self.cluster.bootstrap)
        producer.produce(self.settings.topic(TopicName.OPERATOR), orjson.dumps(record), partition=0)
        producer.flush()

    def verdict(self) -> Verdict:
        """Stop traffic, let the workers finish, and compare; traffic may go on afterwards."""
        self.traffic.stop()
        self.topics[TopicName.REQUESTS].read_to_end(is_quiet=True)
        self._expected = None
        self._settle()
        return self.judge()

    def _settle(self) -> None:
        """Wait until the states are those of the end of the topic, and then a little for what still has to close."""
        deadline = time.monotonic() + SETTLE_TIMEOUT_S
        is_at_end = False
        while not (verdict := self.judge()).is_exact and time.monotonic() < deadline:
            if not (is_at_end or verdict.positions):
                is_at_end, deadline = True, time.monotonic() + CLOSING_TIMEOUT_S
            time.sleep(_LOOK_S)

    def judge(self) -> Verdict:
        """Compare what has come out so far with what should come of all that ``verdict`` last found in the source."""
        for name, topic in self.topics.items():
            if name is not TopicName.REQUESTS:
                topic.read_to_end()
        instructions = self._instructions()
        given = sum(map(len, instructions.values()))
        if self._expected is None or self._expected[0] != given:
            requests, operator = (self.settings.topic(name) for name in (TopicName.REQUESTS, TopicName.OPERATOR))
            oracle = Oracle(requests, operator, PARTITIONS, read_policy(self.settings))
            self._expected = (given, *oracle.run(self.topics[TopicName.REQUESTS].records, instructions, self.lost))
        _, expected, events = self._expected
        return judge(expected, self._outcome(), events, PARTITIONS)

    def _instructions(self) -> dict[int, list[Instruction]]:
        values = {record.offset: record.value or b"" for record in self.topics[TopicName.OPERATOR].records}
        found: dict[int, list[Instruction]] = {}
        for record in self.topics[TopicName.JOURNAL].records:
            entry = msgspec.json.decode(record.value or b"", type=JournalEntry)
            if entry.log != OPERATOR_LOG:
                continue
            place = entry.offset
            found.setdefault(record.partition, []).append(Instruction(place, values[place], entry.applied_after_offset))
        return found

    def _outcome(self) -> Outcome:
        outcome = Outcome({}, {}, {}, {})
        for record in self.topics[TopicName.TENANT_STATE].records:
            states = outcome.states.setdefault(record.partition, {})
            key = (record.key or b"").decode()
            if record.value is None:
                states.pop(key, None)
            else:
                states[key] = record.value
        for record in self.topics[TopicName.DECISION_LOG].records:
            name = dict(record.headers)["ce_id"] or b""
            outcome.decisions.setdefault(name.decode(), set()).add(record.value or b"")
        for record in self.topics[TopicName.DECISIONS].records:
            outcome.control[(record.key or b"").decode()] = record.value or b""
        for record in self.topics[TopicName.DEAD_LETTERS].records:
            outcome.letters[(record.key or b"").decode()] = orjson.loads(record.value or b"{}")["reason"]
        return outcome

    def last_words(self) -> str:
        """Ends of the logs of all workers."""
        return "\n".join(f"--- {worker.log}\n{worker.last_words()}" for worker in self.workers)


def _emitted_s(record: Record) -> float:
    text = dict(record.headers)["emitted_at"] or b""
    return datetime.fromisoformat(text.decode()).timestamp()


def _source_partition(record: Record) -> int:
    return partition_of(msgspec.json.decode(record.value or b"", type=Decision).tenant_id, PARTITIONS)
