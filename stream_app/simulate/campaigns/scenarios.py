"""Named streams: how many tenants, how many days, which campaigns; all of them hold every hard negative."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from stream_app.simulate.campaigns.accounts import DAY_MS
from stream_app.simulate.campaigns.drafts import Draft, Group
from stream_app.simulate.campaigns.hard_negatives import HARD_NEGATIVES
from stream_app.simulate.campaigns.links import LINKS
from stream_app.simulate.campaigns.loads import LOADS
from stream_app.simulate.campaigns.members import Campaign
from stream_app.simulate.campaigns.worlds import World, setting_of
from stream_app.simulate.campaigns.wrappers import FAMILIES

TENANTS_AT_SCALE_1 = 10_000
MIN_TENANTS = 50

#: A day and more before the campaign, so that baselines exist, and more than three of it.
DAYS = 5.0

#: A campaign has a tenth as many accounts as there are tenants, unless its scenario names a size.
CAMPAIGN_SHARE = 0.1
MIN_CAMPAIGN = 20

Plan = Callable[[int, float, datetime], World]


def world(
    name: str,
    seed: int,
    scale: float,
    end: datetime,
    *,
    campaigns: tuple[Campaign, ...] = (),
    missing: float = 0.0,
    days: float = DAYS,
    hard_negatives: tuple[str, ...] = tuple(HARD_NEGATIVES),
) -> World:
    """``scale`` times ten thousand ordinary tenants, the hard negatives of these names and the campaigns.

    ``missing`` is a further share of accounts that lack each optional part.
    """
    setting = setting_of(float(int(end.timestamp() * 1_000)), days * DAY_MS, missing)
    tenants = max(MIN_TENANTS, round(TENANTS_AT_SCALE_1 * scale))
    groups: list[Group] = [*(HARD_NEGATIVES[group] for group in hard_negatives), _working(campaigns)]
    return World(name, seed, scale, setting=setting, tenants=tenants, groups=groups)


def campaign(
    number: int, seed: int, scale: float, *, family: str | None = None, size: int = 0, **asked: object
) -> Campaign:
    """Campaign ``number`` of a stream; the seed turns the wheel of families where none is named."""
    names = sorted(FAMILIES)
    chosen = family or names[(seed + number) % len(names)]
    size = size or max(MIN_CAMPAIGN, round(TENANTS_AT_SCALE_1 * scale * CAMPAIGN_SHARE))
    return Campaign(f"campaign-{number}", chosen, size, **asked)  # type: ignore[arg-type]


def one_campaign(name: str, seed: int, scale: float, end: datetime, *, missing: float = 0.0, **asked: object) -> World:
    """One campaign of what is asked for."""
    return world(name, seed, scale, end, missing=missing, campaigns=(campaign(1, seed, scale, **asked),))  # type: ignore[arg-type]


def several_campaigns(name: str, seed: int, scale: float, end: datetime, *, count: int) -> World:
    """Campaigns of different families at the same time, each as large as the one of other streams, shared out."""
    size = max(MIN_CAMPAIGN, round(TENANTS_AT_SCALE_1 * scale * CAMPAIGN_SHARE / 2))
    campaigns = tuple(campaign(number, seed, scale, size=size) for number in range(1, count + 1))
    return world(name, seed, scale, end, campaigns=campaigns)


def _working(campaigns: tuple[Campaign, ...]) -> Group:
    def group(draft: Draft) -> None:
        for wanted in campaigns:
            draft.add_campaign(wanted)

    return group


#: Name to what is asked of its one campaign.
_ONE_CAMPAIGN: dict[str, dict[str, object]] = {
    "distillation": {},
    "distillation-all-links": {"regime": "all"},
    "distillation-hard": {"regime": "hard"},
    **{f"without-{link}": {"without": (link,)} for link in LINKS},
    **{f"mix-{percent}": {"mix": percent / 100} for percent in (2, 5, 30, 100)},
    **{f"size-{size}": {"size": size} for size in (50, 200, 1_000, 24_000)},
    **{f"load-{load.replace('_', '-')}": {"load": load} for load in LOADS if load != "natural"},
    **{f"family-{family.replace('_', '-')}": {"family": family} for family in FAMILIES},
    **{f"missing-{percent}": {"missing": percent / 100} for percent in (30, 60)},
    "hydra": {"banned_share": 0.3},
    "pivot": {"is_pivoting": True},
    "rotation": {"is_rotating": True},
    "split": {"tenants": 20},
    "paraphrase": {"regime": "hard", "paraphrase": 1.0},
    "cells": {"has_cells": True},
}

SCENARIOS: dict[str, Plan] = {
    "benign-world": partial(world, "benign-world"),
    "four-campaigns": partial(several_campaigns, "four-campaigns", count=4),
    **{name: partial(one_campaign, name, **asked) for name, asked in _ONE_CAMPAIGN.items()},  # type: ignore[arg-type]
}
