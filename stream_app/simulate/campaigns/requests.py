"""Arrivals to events: what each request asked for, how it ended, and which parts its gateway reports."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from stream_app.simulate.campaigns.accounts import PART, Accounts, Bools, Floats, Ints
from stream_app.simulate.campaigns.arrivals import Arrivals
from stream_app.simulate.campaigns.attributes import (
    COUNTRIES,
    ENDPOINTS,
    MAX_TOKENS,
    MODELS,
    NEW_MODEL,
    PLANS,
    TEMPERATURES,
    Clients,
    drawn,
    language_of,
    network_asn,
    network_country,
    network_prefix,
)

Event = dict[str, object]

#: Share of requests that lack a part which their gateway reports as a rule.
LOST_SHARE = 0.03

#: Share of requests whose parameters are not the account's usual ones.
UNUSUAL_SHARE = 0.1

TOKEN_SIGMA = 0.7
#: Characters of English text per token, as a rule of thumb of tokenizers.
CHARS_PER_TOKEN = 4

STATUSES = (400, 429, 500, 503)
STATUS_WEIGHTS = (0.35, 0.3, 0.2, 0.15)
ERROR_TYPES = {400: "invalid_request", 429: "rate_limit", 500: "api_error", 503: "overloaded"}
REFUSED_SHARE = 0.008


@dataclass
class Shapes:
    """Columns of what differs from request to request; numbers into the lists of ``attributes``."""

    model: Ints
    max_tokens: Ints
    temperature: Ints
    stream: Bools
    endpoint: Ints
    tools: Ints
    input_tokens: Ints
    output_tokens: Ints
    status: Ints
    network: Ints
    language: Ints
    refused: Bools
    latency_ms: Floats
    reports: Ints


def drawn_shapes(accounts: Accounts, arrivals: Arrivals, rng: np.random.Generator) -> Shapes:
    """Every account's usual choices with exceptions."""
    who, size = arrivals.account, len(arrivals)
    second = (rng.random(size) < 0.25).astype(np.int64)
    is_unusual = rng.random(size) < UNUSUAL_SHARE
    is_new_model = (arrivals.time_ms >= accounts.adopts_ms[who]) & (rng.random(size) < accounts.adopts_share[who])
    status = np.where(rng.random(size) < accounts.error_share[who], rng.choice(STATUSES, size, p=STATUS_WEIGHTS), 200)
    max_tokens = np.where(is_unusual, drawn(rng, "max_tokens", size), accounts.max_tokens[who, second])
    limits = np.array(MAX_TOKENS)[max_tokens]
    wanted = rng.lognormal(np.log(accounts.output_median[who]), TOKEN_SIGMA).astype(np.int64) + 1
    output = np.where(status == 200, np.where(limits > 0, np.minimum(wanted, limits), wanted), 0)
    is_lost = rng.random((size, len(PART))) < LOST_SHARE
    lost = (is_lost * np.array(list(PART.values()))).sum(axis=1)
    return Shapes(
        model=np.where(is_new_model, len(MODELS), accounts.model[who, second]),
        max_tokens=max_tokens,
        temperature=np.where(is_unusual, drawn(rng, "temperature", size), accounts.temperature[who, second]),
        stream=rng.random(size) < accounts.stream_share[who],
        endpoint=accounts.endpoint[who],
        tools=np.where(rng.random(size) < 0.9, accounts.tools[who], 0),
        input_tokens=rng.lognormal(np.log(accounts.input_median[who]), TOKEN_SIGMA).astype(np.int64),
        output_tokens=output,
        status=status,
        network=accounts.networks[who, (arrivals.session // 1_000 + who) % accounts.network_count[who]],
        language=accounts.language[who],
        refused=(rng.random(size) < REFUSED_SHARE) & (status == 200),
        latency_ms=((200 + 12 * output) * rng.lognormal(0.0, 0.3, size)).round(1),
        reports=accounts.reports[who] & ~lost,
    )


#: Parameters as they stand in an event; many requests leave them out.
_LIMIT_PARTS: list[Event] = [{"max_tokens": limit} if limit else {} for limit in MAX_TOKENS]
_TEMPERATURE_PARTS: list[Event] = [{"temperature": value} if value >= 0 else {} for value in TEMPERATURES]


class EventWriter:
    """Columns to events, for one stream: ids are numbered in order of time. Costs some 8 µs an event."""

    def __init__(self, accounts: Accounts, clients: Clients, tenant_ids: list[str], account_ids: list[str]) -> None:
        self._accounts = accounts
        self._clients = clients
        self._tenant_ids = tenant_ids
        self._account_ids = account_ids
        self._count = 0

    def events(
        self, arrivals: Arrivals, shapes: Shapes, prompts: Iterator[dict[str, object] | None]
    ) -> Iterator[Event]:
        """``prompts`` gives one sketch per arrival, None where none is reported."""
        times = np.datetime_as_string(arrivals.time_ms.astype("datetime64[ms]")).tolist()
        columns = [column.tolist() for column in (arrivals.account, arrivals.session, *vars(shapes).values())]
        for time, prompt, who, session, *shape in zip(times, prompts, *columns, strict=True):
            self._count += 1
            yield self._event(f"{time}Z", who, session, shape, prompt)

    def _event(self, time: str, who: int, session: int, shape: list[int], prompt: dict[str, object] | None) -> Event:
        (model, limit, temperature, stream, endpoint, tools, inputs,
         outputs, status, network, language, refused, latency_ms, reports) = shape  # fmt: skip
        event: Event = {
            "id": f"r{self._count:09d}",
            "time": time,
            "tenant_id": self._tenant_ids[who],
            "account_id": self._account_ids[who],
            "model": MODELS[model] if model < len(MODELS) else NEW_MODEL,
            "status_code": status,
            "input_tokens": inputs + (prompt["chars"] // CHARS_PER_TOKEN if prompt else 0),  # type: ignore[operator]
            "output_tokens": outputs,
            "operation": "chat",
        }
        if reports & PART["shape"]:
            event |= {"stream": bool(stream), "endpoint": ENDPOINTS[endpoint]}
            event |= _LIMIT_PARTS[limit] | _TEMPERATURE_PARTS[temperature]
            if tools:
                event["tools"] = tools
        if status == 200:
            event["latency_ms"] = latency_ms
            event["finish_reason"] = "length" if outputs == MAX_TOKENS[limit] else "stop"
            if refused:
                event["refused"] = True
        else:
            event["error_type"] = ERROR_TYPES[status]
        if reports & PART["session"]:
            event["session_id"] = f"{self._account_ids[who]}-{session // 1_000:x}"
        if reports & PART["language"]:
            event["language"] = language_of(COUNTRIES[language])
        if reports & PART["client"]:
            event["client"] = self._client(who, network, reports)
        if reports & PART["account"]:
            event["account"] = self._account(who, reports)
        if prompt is not None:
            event["prompt"] = prompt
        return event

    def _client(self, who: int, network: int, reports: int) -> dict[str, object]:
        number = int(self._accounts.client[who])
        client: dict[str, object] = {
            "ip_prefix": network_prefix(network),
            "asn": network_asn(network),
            "country": network_country(network),
            "user_agent": self._clients.user_agents[number],
        }
        if reports & PART["ja4"]:
            client["ja4"] = self._clients.ja4s[number]
        return client

    def _account(self, who: int, reports: int) -> dict[str, object]:
        accounts = self._accounts
        account: dict[str, object] = {
            "created_at": _rfc3339(accounts.created_ms[who]),
            "plan": PLANS[accounts.plan[who]],
        }
        if reports & PART["payment"] and accounts.payment[who]:
            account["payment_fp"] = f"pay-{accounts.payment[who]:012x}"
            account["payment_bin"] = f"bin-{accounts.payment_bin[who]:03d}"
        if reports & PART["signup"]:
            account["signup_fp"] = f"su-{accounts.signup[who]:012x}"
        return account


def _rfc3339(time_ms: float) -> str:
    return datetime.fromtimestamp(time_ms // 1_000, tz=UTC).isoformat().replace("+00:00", "Z")
