"""The campaign stage: signals in, and every ten minutes of event time verdicts out."""

import numpy as np
from msgspec import Struct, field

from stream_app.detection.campaigns.assessment import assess, list_candidates, retract_or_keep
from stream_app.detection.campaigns.growth import Pool, compete, grow
from stream_app.detection.campaigns.identities import bring_back, expel, follow_members
from stream_app.detection.campaigns.indicators import LEAST_PART, Exchange, Indicators, Partners, find_partners, keep
from stream_app.detection.campaigns.kinships import share, weigh_partners
from stream_app.detection.campaigns.links import GROUPS, Population, population
from stream_app.detection.campaigns.opinions import Opinion, Ranking, hear
from stream_app.detection.campaigns.pools import (
    Tried,
    absorb,
    fresh_pools,
    joins_strangers,
    leave_strangers,
    merged,
    new_id,
    strongest,
)
from stream_app.detection.campaigns.profiles import Flags, Floats, Profiles
from stream_app.detection.campaigns.proofs import MIN_MEMBERS
from stream_app.detection.campaigns.records import Campaign, Verdict
from stream_app.detection.campaigns.roles import ROLES, roles
from stream_app.detection.campaigns.signatures import nats_of
from stream_app.detection.campaigns.verdicts import changes, count_tokens, may_act, roles_of, update_members
from stream_app.detection.decisions import Decision
from stream_app.detection.effects import ForgetDecision
from stream_app.detection.link_rulings import LinkStanding, release_link, release_links, rule_links, shared_links
from stream_app.detection.operators import Feedback, ReleaseLink
from stream_app.detection.policy import Policy
from stream_app.detection.rules import HarmBudget
from stream_app.detection.signals import Signal

TICK_MS = 600_000
_DAY_MS = 86_400_000
#: Tenants silent for longer take no part; after twice as long they are forgotten.
ACTIVE_MS = 7 * _DAY_MS
_WARM_ROUNDS = 3
#: A look costs as much as there are tenants: fewer signals than this, or than this share of the tenants, can wait for
#: the next tick, but no longer than an hour, and not while a campaign may be acted on.
_FEW_SIGNALS, _FEW_SHARE, _LONGEST_WAIT_MS = 100, 0.05, 3_600_000
#: Smaller probabilities of membership are not remembered: they weigh nothing, and there is one for every tenant.
_NOBODY = 1e-6
#: Who belongs to no pool more than so much may be drawn into a control group.
_IN_BACKGROUND = 0.2


class Memory(Struct):
    """What the stage remembers beside its tenants; shares of pools are by row of the profiles."""

    campaigns: list[Campaign] = field(default_factory=list)
    tried: Tried = field(default_factory=Tried)
    listed_ms: list[int] = field(default_factory=list)
    looked_ms: int = 0
    links: dict[str, LinkStanding] = field(default_factory=dict)
    opinions: dict[str, Opinion] = field(default_factory=dict)
    indicators: dict[str, Indicators] = field(default_factory=dict)


class CampaignStage:
    """Links tenants by their signals; a function of the signals alone, whatever their order within a tick.

    Memory: under a kilobyte a tenant active within 14 days, and eight bytes a tenant for every pool followed. A tick
    takes some two seconds for 10,000 tenants. What a look decides on shared values waits in ``link_decisions`` for the
    driver, if there is a ``policy``. Both and ``budget`` may be set between ticks, and ``exchange``, without which
    nothing is told to partners or learned from them; ``profiles``, ``waiting``,
    ``memory`` and ``told`` (by tenant) are all its state.
    """

    def __init__(self, budget: HarmBudget = HarmBudget(share=0.15, at_least=10)) -> None:  # noqa: B008
        self.budget = budget
        self.policy: Policy | None = None
        self.exchange: Exchange | None = None
        self.link_decisions: list[Decision | ForgetDecision] = []
        self.profiles = Profiles()
        self.waiting: list[Signal] = []
        self.memory = Memory()
        self.told: dict[str, Verdict] = {}
        self.tenants = 0

    @property
    def campaigns(self) -> list[Campaign]:
        """Campaigns that somebody was told of, the oldest first."""
        return [campaign for campaign in self.memory.campaigns if campaign.is_listed]

    def take(self, signal: Signal) -> list[Verdict]:
        """Keep a signal for the next tick; at once a verdict when a new tenant fits an undoubted campaign by itself.

        Who is known is judged by the looks alone: one signal says less of a tenant than all of them.
        """
        self.waiting.append(signal)
        if signal.tenant_id in self.told or signal.tenant_id in self.profiles.rows:
            return []
        known = [c for c in self.memory.campaigns if c.signature and may_act(c) and not c.doubts]
        found = [verdict for campaign in known if (verdict := _on_arrival(campaign, signal))]
        best = max(found, key=lambda verdict: verdict.posterior, default=None)
        if best is None:
            return []
        self.told[best.tenant_id] = best
        return [best]

    def tick(self, now_ms: int) -> list[Verdict]:
        """What ``look`` brings, unless so few signals wait that it can be put off."""
        due = sum(signal.pane_end_ms <= now_ms for signal in self.waiting)
        are_few = due < max(_FEW_SIGNALS, _FEW_SHARE * len(self.profiles))
        can_wait = are_few and not any(map(may_act, self.memory.campaigns))
        if can_wait and now_ms - self.memory.looked_ms < _LONGEST_WAIT_MS:
            return []
        return self.look(now_ms)

    def look(self, now_ms: int) -> list[Verdict]:
        """Verdicts on everything signalled up to ``now_ms``, new or changed, by tenant."""
        self.memory.looked_ms = now_ms
        self._take_in(now_ms)
        last_ms = self.profiles.last_ms[: len(self.profiles)]
        active = last_ms >= now_ms - ACTIVE_MS
        if not active.any():
            return []
        people = population(self.profiles, active)
        self.tenants = len(people)
        partners = find_partners(people, self.profiles, self.memory.indicators, self.exchange, now_ms)
        self._grow(people, partners, now_ms)
        background = np.ones(len(people), np.bool_)
        for campaign in self.memory.campaigns:
            background &= campaign.pool.share < _IN_BACKGROUND
        ranking = Ranking(self.memory.opinions.values())
        for campaign in self.memory.campaigns:
            assess(campaign, people, self.profiles, background, now_ms, ranking=ranking)
            retract_or_keep(campaign)
            weigh_partners(campaign, partners, now_ms)
        least = MIN_MEMBERS if self.exchange is None else LEAST_PART
        list_candidates(self.memory.campaigns, people, self.memory.listed_ms, now_ms, least)
        fits = [roles_of(campaign, people) for campaign in self.memory.campaigns]
        fitting = np.zeros(len(people), np.int32)
        for campaign, found in zip(self.memory.campaigns, fits, strict=True):
            fitting += campaign.is_listed * (found > 0)
        for campaign, found in zip(self.memory.campaigns, fits, strict=True):
            elsewhere = fitting - campaign.is_listed * (found > 0) > 0
            update_members(campaign, found, people, self.profiles, now_ms, elsewhere, self.told)
            count_tokens(campaign, self.profiles)
        share(self.memory.campaigns, people, self.profiles, self.exchange)
        if self.policy is not None:
            shared = shared_links(self.memory.campaigns, people, self.profiles, self.policy, now_ms)
            self.link_decisions += rule_links(self.memory.links, self.policy, shared, now_ms)
        self._keep_shares(people)
        allowed = max(self.budget.at_least, int(self.budget.share * len(people)))
        return changes(self.memory.campaigns, self.told, allowed, now_ms)

    def adopt(self, policy: Policy) -> None:
        """Go by a policy's harm budget and rules of shared values from the next look on."""
        self.budget, self.policy = policy.harm_budgets.campaigns, policy

    def hear(self, word: Feedback | ReleaseLink, now_ms: int) -> list[Verdict] | None:
        """Take in a person's word on a campaign, under any of its ids, or on a shared value.

        Gives the verdicts that end with it, None when nothing is known of it. What it begins comes with the next look.
        """
        if isinstance(word, ReleaseLink):
            return self._release_link(word.key, now_ms)
        for campaign in self.memory.campaigns:
            if word.campaign_id in {campaign.campaign_id, *campaign.aliases}:
                self.memory.looked_ms = 0
                if self.policy is not None and not word.is_confirmed:
                    links, policy = self.memory.links, self.policy
                    self.link_decisions += release_links(links, policy, campaign.campaign_id, now_ms)
                return hear(campaign, self.memory.opinions, self.told, word, now_ms)
        return None

    def _release_link(self, key: str, now_ms: int) -> list[Verdict] | None:
        released = None if self.policy is None else release_link(self.memory.links, self.policy, key, now_ms)
        if released is None:
            return None
        self.link_decisions.append(released)
        return []

    def forget(self, tenant_id: str) -> None:
        """Erase a tenant, also as a member; what campaigns learned from it stays."""
        self.waiting = [signal for signal in self.waiting if signal.tenant_id != tenant_id]
        self.told.pop(tenant_id, None)
        for campaign in self.memory.campaigns:
            campaign.members.pop(tenant_id, None)
        if (row := self.profiles.rows.get(tenant_id)) is not None:
            self._keep_rows(np.arange(len(self.profiles)) != row)

    def learn(self, told: Indicators) -> None:
        """Go by what a partner tells from the next look on, in place of what it told before."""
        keep(self.memory.indicators, told)

    def take_link_decisions(self) -> list[Decision | ForgetDecision]:
        """What was decided on shared values since the last call."""
        made, self.link_decisions = self.link_decisions, []
        return made

    def _take_in(self, now_ms: int) -> None:
        due = [signal for signal in self.waiting if signal.pane_end_ms <= now_ms]
        self.waiting = [signal for signal in self.waiting if signal.pane_end_ms > now_ms]
        for signal in sorted(due, key=lambda signal: (signal.tenant_id, signal.sequence)):
            self.profiles.add(signal)
        last_ms = self.profiles.last_ms[: len(self.profiles)]
        keep = last_ms >= now_ms - 2 * ACTIVE_MS
        if 2 * np.count_nonzero(keep) < len(keep):
            self._keep_rows(keep)

    def _keep_rows(self, keep: Flags) -> None:
        for campaign in self.memory.campaigns:
            campaign.pool.share = _padded(campaign.pool.share, len(keep))[keep]
        self.profiles.forget(keep)

    def _grow(self, people: Population, partners: Partners | None, now_ms: int) -> None:
        held: dict[str, Floats] = {}
        for campaign in self.memory.campaigns:
            share = held[campaign.campaign_id] = _padded(campaign.pool.share, len(self.profiles))[people.rows]
            campaign.pool = Pool(share, campaign.pool.has_links, campaign.pool.weights)
            if partners is not None:
                campaign.pool.prior = partners.prior(campaign.pool)
            grow(people, campaign.pool, _WARM_ROUNDS)
        pools = [campaign.pool for campaign in self.memory.campaigns]
        for pool, origin in fresh_pools(people, pools, self.memory.tried):
            leave_strangers(people, self.memory.campaigns, pool)
            if not joins_strangers(self.memory.campaigns, pool) and not absorb(people, self.memory.campaigns, pool):
                self.memory.campaigns.append(Campaign(new_id(origin, now_ms), now_ms, pool))
        kept, gone = merged(people, self.memory.campaigns)
        self.memory.campaigns = strongest(kept)
        expel(people, self.memory.campaigns, now_ms)
        compete([campaign.pool for campaign in self.memory.campaigns])
        follow_members(people, self.memory.campaigns, held, now_ms)
        bring_back(self.memory.campaigns, gone, held)

    def _keep_shares(self, people: Population) -> None:
        for campaign in self.memory.campaigns:
            share = np.zeros(len(self.profiles))
            share[people.rows] = np.where(campaign.pool.share < _NOBODY, 0.0, campaign.pool.share)
            campaign.pool.share = share


def _padded(share: Floats, count: int) -> Floats:
    return np.concatenate([share, np.zeros(count - len(share))]) if len(share) < count else share


def _on_arrival(campaign: Campaign, signal: Signal) -> Verdict | None:
    if campaign.signature is None:
        return None
    nats = nats_of(signal.profile, campaign.signature)
    share = float(1.0 / (1.0 + np.exp(-(campaign.signature.base + nats.sum()))))
    role = ROLES[int(roles(np.array([share]), nats.reshape(-1, 1))[0])]
    if role is None:
        return None
    by_group = {group: round(float(part), 2) for group, part in zip(GROUPS, nats, strict=True) if part}
    return Verdict(
        signal.tenant_id, campaign.campaign_id, campaign.kind, role, round(share, 6), by_group, signal.pane_end_ms
    )
