"""LiteLLM's standard logging payload to an event; the fields are those of its ``StandardLoggingPayload``."""

from collections.abc import Mapping, Sequence

from stream_app.gateways.events import (
    Mapped,
    Unmapped,
    UnmappedReason,
    as_count,
    as_text,
    build_event,
    ip_prefix,
    part,
    time_of,
)
from stream_app.gateways.events import model_and_tokens as read_tokens
from stream_app.gateways.identities import Identities
from stream_app.gateways.prompts import Sketcher, read_prompt, tool_names

#: LiteLLM's name of a key's field to that of the logging payload, and of the key that its hooks are given.
IDENTITY_FIELDS = {
    "org_id": ("user_api_key_org_id", "org_id"),
    "team_id": ("user_api_key_team_id", "team_id"),
    "project_id": ("user_api_key_project_id", "project_id"),
    "user_id": ("user_api_key_user_id", "user_id"),
    "end_user": ("user_api_key_end_user_id", "end_user_id"),
    "key_alias": ("user_api_key_alias", "key_alias"),
    "key": ("user_api_key_hash", "api_key"),
}
#: Beginnings of LiteLLM's call types, synchronous or not, to operations as OpenTelemetry names them.
_OPERATIONS = {
    "completion": "chat",
    "text_completion": "text_completion",
    "embedding": "embeddings",
    "responses": "chat",
    "anthropic_messages": "chat",
}
_OK, _FAILED = 200, 500


def map_litellm(payload: Mapping[str, object], messages: object, to: Identities, sketcher: Sketcher | None) -> Mapped:
    """The event of one logged request; ``messages`` are the prompt, which only its sketch outlives."""
    metadata, sent = payload.get("metadata"), payload.get("model_parameters")
    identity = to.find(lambda name: part(metadata, IDENTITY_FIELDS[name][0]))
    if isinstance(identity, Unmapped):
        return identity
    began, ended = payload.get("startTime"), payload.get("endTime")
    if not isinstance(ended, int | float):
        return Unmapped(UnmappedReason.INVALID, "endTime is not a number")
    status_code = _status_code(payload)
    tokens = read_tokens(
        payload.get("model_group") or payload.get("model"),
        payload.get("prompt_tokens"),
        payload.get("completion_tokens"),
        status_code=status_code,
    )
    if isinstance(tokens, Unmapped):
        return tokens
    tools = part(sent, "tools")
    usage = part(metadata, "usage_object")
    prompt = None if sketcher is None else read_prompt(messages, part(sent, "system"), tools)
    return build_event(
        identity
        | tokens
        | {
            "id": as_text(payload.get("litellm_call_id")) or as_text(payload.get("id")),
            "time": time_of(ended),
            "status_code": status_code,
            "operation": _operation(payload.get("call_type")),
            "endpoint": as_text(part(metadata, "user_api_key_request_route")),
            "latency_ms": max(0.0, (ended - began) * 1000) if isinstance(began, int | float) else None,
            "reasoning_tokens": as_count(part(usage, "completion_tokens_details", "reasoning_tokens")),
            "cached_tokens": as_count(part(usage, "prompt_tokens_details", "cached_tokens")),
            "max_tokens": as_count(part(sent, "max_tokens") or part(sent, "max_completion_tokens")),
            "temperature": part(sent, "temperature"),
            "stream": payload.get("stream") or None,
            "logprobs": part(sent, "logprobs"),
            "n": as_count(part(sent, "n")),
            "tools": len(tool_names(tools)) or None,
            "finish_reason": _finish_reason(payload.get("response")),
            "error_type": as_text(part(payload, "error_information", "error_class")),
            "client": {
                "ip_prefix": ip_prefix(payload.get("requester_ip_address") or part(metadata, "requester_ip_address")),
                "user_agent": as_text(payload.get("user_agent") or part(metadata, "user_agent")),
            },
        }
        | ({} if sketcher is None else sketcher.fields(prompt))
    )


def _status_code(payload: Mapping[str, object]) -> int:
    if payload.get("status") == "success":
        return _OK
    told = as_count(part(payload, "error_information", "error_code"))
    return told if told is not None and 100 <= told <= 599 else _FAILED


def _operation(call_type: object) -> str | None:
    name = as_text(call_type)
    return None if name is None else _OPERATIONS.get(name) or _OPERATIONS.get(name.removeprefix("a"), name)


def _finish_reason(response: object) -> str | None:
    choices = part(response, "choices")
    return as_text(part(choices[0], "finish_reason")) if isinstance(choices, Sequence) and choices else None
