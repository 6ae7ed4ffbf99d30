"""Whether the broker can be reached, said once when it is lost and once when it is back."""

import asyncio
import logging
import time

from mode import Service

_log = logging.getLogger(__name__)

_PERIOD_S = 1.0
_CONNECT_TIMEOUT_S = 5.0
#: What the Kafka client repeats many times a second while a broker is away; the watch says it instead.
_CONNECTION_TROUBLE = (
    "Unable connect to",
    "Unable to update metadata",
    "Failed fetch messages",
    "Group Coordinator Request failed",
    "Error sending %s to node",
    "Heartbeat",
    "Failed to get metadata",
    "Topic %s is not available during auto-create",
)
#: Anything else it repeats is shown this often.
_REPEAT_S = 60.0


def parse_servers(broker: str) -> list[tuple[str, int]]:
    """Host and port of each bootstrap server."""
    pairs = (server.strip().rpartition(":") for server in broker.split(","))
    return [(host, int(port)) for host, _, port in pairs]


async def find_problem(broker: str) -> str | None:
    """Try to connect to each bootstrap server; why none takes a connection, or ``None`` as soon as one does."""
    problem = "no server is named"
    for host, port in parse_servers(broker):
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), _CONNECT_TIMEOUT_S)
            writer.close()
        except (OSError, TimeoutError) as error:
            problem = str(error) or "no answer"
        else:
            return None
    return problem


class BrokerWatch(Service):
    """Connects to the broker every second and logs when that starts or stops to fail."""

    def __init__(self, broker: str) -> None:
        super().__init__()
        self._broker = broker

    @Service.task
    async def _watch(self) -> None:
        lost_s: float | None = None
        while not self.should_stop:
            problem = await find_problem(self._broker)
            if problem and lost_s is None:
                lost_s = time.monotonic()
                _log.warning("lost the broker at %s (%s); trying again until it is back", self._broker, problem)
            elif lost_s is not None and not problem:
                _log.warning("the broker at %s is back after %.0f s", self._broker, time.monotonic() - lost_s)
                lost_s = None
            await self.sleep(_PERIOD_S)


class CalmClientLog(logging.Filter):
    """Lets each message of the Kafka client through once a minute, and its connection troubles not at all."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show a record; those of other loggers always are."""
        if not record.name.startswith("aiokafka"):
            return True
        template = str(record.msg)
        if template.startswith(_CONNECTION_TROUBLE):
            return False
        is_new = record.created - self._shown.get(template, 0.0) >= _REPEAT_S
        if is_new:
            self._shown[template] = record.created
        return is_new
