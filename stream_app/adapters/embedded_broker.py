"""A broker inside this process: librdkafka's mock cluster, for demonstrations and quick tests."""

import ctypes
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka

_PRODUCER = 0  # RD_KAFKA_PRODUCER: the mock cluster lives in a client of any type
_NO_ERROR = 0  # RD_KAFKA_RESP_ERR_NO_ERROR
_ERROR_TEXT_BYTES = 512  # size of the error buffer in librdkafka's own examples

_Pointer = ctypes.c_void_p
_SIGNATURES: dict[str, tuple[type | None, list[type]]] = {
    "rd_kafka_conf_new": (_Pointer, []),
    "rd_kafka_conf_set_log_cb": (None, [_Pointer, _Pointer]),
    "rd_kafka_new": (_Pointer, [ctypes.c_int, _Pointer, ctypes.c_char_p, ctypes.c_size_t]),
    "rd_kafka_destroy": (None, [_Pointer]),
    "rd_kafka_err2str": (ctypes.c_char_p, [ctypes.c_int]),
    "rd_kafka_mock_cluster_new": (_Pointer, [_Pointer, ctypes.c_int]),
    "rd_kafka_mock_cluster_destroy": (None, [_Pointer]),
    "rd_kafka_mock_cluster_bootstraps": (ctypes.c_char_p, [_Pointer]),
    "rd_kafka_mock_topic_create": (ctypes.c_int, [_Pointer, ctypes.c_char_p, ctypes.c_int, ctypes.c_int]),
    "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [_Pointer, ctypes.c_int32]),
}


class EmbeddedBrokerError(Exception):
    """The embedded broker cannot start; the message says why in one line."""


class EmbeddedBroker:
    """Speaks Kafka's wire protocol on a free port of 127.0.0.1 for as long as the ``with`` block lasts.

    ``topics`` maps topic names to partition counts. It keeps everything in memory and only the newest 5 MiB (or
    100,000 batches) of each partition, so a reader that lags further loses records. There is no durability, no
    compaction, no CreateTopics request; a topic that was not named appears with four partitions when a client asks
    for it. Clients that probe the broker's version need ``api_version=(2, 0)``. Starting or stopping takes up to
    a second.
    Raises ``EmbeddedBrokerError`` when librdkafka is not bundled or refuses a topic.
    """

    bootstrap: str

    def __init__(self, topics: Mapping[str, int]) -> None:
        self._topics = dict(topics)

    def __enter__(self) -> Self:
        self._library = _librdkafka()
        self._client = _new_client(self._library)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, 1)
        if not self._cluster:
            self._library.rd_kafka_destroy(self._client)
            raise EmbeddedBrokerError("librdkafka could not open a listening port for its mock cluster")
        try:
            for name, partitions in self._topics.items():
                self._create_topic(name, partitions)
        except EmbeddedBrokerError:
            self._destroy()
            raise
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._destroy()

    def _create_topic(self, name: str, partitions: int) -> None:
        if partitions < 1:  # librdkafka would abort the process
            raise EmbeddedBrokerError(f"topic {name}: {partitions} partitions, at least 1 is needed")
        code = self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, 1)
        if code != _NO_ERROR:
            raise EmbeddedBrokerError(f"topic {name}: {self._library.rd_kafka_err2str(code).decode()}")

    def _destroy(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


@cache
def _librdkafka() -> ctypes.CDLL:
    package = Path(confluent_kafka.__file__).parent
    bundled = [*package.parent.glob("confluent_kafka.libs/librdkafka*"), *package.glob(".dylibs/librdkafka*")]
    if not bundled:
        raise EmbeddedBrokerError(
            "the installed confluent-kafka brings no librdkafka of its own; install its wheel, or use a real broker"
        )
    library = ctypes.CDLL(str(bundled[0]))
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise EmbeddedBrokerError(
                f"confluent-kafka {confluent_kafka.__version__} lacks {name}; use a real broker"
            ) from None
        function.restype, function.argtypes = result, arguments
    return library


def _new_client(library: ctypes.CDLL) -> int:
    conf = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set_log_cb(conf, None)  # it would warn on stderr that it has no bootstrap servers
    text = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
    client = library.rd_kafka_new(_PRODUCER, conf, text, _ERROR_TEXT_BYTES)
    if not client:
        raise EmbeddedBrokerError(f"librdkafka did not start: {text.value.decode()}")
    return int(client)
