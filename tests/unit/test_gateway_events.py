"""What Kong, Envoy, OpenTelemetry and LiteLLM write, as events: recorded, or written from documentation.

See ``recorded/README.md``.
"""

from pathlib import Path
from threading import Event as Gate

import msgspec
import orjson
import pytest

from stream_app.detection.decode import decode_record
from stream_app.detection.detector import Detector
from stream_app.detection.events import Event
from stream_app.detection.records import Record
from stream_app.detection.state import decode_tenant
from stream_app.detection.windows import PANES
from stream_app.gateways.events import Mapped, Unmapped, UnmappedReason, ip_prefix
from stream_app.gateways.identities import Identities, IdentityError, read_identities
from stream_app.gateways.lines import GATEWAYS, read_line
from stream_app.gateways.litellm import map_litellm
from stream_app.gateways.prompts import Sketcher, read_prompt
from stream_app.gateways.publishing import MAX_WAITING, EventPublisher
from stream_app.settings import Settings
from stream_app.sketches import Key, PromptScorer, sketch_prompt
from tests.unit import gateway_samples as samples
from tests.unit.streams import new_detector

KEY, EXCHANGE = Key("k1", b"a" * 32), Key("x1", b"b" * 32)
SKETCHER = Sketcher(KEY, EXCHANGE, PromptScorer.load())


def read(kind: str, record: object, tenant: str | None = None, account: str | None = None) -> list[Mapped]:
    gateway = GATEWAYS[kind]
    to = read_identities(tenant or gateway.tenant, account or gateway.account, KEY)
    return list(read_line(orjson.dumps(record), kind, to, SKETCHER))


def only_event(found: list[Mapped]) -> Event:
    """The one event, as a worker would read it."""
    (event,) = found
    assert isinstance(event, Event), event
    (decoded,) = decode_record(msgspec.json.encode(event), {})
    assert decoded == event
    return event


def only_fault(found: list[Mapped]) -> UnmappedReason:
    (fault,) = found
    assert isinstance(fault, Unmapped), fault
    assert samples.CANARY not in fault.detail
    return fault.reason


def litellm(payload: dict[str, object]) -> list[Mapped]:
    to = Identities(("org_id", "team_id"), ("key",))
    return [map_litellm(payload, samples.MESSAGES, to, SKETCHER)]


EVENTS = {
    "kong": lambda: read("kong", samples.KONG),
    "envoy": lambda: read("envoy", samples.ENVOY),
    "otel span": lambda: read("otel", samples.OTEL_SPANS),
    "otel event": lambda: read("otel", samples.OTEL_LOGS),
    "litellm": lambda: litellm(samples.LITELLM),
}


@pytest.mark.parametrize("name", EVENTS)
def test_a_request_is_told_with_who_made_it_and_what_it_took(name: str) -> None:
    event = only_event(EVENTS[name]())
    assert (event.tenant_id, event.account_id, event.model) == ("acme", "user-17", "large-2")
    assert (event.status_code, event.input_tokens, event.output_tokens) == (200, 812, 240)
    assert event.time.isoformat() == "2026-03-02T09:15:31.250000+00:00"
    assert event.client is not msgspec.UNSET
    assert event.client.ip_prefix == "203.0.113.0/24"
    assert event.client.user_agent == "example-sdk/1.4.0"


@pytest.mark.parametrize("name", sorted(EVENTS.keys() - {"envoy"}))
def test_prompts_leave_as_the_sketches_that_the_command_makes_and_not_as_text(name: str) -> None:
    event = only_event(EVENTS[name]())
    expected = sketch_prompt(samples.PROMPT, samples.SYSTEM, ["look_up"], key=KEY, exchange=EXCHANGE)
    assert msgspec.to_builtins(event.prompt) == msgspec.to_builtins(expected)
    assert event.tools == 1
    assert samples.CANARY.encode() not in msgspec.json.encode(event)


@pytest.mark.parametrize(
    ("kind", "record", "reason"),
    [
        ("kong", samples.KONG | {"consumer": None}, UnmappedReason.NO_IDENTITY),
        ("kong", samples.KONG | {"started_at": samples.CANARY}, UnmappedReason.INVALID),
        ("kong", samples.kong_without_usage(), UnmappedReason.NO_TOKENS),
        ("kong", samples.KONG | {"response": {"status": 9}}, UnmappedReason.INVALID),
        ("kong", 7, UnmappedReason.NOT_JSON),
        ("envoy", samples.ENVOY | {"tenant_id": "-"}, UnmappedReason.NO_IDENTITY),
        ("envoy", samples.ENVOY | {"start_time": "yesterday"}, UnmappedReason.INVALID),
        ("envoy", samples.ENVOY | {"start_time": "2026-03-02T09:15:29"}, UnmappedReason.INVALID),
        ("envoy", samples.ENVOY | {"x-request-id": None}, UnmappedReason.INVALID),
        ("otel", samples.otel_span({"tenant.id": None}), UnmappedReason.NO_IDENTITY),
        ("otel", samples.otel_span({"gen_ai.request.temperature": samples.CANARY}), UnmappedReason.INVALID),
    ],
)
def test_what_cannot_be_mapped_says_why_and_repeats_nothing(kind: str, record: object, reason: UnmappedReason) -> None:
    assert only_fault(read(kind, record)) == reason


def test_a_line_that_is_no_json_says_so() -> None:
    to = read_identities("consumer.id", "", None)
    assert only_fault(list(read_line(samples.CANARY.encode(), "kong", to, None))) == UnmappedReason.NOT_JSON


def test_a_batch_gives_an_event_for_each_record() -> None:
    assert [type(found) for found in read("kong", [samples.KONG, 7, samples.KONG])] == [Event, Unmapped, Event]


def test_spans_that_are_no_request_to_a_model_give_nothing() -> None:
    assert read("otel", samples.otel_span({"gen_ai.operation.name": "execute_tool"})) == []
    assert read("otel", {"resourceMetrics": []}) == []


@pytest.mark.parametrize(
    ("changes", "status_code"),
    [
        ({"http.response.status_code": 429}, 429),
        ({"error.type": "503"}, 503),
        ({"error.type": "timeout"}, 500),
        ({}, 200),
    ],
)
def test_a_spans_failure_is_told_by_its_status_or_its_error(changes: dict[str, object], status_code: int) -> None:
    assert only_event(read("otel", samples.otel_span(changes))).status_code == status_code


def test_an_ordinary_api_has_a_service_and_no_tokens() -> None:
    event = only_event(read("kong", {name: value for name, value in samples.KONG.items() if name != "ai"}))
    assert (event.model, event.input_tokens, event.output_tokens) == ("completions", 0, 0)
    plain = {name: value for name, value in samples.ENVOY.items() if not name.startswith("gen_ai.")}
    assert only_event(read("envoy", plain)).model == "llm"


def test_identities_come_from_the_fields_that_are_asked_for() -> None:
    event = only_event(read("kong", samples.KONG, "header.x-tenant", "consumer.id"))
    assert (event.tenant_id, event.account_id) == ("globex", samples.KONG["consumer"]["id"])


def test_a_credential_is_digested_and_refused_without_a_key() -> None:
    event = only_event(read("kong", samples.KONG, "consumer.custom_id", "header.authorization"))
    assert event.account_id == KEY.digest(b"identity", "Bearer sk-secret")
    with pytest.raises(IdentityError, match=r"header\.authorization holds a credential"):
        read_identities("consumer.id", "header.authorization", None)


def test_a_request_that_litellm_refused_counts_as_demand() -> None:
    refused = {
        "status": "failure",
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "error_information": {"error_code": "429", "error_class": "HTTPException"},
    }
    event = only_event(litellm(samples.LITELLM | refused))
    assert (event.status_code, event.error_type) == (429, "HTTPException")


def test_the_newest_message_is_the_prompt_and_system_messages_are_not() -> None:
    conversation = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": [{"type": "text", "text": "second"}, {"type": "image_url", "image_url": {}}]},
    ]
    prompt = read_prompt(conversation)
    assert prompt is not None
    assert (prompt.text, prompt.system) == ("second", "be kind")
    assert read_prompt([{"role": "user", "content": "redacted-by-litellm"}]) is None
    assert read_prompt(None) is None


@pytest.mark.parametrize(
    ("address", "prefix"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("203.0.113.77:4711", "203.0.113.0/24"),
        ("203.0.113.77, 10.0.0.1", "203.0.113.0/24"),
        ("[2001:db8:1:2::3]:443", "2001:db8:1::/48"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("unix:/socket", None),
        ("-", None),
        (None, None),
    ],
)
def test_of_an_address_only_its_network_is_told(address: object, prefix: str | None) -> None:
    assert ip_prefix(address) == prefix


def test_what_cannot_be_told_is_counted_and_holds_nobody_up() -> None:
    begun, gate = Gate(), Gate()

    def wait() -> Mapped:
        begun.set()
        gate.wait()
        return Unmapped(UnmappedReason.INVALID, "odd")

    publisher = EventPublisher(Settings(broker="127.0.0.1:1"), "/gateways/test")
    publisher.publish(wait)
    begun.wait()
    for _ in range(MAX_WAITING + 3):
        publisher.publish(lambda: Unmapped(UnmappedReason.NOT_JSON, "odd"))
    gate.set()
    publisher.stop()
    assert publisher.lost == {"queue_full": 3, "invalid": 1, "not_json": MAX_WAITING}
    assert publisher.sent == 0


RECORDED = Path(__file__).parent / "recorded"
CHAT = "/v1/chat/completions"
ACCESS_LOG = [
    UnmappedReason.NO_IDENTITY,
    ("acme", "user-17", "large-2", 200, 812, 240, "/v1/chat/completions"),
    ("acme", "user-17", "large-2", 503, 812, 240, "/away"),
    ("acme", "acme", "large-2", 404, 812, 240, "/nowhere"),
]


def recorded(name: str) -> list[bytes]:
    return (RECORDED / name).read_bytes().splitlines()


def told(found: Mapped) -> object:
    if isinstance(found, Unmapped):
        assert samples.CANARY not in found.detail
        return found.reason
    event = only_event([found])
    assert samples.CANARY.encode() not in msgspec.json.encode(event)
    assert event.error_type != ""
    counts = (event.status_code, event.input_tokens, event.output_tokens)
    return (event.tenant_id, event.account_id, event.model, *counts, event.endpoint or None)


@pytest.mark.parametrize(
    ("kind", "file", "tenant", "expected"),
    [
        ("kong", "kong.jsonl", "consumer.custom_id", [("acme", "user-17", "large-2", 200, 812, 240, CHAT)]),
        ("kong", "kong.jsonl", "header.x-tenant", [("globex", "user-17", "large-2", 200, 812, 240, CHAT)]),
        # Kong redacts it: everybody would be one tenant
        ("kong", "kong.jsonl", "header.authorization", [UnmappedReason.NO_IDENTITY]),
        ("envoy", "envoy.jsonl", "tenant_id", ACCESS_LOG),
        ("envoy", "envoy-otlp.jsonl", "tenant_id", ACCESS_LOG),
        (
            "otel",
            "otel-spans.jsonl",
            "tenant.id",
            [("acme", "user-17", "large-2", 200, 812, 240, None), ("acme", "user-17", "busy", 429, 0, 0, None)],
        ),
        # events have no attributes of their spans
        ("otel", "otel-logs.jsonl", "tenant.id", [UnmappedReason.NO_IDENTITY] * 2),
        (
            "otel",
            "otel-logs.jsonl",
            "service.name",
            [
                ("llm-proxy", "llm-proxy", "large-2", 200, 812, 240, None),
                ("llm-proxy", "llm-proxy", "busy", 429, 0, 0, None),
            ],
        ),
    ],
)
def test_what_a_real_gateway_wrote_is_told(kind: str, file: str, tenant: str, expected: list[object]) -> None:
    to = read_identities(tenant, GATEWAYS[kind].account, KEY)
    found = [mapped for line in recorded(file) for mapped in read_line(line, kind, to, SKETCHER)]
    assert [told(mapped) for mapped in found] == expected


def test_what_a_real_litellm_proxy_gave_its_callback_is_told() -> None:
    to = Identities(("org_id", "team_id"), ("key",))
    calls = [orjson.loads(line) for line in recorded("litellm.jsonl")]
    found = [map_litellm(call["payload"], call["messages"], to, SKETCHER) for call in calls]
    key, route = calls[0]["payload"]["metadata"]["user_api_key_hash"], "/v1/chat/completions"
    assert [told(mapped) for mapped in found] == [
        ("acme", key, "large-2", 200, 10, 20, route),
        ("acme", key, "large-2", 200, 44, 6, route),
        ("acme", key, "busy", 429, 0, 0, route),
    ]
    plain, streamed, refused = map(only_event, ([mapped] for mapped in found))
    assert (plain.operation, plain.max_tokens, plain.tools, plain.temperature) == ("chat", 1024, 1, 0.7)
    assert (streamed.stream, streamed.max_tokens, streamed.logprobs) == (True, 50, True)
    assert refused.error_type == "RateLimitError"


@pytest.mark.parametrize("file", ["kong.jsonl", "litellm.jsonl", "otel-spans.jsonl", "otel-logs.jsonl"])
def test_a_recorded_prompt_leaves_as_its_sketch(file: str) -> None:
    tools = []
    if file == "kong.jsonl":
        (found,), tools = read("kong", orjson.loads(recorded(file)[0])), ["look_up"]
    elif file == "litellm.jsonl":
        call = orjson.loads(recorded(file)[1])
        found = map_litellm(call["payload"], call["messages"], Identities(("team_id",), ()), SKETCHER)
    else:
        (found,) = read_line(recorded(file)[0], "otel", read_identities("service.name", "", None), SKETCHER)
    expected = sketch_prompt(samples.PROMPT, samples.SYSTEM, tools, key=KEY, exchange=EXCHANGE)
    assert msgspec.to_builtins(only_event([found]).prompt) == msgspec.to_builtins(expected)


def test_a_broker_that_is_away_costs_a_request_nothing_and_its_loss_is_counted() -> None:
    event = only_event(litellm(samples.LITELLM))
    publisher = EventPublisher(Settings(broker="127.0.0.1:1"), "/gateways/test")
    for _ in range(5):
        publisher.publish(lambda: event)
    publisher.stop()
    assert (publisher.sent, publisher.lost) == (0, {"stopped": 5})


def kong_line(second: int, tenant_id: str = "acme") -> bytes:
    """A request that ends so many seconds after the sample."""
    changes = {"started_at": samples.STARTED_MS + 1000 * second, "consumer": {"custom_id": tenant_id}}
    return orjson.dumps(samples.KONG | changes | {"request": samples.KONG["request"] | {"id": f"r{second}"}})


def feed(detector: Detector, lines: list[bytes]) -> None:
    for number, line in enumerate(lines, detector.position):
        value = msgspec.json.encode(only_event(read("kong", orjson.loads(line))))
        detector.handle([Record(number, 1 << 62, value, {})])


def requests_of(detector: Detector, encoded: dict[str, bytes], tenant_id: str) -> int:
    """All requests that any window of a tenant still holds."""
    detector.take_changes()
    windows = decode_tenant(encoded[tenant_id]).windows
    still_open = (pane.requests for n, pane in windows.panes.items() if n // PANES > windows.closed_minute)
    return sum(still_open) + sum(minute.requests for minute in windows.minutes.values())


def test_lines_given_twice_count_once_while_their_minute_is_open_and_long_after() -> None:
    encoded: dict[str, bytes] = {}
    detector = new_detector(encoded=encoded)
    lines = [kong_line(second) for second in range(-20, 30)]
    feed(detector, lines)
    once = requests_of(detector, encoded, "acme")
    feed(detector, lines)
    assert requests_of(detector, encoded, "acme") == once == len(lines)
    # time goes on for everybody
    feed(detector, [kong_line(60 * minute, name) for minute in range(1, 15) for name in ("a", "b", "c")])
    later = requests_of(detector, encoded, "acme")
    feed(detector, lines)
    assert requests_of(detector, encoded, "acme") == later
