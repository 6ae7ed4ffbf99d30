"""One request (acme's user-17, 812 and 240 tokens) as each gateway writes it; made up, in the documented shapes."""

from typing import Any

#: Stands in every prompt here, and may be found nowhere else.
CANARY = "canary-7f3a9c51"
PROMPT = f"Translate the {CANARY} report into French, please."
SYSTEM = f"You are the {CANARY} assistant."
TOOLS = [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}]
MESSAGES = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
STARTED_MS, TOOK_MS = 1_772_442_929_250, 2_000

KONG: dict[str, Any] = {
    "service": {"id": "167290ee-c682-4ebf-bdea-e49a3ac5e260", "name": "completions", "host": "llm.internal"},
    "route": {"id": "78f79740-c410-4fd9-a998-d0a60a99dc9b", "name": "chat", "paths": ["/v1"]},
    "workspace_name": "default",
    "request": {
        "id": "2f6946328ffc4946b8c9120704a4a155",
        "method": "POST",
        "uri": "/v1/chat/completions?beta=1",
        "url": "https://api.example.com/v1/chat/completions?beta=1",
        "size": 1390,
        "querystring": {"beta": "1"},
        "headers": {
            "host": "api.example.com",
            "user-agent": "example-sdk/1.4.0",
            "x-tenant": ["globex", "other"],
            "authorization": "Bearer sk-secret",
        },
    },
    "response": {"status": 200, "size": 9982, "headers": {"content-type": "application/json"}},
    "latencies": {"kong": 12, "proxy": 1988, "request": TOOK_MS},
    "tries": [{"ip": "10.1.2.3", "port": 443, "balancer_latency": 0}],
    "client_ip": "203.0.113.77",
    "started_at": STARTED_MS,
    "upstream_uri": "/v1/chat/completions",
    "upstream_status": "200",
    "authenticated_entity": {"id": "user-17"},
    "consumer": {"id": "7c1f1c2e-0000-4000-8000-000000000001", "username": "acme-inc", "custom_id": "acme"},
    "ai": {
        "proxy": {
            "meta": {"provider_name": "openai", "request_model": "large-2", "response_model": "large-2-0301"},
            "usage": {"prompt_tokens": 812, "completion_tokens": 240, "total_tokens": 1052, "time_per_token": 8},
            "payload": {"request": {"model": "large-2", "messages": MESSAGES, "tools": TOOLS, "max_tokens": 1024}},
        }
    },
}

ENVOY: dict[str, Any] = {
    "start_time": "2026-03-02T09:15:29.250Z",
    "method": "POST",
    "x-envoy-origin-path": "/v1/chat/completions",
    "protocol": "HTTP/2",
    "response_code": 200,
    "response_flags": "-",
    "bytes_received": 1390,
    "bytes_sent": 9982,
    "duration": TOOK_MS,
    "x-forwarded-for": "203.0.113.77",
    "user-agent": "example-sdk/1.4.0",
    "x-request-id": "b1946ac9-2492-4d23-8b9a-0c7c3c9f3a10",
    "route_name": "llm",
    "tenant_id": "acme",
    "account_id": "user-17",
    "gen_ai.request.model": "large-2",
    "gen_ai.usage.input_tokens": "812",
    "gen_ai.usage.output_tokens": 240,
}

_OTEL: dict[str, Any] = {
    "tenant.id": "acme",
    "user.id": "user-17",
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "large-2",
    "gen_ai.request.temperature": 0.7,
    "gen_ai.request.max_tokens": 1024,
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.usage.input_tokens": 812,
    "gen_ai.usage.output_tokens": 240,
    "gen_ai.system_instructions": [{"type": "text", "content": SYSTEM}],
    "gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": PROMPT}]}],
    "gen_ai.tool.definitions": [{"type": "function", "name": "look_up"}],
    "client.address": "203.0.113.77",
    "user_agent.original": "example-sdk/1.4.0",
}
_BEGAN_NS, _ENDED_NS = STARTED_MS * 10**6, (STARTED_MS + TOOK_MS) * 10**6
_IDS = {"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}
_RESOURCE = {"attributes": [{"key": "service.name", "value": {"stringValue": "llm-proxy"}}]}


def _value(value: object) -> dict[str, object]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [_value(each) for each in value]}}
        case dict():
            return {"kvlistValue": {"values": _pairs(value)}}
        case _:
            return {"stringValue": str(value)}


def _pairs(attributes: dict[str, Any]) -> list[dict[str, object]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items() if value is not None]


def otel_span(changes: dict[str, Any]) -> dict[str, Any]:
    """An export of one span with some attributes changed, or left out where None."""
    span = _IDS | {
        "name": "chat large-2",
        "kind": 3,
        "startTimeUnixNano": str(_BEGAN_NS),
        "endTimeUnixNano": str(_ENDED_NS),
        "attributes": _pairs(_OTEL | changes),
        "status": {},
    }
    return {"resourceSpans": [{"resource": _RESOURCE, "scopeSpans": [{"scope": {"name": "llm"}, "spans": [span]}]}]}


OTEL_SPANS = otel_span({})
OTEL_LOGS = {
    "resourceLogs": [
        {
            "resource": _RESOURCE,
            "scopeLogs": [
                {
                    "scope": {"name": "llm"},
                    "logRecords": [
                        _IDS
                        | {
                            "timeUnixNano": str(_ENDED_NS),
                            "eventName": "gen_ai.client.inference.operation.details",
                            "attributes": _pairs(_OTEL),
                        },
                        _IDS | {"timeUnixNano": str(_ENDED_NS), "body": {"stringValue": PROMPT}},
                    ],
                }
            ],
        }
    ]
}

LITELLM: dict[str, Any] = {
    "id": "chatcmpl-1",
    "litellm_call_id": "9a8f1c9e-5a42-4d5e-9a44-4b2f3f6c2d11",
    "call_type": "acompletion",
    "stream": False,
    "status": "success",
    "model": "large-2-0301",
    "model_group": "large-2",
    "prompt_tokens": 812,
    "completion_tokens": 240,
    "startTime": STARTED_MS / 1000,
    "endTime": (STARTED_MS + TOOK_MS) / 1000,
    "requester_ip_address": "203.0.113.77",
    "user_agent": "example-sdk/1.4.0",
    "messages": MESSAGES,
    "response": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Bien sûr."}}]},
    "error_information": None,
    "model_parameters": {"temperature": 0.7, "max_tokens": 1024, "tools": TOOLS},
    "metadata": {
        "user_api_key_org_id": None,
        "user_api_key_team_id": "acme",
        "user_api_key_hash": "user-17",
        "user_api_key_request_route": "/v1/chat/completions",
        "usage_object": {"prompt_tokens_details": {"cached_tokens": 512}, "completion_tokens_details": None},
    },
}


def kong_without_usage() -> dict[str, Any]:
    """A request that a model served, and whose tokens Kong does not tell."""
    return KONG | {"ai": {"proxy": {"meta": KONG["ai"]["proxy"]["meta"]}}}
