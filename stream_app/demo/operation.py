"""The demo's campaign: accounts that each look like an ordinary light user, and work through one queue of prompts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import numpy as np

from stream_app.simulate.salad import SALAD_KEY, salad
from stream_app.sketches import sketch_prompt

#: Fewer than twenty are never named. With these figures and the demo's seed all are acted on within 70 minutes of event
#: time after it is named, an hour before the end, at each of ten offsets to the ticks. Forty accounts are few: with
#: other figures or seeds they now and then look like an organisation, or their cards like those of others than work.
ACCOUNTS = 40
#: Requests of each, drawn from a heavy tail; the median tenant beside it sends as many in that time.
MEAN_REQUESTS, TAIL_SIGMA = 14, 0.4
#: Share of the requests that come from the queue; the others are ordinary ones.
MIX = 0.5
#: Each account carries each link with this probability, and its client: cards are limited, addresses rotate. With the
#: client on most, or a few addresses, it could be an organisation, and would be watched only.
CARRIES, CARRIES_CLIENT = 0.7, 0.4
#: What there is of each link.
CARDS, DEVICES, PREFIXES, WRAPPERS = 8, 6, 24, 6
_MODELS = ("small-1", "medium-1", "large-1")
_WRAPPER_WORDS, _BODY_WORDS = 9, 30


class Account(NamedTuple):
    """One account, alone in its tenant: the parts of an event that all its requests share, and its addresses."""

    tenant_id: str
    client: dict[str, Any]
    account: dict[str, Any]
    prefixes: list[str]


class Operation:
    """A campaign that begins at ``begin`` and goes on to ``end`` (event time); everything follows from the seed."""

    def __init__(self, seed: int, begin: datetime, end: datetime) -> None:
        self._rng = np.random.default_rng([seed, 0xCA])
        self._begin, self._end = begin, end
        self._wrappers = [salad(self._rng, _WRAPPER_WORDS) for _ in range(WRAPPERS)]
        self.accounts = [self._account(number) for number in range(ACCOUNTS)]

    @property
    def tenant_ids(self) -> frozenset[str]:
        """Who takes part."""
        return frozenset(account.tenant_id for account in self.accounts)

    def events(self) -> Iterator[dict[str, object]]:
        """Its requests in order of time."""
        made = [event for account in self.accounts for event in self._requests(account)]
        yield from sorted(made, key=lambda event: (str(event["time"]), str(event["id"])))

    def _account(self, number: int) -> Account:
        """Named like everybody else, by a number that says nothing."""
        rng = self._rng
        shared = {
            "payment_fp": f"pay-{0xC0FFEE00 + rng.integers(CARDS):010x}",
            "signup_fp": f"signup-{0xC0FFEE00 + rng.integers(DEVICES):010x}",
        }
        own = {name: f"{name[:3]}-{rng.integers(2**40):010x}" for name in shared}
        links = {name: value if rng.random() < CARRIES else own[name] for name, value in shared.items()}
        is_burst = rng.random() < CARRIES
        created = self._begin - timedelta(hours=float(rng.uniform(24, 26) if is_burst else rng.exponential(300 * 24)))
        agent = "a1f0" if rng.random() < CARRIES_CLIENT else f"{rng.integers(5):04x}"
        return Account(
            f"tenant-{10_000 + 137 * number % 1_000:05d}",
            {"ja4": f"t13d1516h2_{agent}00000000", "user_agent": "python-sdk/1.52", "country": "US"},
            {"created_at": created.isoformat(timespec="seconds"), "plan": "developer"} | links,
            [self._prefix() for _ in range(3)],
        )

    def _prefix(self) -> str:
        rng = self._rng
        if rng.random() < CARRIES:
            return f"203.0.{rng.integers(PREFIXES)}.0/24"
        return f"10.{rng.integers(256)}.{rng.integers(256)}.0/24"

    def _requests(self, account: Account) -> Iterator[dict[str, Any]]:
        rng = self._rng
        count = max(4, int(MEAN_REQUESTS * rng.lognormal(-(TAIL_SIGMA**2) / 2, TAIL_SIGMA)))
        places = np.sort(rng.random(count))
        for number, place in enumerate(places.tolist()):
            time = self._begin + (self._end - self._begin) * place
            output_tokens = int(rng.lognormal(5.6, 0.6)) + 1
            yield {
                "id": f"{account.tenant_id}-r{number}",
                "time": time.isoformat(timespec="milliseconds"),
                "tenant_id": account.tenant_id,
                "account_id": f"{account.tenant_id}-a0",
                "model": _MODELS[rng.integers(len(_MODELS))],
                "status_code": 200,
                "operation": "chat",
                "input_tokens": int(rng.lognormal(5.5, 0.7)) + 1,
                "output_tokens": output_tokens,
                "max_tokens": int(rng.choice((512, 1024, 2048, 4096))),
                "latency_ms": round(200 + 12 * output_tokens * float(rng.lognormal(0, 0.3)), 1),
                "client": account.client | {"ip_prefix": account.prefixes[rng.integers(len(account.prefixes))]},
                "account": account.account,
                "prompt": self._prompt(),
            }

    def _prompt(self) -> dict[str, Any]:
        """An item of the queue, each dealt once and to whoever is next, or something of the account's own."""
        rng = self._rng
        body = salad(rng, _BODY_WORDS)
        if rng.random() < MIX:
            body = f"Please explain the following text with {self._wrappers[rng.integers(WRAPPERS)]}: {body}"
        sketch: dict[str, Any] = msgspec.to_builtins(sketch_prompt(body, key=SALAD_KEY))
        return sketch
