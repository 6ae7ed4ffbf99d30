"""Panes, minutes and windows of one tenant, in event time.

::

    panes of 10 s   |.|.|.|.|.|.|.|.|.|.|.|.|.|.|    kept while their minute is open or the last 60 s reach them
    minutes         |    M-2    |    M-1    |  M     kept for ten minutes, with distinct accounts and the model mix
                                      ^ watermark: M-2 is closed, M-1 and M take events in any order

A minute closes when the watermark passes its end. Windows slide by panes: the 60 s window of pane N is N-5..N, the
600 s window of minute M is M-9..M, and that of 180 s M-2..M.
"""

from collections.abc import Sequence

from datasketches import hll_sketch, hll_union, tgt_hll_type
from msgspec import Struct, field

from stream_app.detection.shapes import Shape

PANE_MS = 10_000
MINUTE_MS = 60_000
PANES = MINUTE_MS // PANE_MS
MIDDLE_MINUTES, LONG_MINUTES = 3, 10
#: Recent ids a pane remembers; a repeated event carries the same time, so its pane is where to look for it.
MAX_PANE_IDS = 128
#: Distinct models told apart in a minute or profile; all others count as one.
MAX_MODELS = 16
OTHER_MODELS = "other"
#: 2^8 registers: 6.5 % standard error, exact below eight accounts, at most 168 bytes.
_HLL_LOG2_SIZE = 8

#: Accounts counted apart in a pane (ten bytes each), and of a closed minute: whose a tenant's excess is, is among them.
MAX_HEAVY, MAX_HEAVY_MINUTE = 32, 3

#: Requests, input tokens, output tokens and denied requests by account (CRC-32): never more than there were, but less
#: when an account was not among the heavy ones for a while.
Heavy = dict[int, "Counts"]
#: Requests, input tokens, output tokens, errors (``features.Counter``), and denied requests.
Totals = tuple[int, int, int, int, int]


class Counts(Struct, array_like=True, gc=False):
    """What an account asked for."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    denied: int = 0

    @property
    def asked(self) -> int:
        """Requests, denied ones included."""
        return self.requests + self.denied


class Pane(Struct, array_like=True, gc=False):
    """Sums of ten seconds. ``ids`` holds CRC-32 of the newest ids; offsets and times span what was counted."""

    first_offset: int
    last_offset: int
    first_ms: int
    last_ms: int
    first_id: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    errors: int = 0
    denied: int = 0
    ids: dict[int, None] = field(default_factory=dict)
    heavy: Heavy = field(default_factory=dict)

    def counts_of(self, account: int) -> Counts:
        """Counts of an account in the pane, to be counted up; when there are too many, the smallest begins anew."""
        counts = self.heavy.get(account)
        if counts is None:
            if len(self.heavy) >= MAX_HEAVY:
                asked = [known.requests + known.denied for known in self.heavy.values()]
                del self.heavy[list(self.heavy)[asked.index(min(asked))]]
            counts = self.heavy[account] = Counts()
        return counts


class Minute(Struct, array_like=True, gc=False):
    """What is kept of a minute: sums once it is closed, distinct accounts, model counts and shape as they come.

    ``failed`` are the requests that the provider could not serve; they are among ``denied``: demand, but no load.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    errors: int = 0
    denied: int = 0
    models: dict[str, int] = field(default_factory=dict)
    accounts: hll_sketch | None = None
    failed: int = 0
    shape: Shape | None = None
    heavy: Heavy = field(default_factory=dict)

    def add_account(self, account_id: str) -> None:
        """Count a distinct account."""
        if self.accounts is None:
            self.accounts = hll_sketch(_HLL_LOG2_SIZE, tgt_hll_type.HLL_4)
        self.accounts.update(account_id)

    def add_model(self, model: str) -> None:
        """Count a request to a model."""
        models = self.models
        requests = models.get(model)
        if requests is None:
            if len(models) >= MAX_MODELS:
                model = OTHER_MODELS
            requests = models.get(model, 0)
        models[model] = requests + 1


class Windows(Struct, array_like=True, gc=False):
    """A tenant's panes and minutes by index since 1970; at most some 70 panes and twenty minutes."""

    panes: dict[int, Pane] = field(default_factory=dict)
    minutes: dict[int, Minute] = field(default_factory=dict)
    closed_minute: int = 0

    def close_minute(self, minute: int) -> Minute | None:
        """Sum up a minute's panes; ``None`` when the tenant was silent in it."""
        self.closed_minute = minute
        closed = self.minutes.get(minute)
        if closed is None:
            return None
        first = minute * PANES
        panes = [pane for index in range(first, first + PANES) if (pane := self.panes.get(index)) is not None]
        total = _sum([closed, *panes])
        closed.requests, closed.input_tokens, closed.output_tokens, closed.errors, closed.denied = total
        for pane in panes:
            _merge(closed.heavy, pane.heavy)
        closed.heavy = _heaviest(closed.heavy)
        if closed.shape is not None:
            closed.shape.recent = {}
        return closed

    def counts_all(self, minute: int) -> bool:
        """Whether all accounts of a minute that closes were counted apart: then their order does not matter."""
        panes = (self.panes.get(index) for index in range(minute * PANES, minute * PANES + PANES))
        return all(p is None or sum(c.asked for c in p.heavy.values()) == p.requests + p.denied for p in panes)

    def forget(self, minute: int) -> None:
        """Drop what no window after a closed minute reaches."""
        first_pane = minute * PANES + 1
        for index in [index for index in self.panes if index < first_pane]:
            del self.panes[index]
        for index in [index for index in self.minutes if index <= minute - LONG_MINUTES]:
            del self.minutes[index]

    def peak_pane(self, minute: int, without: Sequence[int] = ()) -> tuple[int, int]:
        """Requests in the busiest pane of a minute: those served, and those asked for (denied ones included)."""
        served = asked = 0
        for index, pane in self.panes.items():
            if index // PANES == minute:
                requests, denied = pane.requests, pane.denied
                if without:
                    requests, *_, denied = _sum([pane], without)
                served, asked = max(served, requests), max(asked, requests + denied)
        return served, asked

    def sum_pane(self, index: int, without: Sequence[int] = ()) -> Totals:
        """Totals of one pane, without those of some accounts."""
        pane = self.panes.get(index)
        return _sum([pane] if pane else [], without)

    def sum_panes(self, newest: int, without: Sequence[int] = ()) -> Totals:
        """Totals of the 60 s up to and including a pane, without those of some accounts."""
        return _sum([pane for index, pane in self.panes.items() if newest - PANES < index <= newest], without)

    def sum_long(self, minute: int, without: Sequence[int] = ()) -> Totals:
        """Totals of the ten minutes up to and including a minute, whether closed or open, without some accounts."""
        return self.sum_from(minute - LONG_MINUTES + 1, minute, without)

    def sum_from(self, first: int, minute: int, without: Sequence[int] = ()) -> Totals:
        """Totals of the minutes from one up to and including another that are kept, without some accounts."""
        last, first_open = min(minute, self.closed_minute), max(self.closed_minute + 1, first)
        parts: list[Pane | Minute] = [part for index, part in self.minutes.items() if first <= index <= last]
        if first_open <= minute:
            parts += [pane for index, pane in self.panes.items() if first_open <= index // PANES <= minute]
        return _sum(parts, without)

    def long(self, minute: int) -> list[Minute]:
        """The minutes of the ten up to one, in order."""
        first = minute - LONG_MINUTES + 1
        return [self.minutes[index] for index in range(first, minute + 1) if index in self.minutes]

    def mix(self, minute: int) -> dict[str, int]:
        """Requests by model in the ten minutes up to a minute."""
        mix: dict[str, int] = {}
        for index, part in self.minutes.items():
            if minute - LONG_MINUTES < index <= minute:
                for model, requests in part.models.items():
                    mix[model] = mix.get(model, 0) + requests
        return mix

    def distinct_accounts(self, minute: int) -> float:
        """Estimated distinct accounts in the ten minutes up to a minute; exact below eight.

        Every sketch is merged twice: only a merged union estimates from its registers alone, whatever their order.
        """
        sketches = [
            part.accounts
            for index, part in sorted(self.minutes.items())
            if minute - LONG_MINUTES < index <= minute and part.accounts is not None
        ]
        if not sketches:
            return 0.0
        union = hll_union(_HLL_LOG2_SIZE)
        for sketch in sketches * 2:
            union.update(sketch)
        return round(float(union.get_estimate()), 1)


def block_end(minute: int) -> int:
    """Last minute of the ten-minute block that a minute belongs to; blocks are what the long features learn."""
    return minute // LONG_MINUTES * LONG_MINUTES + LONG_MINUTES - 1


def is_block_end(minute: int) -> bool:
    """Whether a minute is the last of its block."""
    return block_end(minute) == minute


def _merge(total: Heavy, counted: Heavy) -> None:
    """Add what a pane that is complete has counted; what only one pane has is shared with it."""
    for account, one in counted.items():
        two = total.get(account)
        if two is not None:
            tokens = one.input_tokens + two.input_tokens, one.output_tokens + two.output_tokens
            one = Counts(one.requests + two.requests, *tokens, one.denied + two.denied)  # noqa: PLW2901
        total[account] = one


def _heaviest(heavy: Heavy) -> Heavy:
    if len(heavy) <= MAX_HEAVY_MINUTE:
        return heavy
    order = sorted(heavy, key=lambda account: (-heavy[account].asked, account))
    return {account: heavy[account] for account in order[:MAX_HEAVY_MINUTE]}


def _sum(parts: list[Pane | Minute], without: Sequence[int] = ()) -> Totals:
    requests = input_tokens = output_tokens = errors = denied = 0
    for part in parts:
        requests += part.requests
        input_tokens += part.input_tokens
        output_tokens += part.output_tokens
        errors += part.errors
        denied += part.denied
    for account in without:
        for part in parts:
            if (counts := part.heavy.get(account)) is not None:
                requests -= counts.requests
                input_tokens -= counts.input_tokens
                output_tokens -= counts.output_tokens
                denied -= counts.denied
    return requests, input_tokens, output_tokens, errors, denied
