"""Gateways in: what LiteLLM, Kong, Envoy and OpenTelemetry tell of requests, as events v1 without any prompt."""
