"""OpenTelemetry's GenAI spans and events (conventions v1.41.1) in OTLP's JSON to events."""

from collections.abc import Iterator, Mapping, Sequence

from stream_app.gateways.documents import Record, read_json
from stream_app.gateways.events import (
    Mapped,
    Unmapped,
    UnmappedReason,
    as_count,
    as_text,
    build_event,
    ip_prefix,
    model_and_tokens,
    part,
    time_of,
)
from stream_app.gateways.identities import Identities
from stream_app.gateways.prompts import Sketcher, read_prompt, tool_names

#: The conventions have no name for a customer: instrumentation must set one of these, on the span or its resource.
TENANT, ACCOUNT = "tenant.id,organization.id", "user.id,enduser.id"

#: Operations that are one request to a model; agents and tools run around them, and are told again as such.
_REQUESTS = {"chat", "text_completion", "generate_content", "embeddings"}
#: The SDK's own events have no time but the one at which they were seen.
_ENDS = ("endTimeUnixNano", "timeUnixNano", "observedTimeUnixNano")
_EVENT = "gen_ai.client.inference.operation.details"
_STATUS_ERROR = (2, "STATUS_CODE_ERROR")
_OK, _FAILED = 200, 500
#: Instrumentation of the OpenAI and Anthropic libraries tells a refusal by the class of their exception alone.
_STATUS_OF_ERROR = {
    "BadRequestError": 400,
    "AuthenticationError": 401,
    "PermissionDeniedError": 403,
    "NotFoundError": 404,
    "UnprocessableEntityError": 422,
    "RateLimitError": 429,
}
_VALUES = ("stringValue", "boolValue", "doubleValue")


def records_of(document: Record) -> Iterator[Record]:
    """Spans and events that are requests to a model; all others in an export are left alone."""
    return filter(_is_request, flat_records(document))


def flat_records(document: Record) -> Iterator[Record]:
    """Spans and log records of an ``ExportTraceServiceRequest`` or ``ExportLogsServiceRequest``.

    Each is flat: its resource's and its own attributes and, under ``otlp.``, its own fields.
    """
    for many, scopes, records in (
        ("resourceSpans", "scopeSpans", "spans"),
        ("resourceLogs", "scopeLogs", "logRecords"),
    ):
        for resource in _list(document.get(many)):
            around = _attributes(part(resource, "resource", "attributes"))
            for scope in _list(part(resource, scopes)):
                for record in _list(part(scope, records)):
                    if isinstance(record, Mapping):
                        flat = around | _attributes(record.get("attributes"))
                        yield flat | {f"otlp.{name}": each for name, each in record.items() if name != "attributes"}


def map_otel(record: Record, to: Identities, sketcher: Sketcher | None) -> Mapped:
    """One flat record of ``records_of``; an identity is an attribute of the span, the event, or their resource."""
    identity = to.find(record.get)
    if isinstance(identity, Unmapped):
        return identity
    began, ended = _nanos(record, "startTimeUnixNano"), _nanos(record, *_ENDS)
    if ended is None:
        return Unmapped(UnmappedReason.INVALID, "neither an end nor a time")
    status_code = _status_code(record)
    tokens = model_and_tokens(
        record.get("gen_ai.request.model") or record.get("gen_ai.response.model"),
        record.get("gen_ai.usage.input_tokens"),
        record.get("gen_ai.usage.output_tokens"),
        status_code=status_code,
    )
    if isinstance(tokens, Unmapped):
        return tokens
    messages, system, tools = (
        read_json(record.get(name))
        for name in ("gen_ai.input.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions")
    )
    finished = _list(record.get("gen_ai.response.finish_reasons"))
    prompt = None if sketcher is None else read_prompt(messages, system, tools)
    return build_event(
        identity
        | tokens
        | {
            "id": _id(record),
            "time": time_of(ended / 1e9),
            "status_code": status_code,
            "operation": record.get("gen_ai.operation.name"),
            "endpoint": as_text(record.get("http.route")) or as_text(record.get("url.path")),
            "latency_ms": max(0, ended - began) / 1e6 if began else None,
            "reasoning_tokens": as_count(record.get("gen_ai.usage.reasoning.output_tokens")),
            "cached_tokens": as_count(record.get("gen_ai.usage.cache_read.input_tokens")),
            "max_tokens": as_count(record.get("gen_ai.request.max_tokens")),
            "temperature": record.get("gen_ai.request.temperature"),
            "stream": record.get("gen_ai.request.stream"),
            "n": as_count(record.get("gen_ai.request.choice.count")),
            "tools": len(tool_names(tools)) or None,
            "finish_reason": as_text(finished[0]) if finished else None,
            "error_type": as_text(record.get("error.type")),
            "session_id": as_text(record.get("gen_ai.conversation.id")),
            "client": {
                "ip_prefix": ip_prefix(record.get("client.address")),
                "country": as_text(record.get("geo.country.iso_code")),
                "user_agent": as_text(record.get("user_agent.original")),
            },
        }
        | ({} if sketcher is None else sketcher.fields(prompt))
    )


def _is_request(record: Record) -> bool:
    if record.get("gen_ai.operation.name") not in _REQUESTS:
        return False
    # a span has a beginning; of log records only the one event that tells of a whole request counts
    named = record.get("otlp.eventName") or record.get("event.name")
    return "otlp.startTimeUnixNano" in record or named == _EVENT


def _id(record: Record) -> str | None:
    trace, span = as_text(record.get("otlp.traceId")), as_text(record.get("otlp.spanId"))
    return f"{trace}-{span}" if trace and span else as_text(record.get("gen_ai.response.id"))


def _status_code(record: Record) -> int:
    """The HTTP status if it is told, else the error's type if that names one, else whether the request failed."""
    error = as_text(record.get("error.type"))
    for told in (record.get("http.response.status_code"), error, _STATUS_OF_ERROR.get(error or "")):
        code = as_count(told)
        if code is not None and 100 <= code <= 599:
            return code
    is_failed = record.get("error.type") or part(record.get("otlp.status"), "code") in _STATUS_ERROR
    return _FAILED if is_failed else _OK


def _nanos(record: Record, *names: str) -> int | None:
    """OTLP's JSON writes 64-bit numbers as text; 0 means that the time is unknown."""
    for name in names:
        value = record.get(f"otlp.{name}")
        if isinstance(value, str | int) and str(value).isdigit() and int(value):
            return int(value)
    return None


def _attributes(pairs: object) -> dict[str, object]:
    found = {}
    for pair in _list(pairs):
        name = part(pair, "key")
        if isinstance(name, str):
            found[name] = _value(part(pair, "value"))
    return found


def _value(value: object) -> object:
    if not isinstance(value, Mapping):
        return None
    if "intValue" in value:
        return as_count(value["intValue"])
    if "arrayValue" in value:
        return [_value(each) for each in _list(part(value, "arrayValue", "values"))]
    if "kvlistValue" in value:
        return _attributes(part(value, "kvlistValue", "values"))
    return next((value[kind] for kind in _VALUES if kind in value), None)


def _list(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else []
