"""Stillwatch inside a LiteLLM proxy: ``callbacks: stream_app.gateways.litellm_callback.stillwatch``.

Imported by LiteLLM, in LiteLLM's own environment, and by nothing else.
"""

import atexit
import logging
from functools import partial
from typing import Any

import structlog
from fastapi import HTTPException
from litellm.integrations.custom_logger import CustomLogger
from prometheus_client import CollectorRegistry

from stream_app.adapters.credentials import python_security
from stream_app.adapters.operator_signatures import key_files, operator_signatures
from stream_app.gateways.events import Unmapped, as_count, ip_prefix, part
from stream_app.gateways.identities import Identities
from stream_app.gateways.litellm import IDENTITY_FIELDS, map_litellm
from stream_app.gateways.litellm_settings import LiteLLMSettings, SketchSettings, load_litellm_settings
from stream_app.gateways.prompts import Sketcher
from stream_app.gateways.publishing import EventPublisher
from stream_app.limiter import Allowance, ControlTopic, DecisionsTable, Limiter, RequestFacts
from stream_app.settings import Settings, load_settings
from stream_app.signatures import load_verifier
from stream_app.sketches import PromptScorer, load_key
from stream_app.topology import TopicName

_log = structlog.get_logger()


class Stillwatch(CustomLogger):
    """Tells Kafka of every request, sketches instead of prompts, and refuses what decisions deny.

    Telling happens in a thread of its own and cannot hold up or fail a request. Asking takes some microseconds: the
    decisions are in this process, read from the control topic.
    """

    def __init__(self, publisher: EventPublisher, limiter: Limiter | None, to: Identities, sketcher: Sketcher | None):
        super().__init__()
        self.publisher = publisher
        self._limiter = limiter
        self._to = to
        self._sketcher = sketcher

    async def async_pre_call_hook(
        self,
        user_api_key_dict: Any,
        cache: Any,  # noqa: ARG002
        data: dict[str, Any],
        call_type: str,  # noqa: ARG002
    ) -> None:
        """Refuse a request that a decision denies: status 429 with ``Retry-After`` and the reason's code."""
        if self._limiter is None:
            return
        try:
            allowance = self._ask(self._limiter, user_api_key_dict, data)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not fail a request
            _log.warning("limiter could not be asked, request passes", error=type(error).__name__)
            return
        if allowance is not None and not allowance.allowed:
            raise _refusal(allowance)

    async def async_log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:  # noqa: ARG002
        """Tell of a request that was served."""
        self._tell(kwargs)

    async def async_log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:  # noqa: ARG002
        """Tell of a request that failed or was refused, by us too: refusals count as demand."""
        self._tell(kwargs)

    def _tell(self, kwargs: dict[str, Any]) -> None:
        payload = kwargs.get("standard_logging_object")
        if payload is not None:
            messages = kwargs.get("messages") or kwargs.get("input")
            self.publisher.publish(partial(map_litellm, payload, messages, self._to, self._sketcher))

    def _ask(self, limiter: Limiter, key: Any, data: dict[str, Any]) -> Allowance | None:
        identity = self._to.find(lambda name: getattr(key, IDENTITY_FIELDS[name][1], None))
        if isinstance(identity, Unmapped):
            return None
        return limiter.check(
            RequestFacts(
                tenant_id=str(identity["tenant_id"]),
                account_id=str(identity["account_id"]),
                ip_prefix=ip_prefix(part(data, "metadata", "requester_ip_address")),
                tokens=as_count(data.get("max_tokens") or data.get("max_completion_tokens")) or 0,
            )
        )


def _refusal(allowance: Allowance) -> HTTPException:
    headers = {
        "Retry-After": str(allowance.retry_after_s),
        "X-Stillwatch-Action": str(allowance.action),
        "X-Stillwatch-Reason": allowance.reason_code,
    }
    if allowance.decision_id:
        headers["X-Stillwatch-Decision-Id"] = allowance.decision_id
    told = f"requests are limited by the provider (reason {allowance.reason_code})"
    return HTTPException(status_code=429, detail=told, headers=headers)


def _sketcher(files: SketchSettings) -> Sketcher | None:
    if files.sketch_key_file is None:
        _log.warning("no sketches: STILLWATCH_SKETCH_KEY_FILE is not set, so campaigns are found by links alone")
        return None
    exchange = load_key(files.exchange_key_file) if files.exchange_key_file else None
    return Sketcher(load_key(files.sketch_key_file), exchange, PromptScorer.load())


def _limiter(settings: Settings, own: LiteLLMSettings) -> Limiter | None:
    if not own.enforce:
        return None
    limiter = Limiter(DecisionsTable(), CollectorRegistry(), fail_open=not own.fail_closed)
    ControlTopic(
        limiter,
        broker=settings.broker,
        topic=settings.topic(TopicName.DECISIONS),
        operator_topic=settings.topic(TopicName.OPERATOR),
        security=python_security(settings),
        verifier=load_verifier(*key_files(own.verify_keys)) if own.verify_keys else None,
        operator_signatures=operator_signatures(settings),
    ).start()
    return limiter


def create_callback() -> Stillwatch:
    """The callback as the environment wants it; what cannot be used stops the proxy's start with its reason."""
    settings, (own, to, files) = load_settings(), load_litellm_settings()
    # kafka-python repeats at every attempt what our own line has said once.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    sketcher = _sketcher(files)
    publisher = EventPublisher(settings, source="/gateways/litellm")
    atexit.register(publisher.stop)
    return Stillwatch(publisher, _limiter(settings, own), to, sketcher)


stillwatch = create_callback()
