"""The demo's API gateway: asks the limiter before each request and reports every request to Kafka."""

import time
from threading import Event, Thread

import orjson
from confluent_kafka import KafkaException, Producer

from stream_app.demo.traffic import Request, Traffic
from stream_app.limiter import Limiter, RequestFacts

#: Records that may be on their way to the worker: less than a second of its work, so that what is sent before it has
#: caught up is still judged at once, and the embedded broker's 5 MiB per partition are never reached.
MAX_IN_FLIGHT = 1_500
#: How long to wait before looking again whether a request is due or the worker has caught up.
PAUSE_S = 0.005


class Gateway(Thread):
    """Sends a traffic's requests in order, none before it is due, paced by what the worker has done (``handled``).

    A request of the present which the limiter denies is reported as the gateway would see it: status 429, no tokens.
    Old events (``due_s`` 0) are reported as they are; of those is only counted what the limiter would have done.
    """

    def __init__(self, traffic: Traffic, limiter: Limiter, broker: str, topic: str) -> None:
        super().__init__(name="gateway", daemon=True)
        self.sent = 0
        self.handled = 0
        self.allowed = 0
        self.denied: dict[str, int] = {}
        self.first_denied_s: dict[str, float] = {}
        self.noisy_since_s = 0.0
        self.error: Exception | None = None
        self._traffic = traffic
        self._limiter = limiter
        self._topic = topic
        self._stopping = Event()
        self._producer = Producer(
            {
                "bootstrap.servers": broker,
                "partitioner": "murmur2",
                "linger.ms": 5,
                "log_level": 0,
            }
        )

    def stop(self) -> None:
        """End before all is sent."""
        self._stopping.set()

    def run(self) -> None:
        """Send everything; an error ends the thread and is kept in ``error``."""
        try:
            for request in self._traffic.requests:
                if not self._wait_for_turn(request):
                    break
                self._send(request)
            self._producer.flush()
        except (KafkaException, BufferError, OSError) as error:
            self.error = error

    def _wait_for_turn(self, request: Request) -> bool:
        while self.sent - self.handled >= MAX_IN_FLIGHT or request.due_s > time.time():
            self._producer.poll(0)
            if self._stopping.wait(PAUSE_S):
                return False
        return not self._stopping.is_set()

    def _send(self, request: Request) -> None:
        value = request.value
        if request.tenant_id == self._traffic.noisy_tenant and request.due_s >= self._traffic.noisy_onset_s:
            self.noisy_since_s = self.noisy_since_s or time.time()
        if request.tenant_id and request.account_id:
            allowance = self._limiter.check(RequestFacts(request.tenant_id, request.account_id))
            if allowance.allowed:
                self.allowed += 1
            else:
                self.denied[request.tenant_id] = self.denied.get(request.tenant_id, 0) + 1
                self.first_denied_s.setdefault(request.tenant_id, time.time())
                value = _denied(value) if request.due_s else value
        self._producer.produce(self._topic, value, key=request.tenant_id.encode())
        self._producer.poll(0)
        self.sent += request.events


def _denied(value: bytes) -> bytes:
    event = orjson.loads(value)
    event |= {"status_code": 429, "output_tokens": 0, "error_type": "rate_limit"}
    return orjson.dumps(event)
