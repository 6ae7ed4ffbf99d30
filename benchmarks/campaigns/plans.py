"""Which streams are judged: tables of the page, two sizes, seeds that are tuned on and seeds that are told."""

from datetime import UTC, datetime
from itertools import combinations

from msgspec import Struct

from stream_app.simulate.campaigns.links import LINKS
from stream_app.simulate.campaigns.loads import LOADS
from stream_app.simulate.campaigns.scenarios import CAMPAIGN_SHARE, TENANTS_AT_SCALE_1, campaign, world
from stream_app.simulate.campaigns.worlds import World
from stream_app.simulate.campaigns.wrappers import FAMILIES

#: Thresholds, ours and the rivals', were settled on the first; nobody looks at the others while anything may change.
TUNING_SEEDS = (1101, 1102)
REPORTED_SEEDS = (2201, 2202, 2203)
#: Any fixed time: event time is all that counts.
END = datetime(2026, 3, 2, tzinfo=UTC)


class Size(Struct, frozen=True):
    """How many ordinary tenants (the hard negatives and campaigns come on top) over how many days."""

    tenants: int
    days: float


#: The small one takes a minute a stream, rivals not counted; its campaign has two days, three extraction requests an
#: account. On less than that there is little to see at one request in ten. The medium one takes ten.
SIZES = {"small": Size(2_000, 3.0), "medium": Size(20_000, 3.0), "large": Size(100_000, 5.0)}


class Plan(Struct, frozen=True):
    """A stream of one table; ``asked`` is of the campaign, ``accounts`` its size where it is not a tenth."""

    table: str
    name: str
    asked: dict[str, object] = {}
    accounts: int = 0
    campaigns: int = 1
    missing: float = 0.0

    @property
    def key(self) -> str:
        """Table and name."""
        return f"{self.table}/{self.name}"

    @property
    def has_rivals(self) -> bool:
        """Rivals take longer than the product: they run where links and mix are at their plainest."""
        return self.table == "worlds" or (self.table == "regimes" and self.asked["mix"] in {0.1, 1.0})


MIXES = (2, 5, 10, 30, 100)
REGIMES = ("all", "half", "hard")
ACCOUNTS = (50, 200, 1_000, 24_000)
MISSING = (15, 30, 45, 60)

PLANS = (
    *(
        Plan("regimes", f"{regime}, mix {mix} %", {"regime": regime, "mix": mix / 100})
        for mix in (10, 100, 30, 5, 2)
        for regime in REGIMES
    ),
    Plan("worlds", "no campaign", campaigns=0),
    Plan("worlds", "four at once", campaigns=4),
    Plan("evasions", "hydra", {"banned_share": 0.3}),
    Plan("evasions", "pivot", {"is_pivoting": True}),
    Plan("evasions", "rotation", {"is_rotating": True}),
    Plan("evasions", "split over 20 tenants", {"tenants": 20}),
    Plan("evasions", "hard, paraphrased", {"regime": "hard", "paraphrase": 1.0}),
    *(Plan("evasions", f"load {load.replace('_', ' ')}", {"load": load}) for load in LOADS if load != "natural"),
    *(Plan("missing", f"{percent} % of fields", missing=percent / 100) for percent in MISSING),
    *(
        Plan("sizes", f"{regime}, {count:,} accounts", {"regime": regime}, accounts=count)
        for regime in ("half", "hard")
        for count in ACCOUNTS
    ),
    *(Plan("ablations", link, {"without": (link,)}) for link in LINKS),
    *(Plan("ablations", f"{one}, {other}", {"without": (one, other)}) for one, other in combinations(LINKS, 2)),
    *(Plan("families", family.replace("_", " "), {"family": family}) for family in FAMILIES),
)
TABLES = tuple(dict.fromkeys(plan.table for plan in PLANS))


def plans_at(size: Size) -> tuple[Plan, ...]:
    """Those that make sense: no campaign larger than two thirds of the ordinary tenants, none told in another table."""
    usual = round(size.tenants * CAMPAIGN_SHARE)
    return tuple(plan for plan in PLANS if plan.accounts <= size.tenants * 2 / 3 and plan.accounts != usual)


def world_of(plan: Plan, seed: int, size: Size) -> World:
    """The stream, with every hard negative; several campaigns are half as large each, of different families."""
    scale = size.tenants / TENANTS_AT_SCALE_1
    usual = round(size.tenants * CAMPAIGN_SHARE / (2 if plan.campaigns > 1 else 1))
    campaigns = tuple(
        campaign(number, seed, scale, size=plan.accounts or usual, **plan.asked)  # type: ignore[arg-type]
        for number in range(1, plan.campaigns + 1)
    )
    return world(plan.key, seed, scale, END, campaigns=campaigns, missing=plan.missing, days=size.days)
