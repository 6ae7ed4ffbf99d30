"""Brokers for tests, and a reader of what is in them; ``python tests/brokers.py`` runs a real one until Ctrl-C."""

import fcntl
import hashlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from rich.console import Console

ROOT = Path(__file__).resolve().parents[1]
POM = ROOT / "deploy" / "kafka" / "pom.xml"
SERVER_PROPERTIES = ROOT / "deploy" / "kafka" / "server.properties"
CACHE = ROOT / ".cache" / "kafka"

FETCH_TIMEOUT_S = 300  # some 60 MB, and Maven's own plugins the first time
START_TIMEOUT_S = 60  # 4 s alone on two cores; several test runs at once share them
READ_TIMEOUT_S = 20  # far above any answer of a local broker, below what a person takes for a hang
PLAIN = "PLAINTEXT"  # the listener that every broker here has, and its protocol
API_VERSION = (2, 0)  # the newest whose requests both brokers answer: the embedded one fails the version probe


class NoRealBrokerError(Exception):
    """A real broker cannot be had here; the message says why in one line."""


class RunningKafka:
    """A broker process of our own: its ``bootstrap`` address and ``folder`` (data, log) outlive a kill.

    ``listeners`` has the addresses of all its listeners by name.
    """

    def __init__(self, listeners: Mapping[str, str], folder: Path, classpath: str) -> None:
        self.listeners = listeners
        self.bootstrap = listeners[PLAIN]
        self.folder = folder
        self._classpath = classpath
        self.start()

    @property
    def pid(self) -> int:
        """Process id of the broker."""
        return self._process.pid

    def start(self) -> None:
        """Start, at first or again after ``kill``, and wait until it answers. Raises ``NoRealBrokerError``."""
        log = self.folder / "kafka.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *_dies_with_us(),
                    *_java(self._classpath),
                    "-Xmx768m",
                    "kafka.Kafka",
                    str(self.folder / "server.properties"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            _wait_until_ready(self._process, self.bootstrap, log)
        except NoRealBrokerError:
            self.kill()
            raise

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True)
class TestBroker:
    """One kind of broker: ``with_topics`` maps topic names to partition counts and returns a bootstrap address."""

    __test__ = False

    kind: Literal["embedded", "real"]
    with_topics: Callable[[Mapping[str, int]], str]


class Record(NamedTuple):
    """One record as it was stored; ``timestamp`` is the record's own, in milliseconds."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    timestamp: int


class KafkaRecords:
    """Reads one topic from its beginning, without a group; the same reader goes on where it stopped."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, api_version=API_VERSION, group_id=None, enable_auto_commit=False
        )
        self._partitions = [TopicPartition(topic, number) for number in self._consumer.partitions_for_topic(topic)]
        self._consumer.assign(self._partitions)
        self._consumer.seek_to_beginning(*self._partitions)
        self.records: list[Record] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read_to_end(self, timeout_s: float = READ_TIMEOUT_S) -> list[Record]:
        """All records up to the end offsets of this moment, in the order they were fetched."""
        ends = self._consumer.end_offsets(self._partitions)
        return self._read(lambda: all(self._consumer.position(part) >= end for part, end in ends.items()), timeout_s)

    def read_until(self, holds: Callable[[list[Record]], bool], timeout_s: float = READ_TIMEOUT_S) -> list[Record]:
        """All records read so far, once ``holds`` is true of them; ``TimeoutError`` when it never is."""
        return self._read(lambda: holds(self.records), timeout_s)

    def _read(self, is_done: Callable[[], bool], timeout_s: float) -> list[Record]:
        deadline = time.monotonic() + timeout_s
        while not is_done():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(self.records)} records after {timeout_s} s, and not all that were expected")
            for partition, fetched in self._consumer.poll(timeout_ms=100).items():
                self.records += [
                    Record(partition.partition, r.offset, r.key, r.value, list(r.headers), r.timestamp) for r in fetched
                ]
        return self.records


def create_topics(bootstrap: str, topics: Mapping[str, int]) -> None:
    """Create topics of any name on a real broker (names to partition counts) and wait for their leaders."""
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        admin.create_topics(
            {name: {"num_partitions": count, "replication_factor": 1} for name, count in topics.items()},
            wait_for_metadata=True,
        )


def alter_topic(bootstrap: str, topic: str, config: Mapping[str, str]) -> None:
    """Change settings of a topic on a real broker."""
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=dict(config))])


def delete_topics(bootstrap: str, prefix: str) -> None:
    """Delete the topics of a real broker whose names begin with ``prefix``."""
    with KafkaAdminClient(bootstrap_servers=bootstrap) as admin:
        names = [name for name in admin.list_topics() if name.startswith(prefix)]
        if names:
            admin.delete_topics(names)


@contextmanager
def real_kafka(listeners: Mapping[str, str] = MappingProxyType({}), properties: str = "") -> Iterator[RunningKafka]:
    """Apache Kafka from its Maven artifacts, on free ports of 127.0.0.1, with a data folder that is deleted at the end.

    ``listeners`` are more than the plain one, names to protocols, and ``properties`` lines that they need. Takes 4 s,
    and 20 s more the first time, for the artifacts. Raises ``NoRealBrokerError``.
    """
    classpath = f"{_artifacts()}/*"
    with tempfile.TemporaryDirectory(prefix="stillwatch-kafka-") as name:
        folder = Path(name)
        addresses = _configure(folder, {PLAIN: PLAIN, **listeners}, properties)
        _format_storage(folder, classpath)
        running = RunningKafka(addresses, folder, classpath)
        try:
            yield running
        finally:
            running.kill()


def _artifacts() -> Path:
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise NoRealBrokerError(f"no {program} on this machine (Debian: {package}), so no real Kafka broker")
    target = CACHE / hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _fetch(target)
    return target


def _fetch(target: Path) -> None:
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    command = ["mvn", "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
    try:
        done = subprocess.run(
            [*command, f"-DoutputDirectory={partial}"],
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NoRealBrokerError(f"Maven did not fetch Kafka within {FETCH_TIMEOUT_S} s") from error
    if done.returncode != 0:
        reason = next((line for line in done.stdout.splitlines() if "ERROR" in line), done.stderr.strip())
        raise NoRealBrokerError(f"Maven could not fetch Kafka: {reason}")
    partial.rename(target)


def _configure(folder: Path, protocols: Mapping[str, str], properties: str) -> dict[str, str]:
    controller, *ports = _free_ports(1 + len(protocols))
    addresses = {name: f"127.0.0.1:{port}" for name, port in zip(protocols, ports, strict=True)}
    own = (
        f"listeners={','.join(f'{name}://{address}' for name, address in addresses.items())},"
        f"CONTROLLER://127.0.0.1:{controller}\n"
        f"listener.security.protocol.map=CONTROLLER:{PLAIN},"
        f"{','.join(f'{name}:{protocol}' for name, protocol in protocols.items())}\n"
        f"controller.quorum.voters=1@127.0.0.1:{controller}\n"
        f"log.dirs={folder / 'data'}\n"
    )
    (folder / "server.properties").write_text(SERVER_PROPERTIES.read_text() + own + properties)
    return addresses


def _format_storage(folder: Path, classpath: str) -> None:
    cluster_id = "c3RpbGx3YXRjaC10ZXN0cw"  # 16 bytes in base64, as Kafka wants them; any will do
    command = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(folder / "server.properties")]
    done = subprocess.run([*_java(classpath), *command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NoRealBrokerError(f"Kafka could not format its folder: {(done.stderr or done.stdout).strip()[-500:]}")


def _wait_until_ready(process: subprocess.Popen[bytes], bootstrap: str, log: Path) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if admin.list_topics(timeout=0.5).brokers:
                return
        except KafkaException:
            continue
    raise NoRealBrokerError(f"Kafka did not start within {START_TIMEOUT_S} s: {log.read_text()[-2000:].strip()}")


def _java(classpath: str) -> list[str]:
    return ["java", "-cp", classpath, "-Dlog4j2.level=WARN"]


def _dies_with_us() -> list[str]:
    # Linux can end the broker when the test run is killed and no longer can.
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [listening.getsockname()[1] for listening in sockets]
    for listening in sockets:
        listening.close()
    return ports


def main() -> int:
    """Start a real broker, print its address, and wait for Ctrl-C or SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    console = Console(stderr=True)
    try:
        with (
            console.status("starting Kafka (the first time its artifacts are fetched)") as status,
            real_kafka() as kafka,
        ):
            status.stop()
            console.print(f"Kafka {kafka.pid} keeps its data in {kafka.folder} until Ctrl-C", soft_wrap=True)
            print(kafka.bootstrap, flush=True)
            signal.pause()
    except NoRealBrokerError as error:
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
