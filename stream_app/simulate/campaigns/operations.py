"""One distillation campaign in action: which accounts it has, and which of their requests extract."""

from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct

from stream_app.simulate.campaigns.accounts import (
    HOUR_MS,
    MINUTE_MS,
    Accounts,
    Bools,
    Floats,
    Ints,
    Setting,
    ordinary_accounts,
)
from stream_app.simulate.campaigns.arrivals import Arrivals
from stream_app.simulate.campaigns.attributes import MODELS, drawn
from stream_app.simulate.campaigns.links import carried_links, drawn_habits, link_accounts
from stream_app.simulate.campaigns.loads import Load, load_of
from stream_app.simulate.campaigns.requests import Shapes

#: Requests a day of a campaign's account, extraction included.
MEAN_RATE = 15.0

#: A pivot takes this long, and moves this share of the extraction.
PIVOT_MS = 24 * HOUR_MS
PIVOT_SHARE = 0.5

#: Extraction counted from here on is what detection delays are told from.
COUNTED = 5_000


class Campaign(Struct, frozen=True):
    """What is asked for; all else is drawn. ``mix`` is the share of the accounts' requests that extract.

    ``tenants`` puts all accounts into so many tenants; 0 leaves each alone in its own. ``banned_share`` of the accounts
    are banned at one time and replaced by new ones. ``paraphrase`` is the share of items under a wrapper of their own.
    """

    campaign_id: str
    family: str
    size: int
    regime: str = "half"
    without: tuple[str, ...] = ()
    mix: float = 0.1
    load: str = "natural"
    rate: float = MEAN_RATE
    tenants: int = 0
    banned_share: float = 0.0
    is_pivoting: bool = False
    is_rotating: bool = False
    paraphrase: float = 0.0


class Tilt(Struct, frozen=True):
    """How far extraction requests differ in shape from their account's own; ``share`` of them use the campaign's."""

    share: float
    max_tokens: Ints
    temperature: Ints
    model: Ints
    output_factor: float


@dataclass
class Members:
    """A campaign's accounts as drawn. ``joins_ms`` is when each begins to extract."""

    accounts: Accounts
    joins_ms: Floats
    starts_ms: float
    pivots_ms: float
    tilt: Tilt
    bridges: dict[int, list[str]] = field(default_factory=dict)
    waves: list[dict[str, object]] = field(default_factory=list)


def drawn_members(setting: Setting, campaign: Campaign, rng: np.random.Generator) -> Members:
    """The campaign's accounts, made ordinary first and linked afterwards."""
    starts_ms = setting.begin_ms + rng.uniform(0.2, 0.32) * setting.span_ms
    accounts = ordinary_accounts(setting, campaign.size, rng, family=campaign.family)
    sigma = rng.uniform(0.6, 1.1)
    accounts.rate = np.minimum(
        rng.lognormal(np.log(campaign.rate) - sigma**2 / 2, sigma, campaign.size), 20 * campaign.rate
    )
    carried = carried_links(campaign.regime, campaign.without, campaign.size, rng)
    link_accounts(accounts, carried=carried, habits=drawn_habits(setting, rng), starts_ms=starts_ms, rng=rng)
    if campaign.tenants:
        accounts.tenant = rng.integers(campaign.tenants, size=campaign.size)
    ramp_ms = HOUR_MS * float(np.exp(rng.uniform(np.log(1), np.log(24))))
    joins_ms = np.maximum(starts_ms + ramp_ms * rng.beta(1.0, 2.0, campaign.size), accounts.begin_ms)
    pivots_ms = starts_ms + rng.uniform(0.4, 0.6) * (setting.end_ms - starts_ms) if campaign.is_pivoting else np.inf
    return Members(accounts, joins_ms, starts_ms, pivots_ms, _drawn_tilt(rng))


def _drawn_tilt(rng: np.random.Generator) -> Tilt:
    return Tilt(
        share=float(rng.uniform(0.0, 0.5)),
        max_tokens=drawn(rng, "max_tokens", 3),
        temperature=drawn(rng, "temperature", 3),
        model=drawn(rng, "model", 2),
        output_factor=float(rng.uniform(0.7, 2.0)),
    )


class Operation:
    """A campaign at work in one stream; ``first_row`` is its first account's row, ``number`` its place.

    ``extractions`` counts by hour; memory: two numbers per account.
    """

    def __init__(
        self, campaign: Campaign, members: Members, number: int, first_row: int, rng: np.random.Generator
    ) -> None:
        self.campaign = campaign
        self.members = members
        self.number = number
        self.first_row = first_row
        self.first_ms: Floats = np.full(len(members.accounts), np.inf)
        self.hourly: dict[float, int] = {}
        self.counted_ms = np.inf
        self.total = 0
        self._load: Load = load_of(campaign.load, members.accounts, members.joins_ms, campaign.mix, rng)

    def own_share(self) -> float:
        """Share of the accounts' rates that their own sessions make; any other extraction comes on top."""
        return self._load.own_share

    def dispatched(self, hour_ms: float, rng: np.random.Generator) -> Arrivals:
        """Extraction requests of this hour that are not part of the accounts' own sessions."""
        who, times = self._load.requests(hour_ms, rng)
        sessions = (times // (20 * MINUTE_MS) * 20 * MINUTE_MS).astype(np.int64)
        return Arrivals(who + self.first_row, times, sessions, np.full(len(who), self.number))

    def marked(self, arrivals: Arrivals, rng: np.random.Generator) -> Bools:
        """Which of the accounts' own requests extract instead."""
        rows = arrivals.account - self.first_row
        is_member = (rows >= 0) & (rows < len(self.first_ms)) & (arrivals.campaign < 0)
        joined_ms = np.where(is_member, self.members.joins_ms[np.where(is_member, rows, 0)], np.inf)
        is_on = arrivals.time_ms >= joined_ms
        marked: Bools = is_on & (rng.random(len(arrivals)) < self._load.ridden_share)
        return marked

    def count(self, arrivals: Arrivals) -> None:
        """Remember the extraction requests among these, which are in order of time."""
        chosen = arrivals.campaign == self.number
        rows, times = arrivals.account[chosen] - self.first_row, arrivals.time_ms[chosen]
        np.minimum.at(self.first_ms, rows, times)
        if self.total < COUNTED <= self.total + len(times):
            self.counted_ms = float(times[COUNTED - self.total - 1])
        self.total += len(times)
        for hour, count in zip(*np.unique(times // HOUR_MS * HOUR_MS, return_counts=True), strict=True):
            self.hourly[float(hour)] = self.hourly.get(float(hour), 0) + int(count)

    def tilt(self, arrivals: Arrivals, shapes: Shapes, rng: np.random.Generator) -> None:
        """Give extraction requests the campaign's shape in part."""
        rows = np.flatnonzero(arrivals.campaign == self.number)
        tilt = self.members.tilt
        shapes.output_tokens[rows] = (shapes.output_tokens[rows] * tilt.output_factor).astype(np.int64)
        chosen = rows[rng.random(len(rows)) < tilt.share]
        shapes.max_tokens[chosen] = rng.choice(tilt.max_tokens, size=len(chosen))
        shapes.temperature[chosen] = rng.choice(tilt.temperature, size=len(chosen))
        shapes.model[chosen] = rng.choice(tilt.model, size=len(chosen))
        moved = np.clip((arrivals.time_ms[rows] - self.members.pivots_ms) / PIVOT_MS, 0, 1) * PIVOT_SHARE
        shapes.model[rows[rng.random(len(rows)) < moved]] = len(MODELS)
