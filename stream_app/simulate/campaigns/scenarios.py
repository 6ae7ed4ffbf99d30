"""Named streams: how many tenants, how many days, which groups and campaigns."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from stream_app.simulate.campaigns.accounts import DAY_MS
from stream_app.simulate.campaigns.drafts import Draft, Group
from stream_app.simulate.campaigns.hard_negatives import HARD_NEGATIVES
from stream_app.simulate.campaigns.operations import Campaign
from stream_app.simulate.campaigns.worlds import World, setting_of

TENANTS_AT_SCALE_1 = 10_000
MIN_TENANTS = 50
DAYS = 5.0

#: A campaign of the default size is a tenth of the tenants.
CAMPAIGN_SHARE = 0.1


def campaign_size(scale: float, share: float = CAMPAIGN_SHARE) -> int:
    return max(20, round(TENANTS_AT_SCALE_1 * scale * share))


def with_campaigns(*campaigns: Campaign) -> Group:
    """A group that lets these campaigns work."""

    def group(draft: Draft) -> None:
        for campaign in campaigns:
            draft.add_campaign(campaign)

    return group


def world(
    name: str, seed: int, scale: float, end: datetime, *, groups: list[Group], days: float = DAYS, missing: float = 0.0
) -> World:
    """A stream of ``scale`` times ten thousand tenants that ends at ``end``."""
    setting = setting_of(float(int(end.timestamp() * 1_000)), days * DAY_MS, missing)
    tenants = max(MIN_TENANTS, round(TENANTS_AT_SCALE_1 * scale))
    return World(name, seed, scale, setting=setting, tenants=tenants, groups=groups)


def distillation(name: str, seed: int, scale: float, end: datetime, *, regime: str = "half") -> World:
    """One campaign, with as many accounts as a tenth of the tenants."""
    campaign = Campaign("campaign-1", "cot_elicitation", campaign_size(scale), regime=regime)
    return world(name, seed, scale, end, groups=[*HARD_NEGATIVES.values(), with_campaigns(campaign)])


SCENARIOS: dict[str, Callable[[int, float, datetime], World]] = {
    "distillation": partial(distillation, "distillation"),
    "distillation-hard": partial(distillation, "distillation-hard", regime="hard"),
}
