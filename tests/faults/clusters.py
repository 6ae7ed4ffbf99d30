"""Brokers to be hurt: one that can be reached through a proxy, or three that replicate."""

import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests import brokers

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
ANSWER_S = 20
_HEAP = {1: "-Xmx512m", 3: "-Xmx256m"}


class Node:
    """One broker process; its ``folder`` (data, log) outlives it."""

    def __init__(self, address: str, proxied_address: str, folder: Path, heap: str) -> None:
        self.address = address
        self.proxied_address = proxied_address
        self.folder = folder
        self._heap = heap

    def launch(self) -> None:
        """Start the process without waiting until it answers."""
        with (self.folder / "kafka.log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    *brokers._dies_with_us(),
                    *brokers._java(f"{brokers._artifacts()}/*"),
                    *(self._heap, "-Xshare:auto", "-XX:TieredStopAtLevel=1"),
                    "kafka.Kafka",
                    str(self.folder / "server.properties"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def kill(self) -> None:
        """End it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in order: leaders are moved and files closed."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(STOP_TIMEOUT_S)


class Cluster:
    """One or three brokers of our own, and what an operator may do to them.

    ``bootstrap`` reaches them directly. Clients that begin with the first node's ``proxied_address`` are told
    ``advertised`` instead of its real address: there a proxy has to listen.
    """

    def __init__(self, nodes: list[Node], advertised: str) -> None:
        self.nodes = nodes
        self.bootstrap = ",".join(node.address for node in nodes)
        self.advertised = advertised
        for node in nodes:
            node.launch()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return once every broker is there. Raises ``NoRealBrokerError``."""
        deadline = time.monotonic() + START_TIMEOUT_S
        admin = self._new_admin()
        while time.monotonic() < deadline:
            try:
                if len(admin.list_topics(timeout=0.5).brokers) == len(self.nodes):
                    return
            except KafkaException:
                continue
        last_words = "\n".join((node.folder / "kafka.log").read_text()[-1000:] for node in self.nodes)
        raise brokers.NoRealBrokerError(f"Kafka did not start within {START_TIMEOUT_S} s: {last_words}")

    def leader(self, topic: str, partition: int) -> Node:
        """The broker that leads a partition; nodes are numbered from 1."""
        described = self._new_admin().list_topics(topic, timeout=ANSWER_S).topics[topic]
        return self.nodes[described.partitions[partition].leader - 1]

    def set_topic(self, topic: str, config: Mapping[str, str]) -> None:
        """Set some of a topic's settings; the others stay."""
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        admin = self._new_admin()
        for done in admin.incremental_alter_configs([resource]).values():
            done.result(ANSWER_S)

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Move a partition's log start to an offset, as retention would."""
        admin = self._new_admin()
        for done in admin.delete_records([TopicPartition(topic, partition, before)]).values():
            done.result(ANSWER_S)

    def kill(self) -> None:
        """End all at once."""
        for node in self.nodes:
            node.kill()

    def _new_admin(self) -> AdminClient:
        """A fresh client each time: one that has seen a broker die is slow to come back."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})


@contextmanager
def running_cluster(size: int) -> Iterator[Cluster]:
    """Start one or three brokers, and delete all they have written at the end. Raises ``NoRealBrokerError``."""
    brokers._artifacts()
    with tempfile.TemporaryDirectory(prefix="stillwatch-faults-") as name:
        ports = brokers._free_ports(3 * size + 1)
        advertised = f"127.0.0.1:{ports[-1]}"
        nodes = [_node(Path(name), number, ports, advertised, _HEAP[size]) for number in range(size)]
        cluster = Cluster(nodes, advertised)
        try:
            yield cluster
        finally:
            cluster.kill()


def _node(folder: Path, number: int, ports: list[int], advertised: str, heap: str) -> Node:
    size = len(ports) // 3
    own = folder / str(number)
    own.mkdir()
    broker, controller, proxied = ports[3 * number : 3 * number + 3]
    voters = ",".join(f"{other + 1}@127.0.0.1:{ports[3 * other + 1]}" for other in range(size))
    copies = str(size)
    settings = {
        "node.id": str(number + 1),
        "listeners": f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},"
        f"PROXIED://127.0.0.1:{proxied}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{broker},PROXIED://{advertised}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.quorum.voters": voters,
        "log.dirs": str(own / "data"),
        "min.insync.replicas": str((size + 1) // 2),
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": str((size + 1) // 2),
        "broker.session.timeout.ms": "6000",
    }
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    (own / "server.properties").write_text(brokers.SERVER_PROPERTIES.read_text() + "".join(lines))
    brokers._format_storage(own, f"{brokers._artifacts()}/*")
    return Node(f"127.0.0.1:{broker}", f"127.0.0.1:{proxied}", own, heap)
