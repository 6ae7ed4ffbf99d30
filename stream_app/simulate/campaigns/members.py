"""A campaign's accounts: ordinary ones first, linked afterwards."""

from dataclasses import dataclass, field

import numpy as np
from msgspec import Struct

from stream_app.simulate.campaigns.accounts import HOUR_MS, Accounts, Bools, Floats, Ints, Setting, ordinary_accounts
from stream_app.simulate.campaigns.attributes import drawn
from stream_app.simulate.campaigns.links import Habits, carried_links, drawn_habits, link_accounts

#: Requests a day of a campaign's account, extraction included.
MEAN_RATE = 15.0


class Campaign(Struct, frozen=True):
    """What is asked for; all else is drawn. ``mix`` is the share of the accounts' requests that extract.

    ``tenants`` puts all accounts into so many tenants; 0 leaves each alone in its own. ``banned_share`` of the accounts
    are banned at one time and replaced by new ones. ``paraphrase`` is the share of items under a wrapper of their own.
    With ``has_cells`` the accounts of one card have wrappers that no others have.
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
    has_cells: bool = False


class Tilt(Struct, frozen=True):
    """How far extraction requests differ in shape from their account's own; ``share`` of them use the campaign's."""

    share: float
    max_tokens: Ints
    temperature: Ints
    model: Ints
    output_factor: float


class Wave(Struct, frozen=True):
    """Accounts banned at one time, and how many replaced them."""

    time_ms: float
    banned: int
    replacements: int


@dataclass
class Members:
    """A campaign's accounts as drawn.

    ``joins_ms`` is when each begins to extract; ``bridges`` names what each heir of a banned account inherits.
    """

    accounts: Accounts
    joins_ms: Floats
    starts_ms: float
    pivots_ms: float
    tilt: Tilt
    carried: dict[str, Bools]
    habits: Habits
    bridges: dict[int, list[str]] = field(default_factory=dict)
    waves: list[Wave] = field(default_factory=list)


def drawn_members(setting: Setting, campaign: Campaign, rng: np.random.Generator) -> Members:
    """The campaign's accounts, made ordinary first and linked afterwards."""
    starts_ms = setting.begin_ms + rng.uniform(0.2, 0.32) * setting.span_ms
    accounts = ordinary_accounts(setting, campaign.size, rng, family=campaign.family)
    sigma = rng.uniform(0.6, 1.1)
    accounts.rate = np.minimum(
        rng.lognormal(np.log(campaign.rate) - sigma**2 / 2, sigma, campaign.size), 20 * campaign.rate
    )
    carried = carried_links(campaign.regime, campaign.without, campaign.size, rng)
    habits = drawn_habits(setting, rng)
    link_accounts(accounts, carried=carried, habits=habits, starts_ms=starts_ms, rng=rng)
    if campaign.tenants:
        accounts.tenant = rng.integers(campaign.tenants, size=campaign.size)
    ramp_ms = HOUR_MS * float(np.exp(rng.uniform(np.log(1), np.log(24))))
    joins_ms = np.maximum(starts_ms + ramp_ms * rng.beta(1.0, 2.0, campaign.size), accounts.begin_ms)
    pivots_ms = starts_ms + rng.uniform(0.4, 0.6) * (setting.end_ms - starts_ms) if campaign.is_pivoting else np.inf
    return Members(accounts, joins_ms, starts_ms, pivots_ms, _drawn_tilt(rng), carried, habits)


def _drawn_tilt(rng: np.random.Generator) -> Tilt:
    return Tilt(
        share=float(rng.uniform(0.0, 0.5)),
        max_tokens=drawn(rng, "max_tokens", 3),
        temperature=drawn(rng, "temperature", 3),
        model=drawn(rng, "model", 2),
        output_factor=float(rng.uniform(0.7, 2.0)),
    )
