"""Envoy's access log in the JSON format of ``schemas/mappings/envoy.md`` to an event."""

from collections.abc import Mapping
from datetime import datetime

from stream_app.gateways.events import (
    Mapped,
    Unmapped,
    UnmappedReason,
    as_count,
    as_text,
    build_event,
    ip_prefix,
    model_and_tokens,
    time_of,
)
from stream_app.gateways.identities import Identities
from stream_app.gateways.prompts import Sketcher

#: Keys of the format, which the operator fills with the header or the dynamic metadata that authentication sets.
TENANT, ACCOUNT = "tenant_id", "account_id"


def map_envoy(record: Mapping[str, object], to: Identities, sketcher: Sketcher | None) -> Mapped:  # noqa: ARG001
    """One line of the log; an identity is a key of the format. An access log has no bodies, so there is no sketch."""
    identity = to.find(record.get)
    if isinstance(identity, Unmapped):
        return identity
    began_s = _unix_s(record.get("start_time"))
    if began_s is None:
        return Unmapped(UnmappedReason.INVALID, "start_time is no time with an offset")
    duration_ms = as_count(record.get("duration"))
    status_code = as_count(record.get("response_code"))
    tokens = model_and_tokens(
        as_text(record.get("gen_ai.request.model")),
        record.get("gen_ai.usage.input_tokens"),
        record.get("gen_ai.usage.output_tokens"),
        status_code=status_code,
        service=as_text(record.get("route_name")),
    )
    if isinstance(tokens, Unmapped):
        return tokens
    path = as_text(record.get("x-envoy-origin-path")) or as_text(record.get("path")) or ""
    return build_event(
        identity
        | tokens
        | {
            "id": as_text(record.get("x-request-id")),
            "time": time_of(began_s + (duration_ms or 0) / 1000),
            # Envoy writes 0 when the client went away before it had an answer; nginx's number for it is well known
            "status_code": status_code or 499,
            "endpoint": path.partition("?")[0] or None,
            "latency_ms": duration_ms,
            "cached_tokens": as_count(record.get("gen_ai.usage.cache_read.input_tokens")),
            "reasoning_tokens": as_count(record.get("gen_ai.usage.reasoning.output_tokens")),
            "error_type": as_text(record.get("response_flags")),
            "client": {
                "ip_prefix": ip_prefix(
                    as_text(record.get("x-forwarded-for")) or record.get("downstream_remote_address")
                ),
                "user_agent": as_text(record.get("user-agent")),
                "ja4": as_text(record.get("ja4")),
            },
        }
    )


def _unix_s(value: object) -> float | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if found is None or found.tzinfo is None else found.timestamp()
