"""Kong's log of a request (kafka-log, http-log, file-log write the same JSON) to an event."""

from collections.abc import Mapping

from stream_app.gateways.documents import read_json
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
from stream_app.gateways.prompts import Prompt, Sketcher, read_prompt, tool_names

#: Who made a request, unless told otherwise: the consumer that Kong's authentication found.
TENANT, ACCOUNT = "consumer.custom_id,consumer.username,consumer.id", "authenticated_entity.id"

#: What stands in a log for the headers Authorization and Proxy-Authorization: nobody's name.
_REDACTED = "REDACTED"


def map_kong(record: Mapping[str, object], to: Identities, sketcher: Sketcher | None) -> Mapped:
    """One log record; an identity is a path such as ``consumer.id``, or ``header.NAME`` of the request."""
    identity = to.find(lambda name: _field(record, name))
    if isinstance(identity, Unmapped):
        return identity
    began_ms, took_ms = record.get("started_at"), part(record, "latencies", "request")
    if not isinstance(began_ms, int | float):
        return Unmapped(UnmappedReason.INVALID, "started_at is not a number")
    latency_ms = took_ms if isinstance(took_ms, int | float) else 0
    status_code = part(record, "response", "status")
    ai = _ai(record)
    tokens = model_and_tokens(
        part(ai, "meta", "request_model"),
        part(ai, "usage", "prompt_tokens"),
        part(ai, "usage", "completion_tokens"),
        status_code=status_code,
        service=as_text(part(record, "service", "name")) or as_text(part(record, "route", "name")),
    )
    if isinstance(tokens, Unmapped):
        return tokens
    sent = _sent(ai)
    tools = part(sent, "tools")
    return build_event(
        identity
        | tokens
        | {
            "id": as_text(part(record, "request", "id")) or as_text(_field(record, "header.x-kong-request-id")),
            "time": time_of((began_ms + latency_ms) / 1000),
            "status_code": status_code,
            "endpoint": (as_text(part(record, "request", "uri")) or "").partition("?")[0] or None,
            "latency_ms": latency_ms,
            "cached_tokens": as_count(part(ai, "usage", "prompt_tokens_details", "cached_tokens")),
            "max_tokens": as_count(part(sent, "max_tokens")),
            "temperature": part(sent, "temperature"),
            "stream": part(sent, "stream"),
            "tools": len(tool_names(tools)) or None,
            "client": {
                "ip_prefix": ip_prefix(record.get("client_ip")),
                "user_agent": as_text(_field(record, "header.user-agent")),
            },
        }
        | ({} if sketcher is None else sketcher.fields(_prompt(sent)))
    )


def _field(record: Mapping[str, object], name: str) -> object:
    if name.startswith("header."):
        headers = part(record, "request", "headers")
        value = part(headers, name.removeprefix("header.").lower())
        # Kong writes a header that was sent more than once as an array
        first = value[0] if isinstance(value, list) and value else value
        return None if first == _REDACTED else first
    return part(record, *name.split("."))


def _ai(record: Mapping[str, object]) -> object:
    """What the AI plugins add: under ``ai.proxy``, or under the plugin's own name as older versions write it."""
    ai = record.get("ai")
    for name in ("proxy", "ai-proxy", "ai-proxy-advanced"):
        found = part(ai, name)
        if found is not None:
            return found
    return None


def _sent(ai: object) -> object:
    """The request's body as ``log_payloads`` adds it, which Kong writes as an object or as its text."""
    return read_json(part(ai, "payload", "request"))


def _prompt(sent: object) -> Prompt | None:
    return read_prompt(part(sent, "messages") or part(sent, "prompt"), part(sent, "system"), part(sent, "tools"))
