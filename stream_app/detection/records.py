"""One record of the source topic, as a driver hands it to the core."""

from collections.abc import Mapping
from typing import NamedTuple


class Record(NamedTuple):
    """One Kafka record of the source partition; ``timestamp_ms`` is Kafka's."""

    offset: int
    timestamp_ms: int
    value: bytes | None
    headers: Mapping[str, bytes]
