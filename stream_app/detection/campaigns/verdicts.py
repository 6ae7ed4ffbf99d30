"""From pools to members, and from members to what their tenants' detectors are told."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from msgspec.structs import replace

from stream_app.detection.campaigns.confirmation import BOTH_ORIGINS, CampaignKind
from stream_app.detection.campaigns.customers import customers_inside
from stream_app.detection.campaigns.dealings import OWN_WRAPPERS, numbers_of_wrappers
from stream_app.detection.campaigns.likelihoods import by_group
from stream_app.detection.campaigns.links import GROUPS, HARD_GROUPS, Population
from stream_app.detection.campaigns.profiles import Flags, Floats, Ints, Profiles
from stream_app.detection.campaigns.proofs import ORIGINS, is_held
from stream_app.detection.campaigns.records import DOUBTS, Bar, Campaign, Member, Status, Verdict
from stream_app.detection.campaigns.roles import ACT_ODDS, ROLES, Role, carries_own_client, roles
from stream_app.detection.campaigns.ties import are_tied

#: An unchanged verdict is told again after so long, so that its decision is renewed before it expires; the later the
#: longer it has stood, up to half a day. Changes and the end are told at once: a long life only bounds what a
#: campaign stage that is no more leaves behind.
RENEW_MS, RENEW_AT_MOST_MS = 3 * 3_600_000, 12 * 3_600_000
#: Evidence sways about a threshold from look to look, and a block that lets in for five minutes is none: who has
#: reached a role keeps it for two hours, two of the rarest looks, and longer while the evidence stays near: half a day
#: at most above this probability of membership.
HOLD_MS, LONG_HOLD_MS, LEAVE_SHARE = 2 * 3_600_000, 12 * 3_600_000, 0.1
_RANK: dict[Role | None, int] = {None: 0, Role.MEMBER: 1, Role.ACT: 2, Role.BLOCK: 3}


def update_members(  # noqa: PLR0917
    campaign: Campaign,
    fits: Ints,
    population: Population,
    profiles: Profiles,
    now_ms: int,
    elsewhere: Flags | None = None,
    told: Mapping[str, Verdict] = MappingProxyType({}),
) -> None:
    """Members and their roles from what each tenant ``fits`` by this look's evidence alone (``roles_of``).

    Only a confirmed distillation has an act set, and only one that links hold or whose queue leaves accounts no say:
    those who merely ask alike are watched, unless a person has confirmed them.
    Nobody is acted on at the first look that makes him a member, or confirms the campaign: what only happens to be one
    pool is parted at the next. While an ordinary explanation stands against the verdict, it reaches nobody further than
    before. A role is kept for ``HOLD_MS`` after it was reached last, membership for ``LONG_HOLD_MS`` by those who
    nearly reach it, unless they are ``elsewhere``, in another campaign. Who was ``told`` on arrival is a member for as
    long.
    """
    share = campaign.pool.share
    if not campaign.pool.nats:
        return
    nats, found = _nats_of(campaign), fits.copy()
    if not may_act(campaign):
        found = np.minimum(found, _RANK[Role.MEMBER])
        if may_challenge(campaign):
            found[_dealt_to(campaign, population)] = _RANK[Role.ACT]
    if campaign.status is Status.CANDIDATE and np.count_nonzero(found) < len(campaign.members):
        return  # what a person was shown does not melt away
    reached = found.copy()
    for known, kept in _kept(campaign, population, profiles, now_ms, told):
        if elsewhere is None or not elsewhere[known]:
            found[known] = max(int(found[known]), _RANK[kept])
    if not may_act(campaign):
        found = np.minimum(found, _RANK[Role.ACT if may_challenge(campaign) else Role.MEMBER])
    members: dict[str, Member] = {}
    for place in np.flatnonzero(found):
        tenant_id = profiles.tenant_ids[population.rows[place]]
        before = campaign.members.get(tenant_id)
        role = ROLES[found[place]] or Role.MEMBER
        most = before.role if before else Role.MEMBER
        is_new = before is None or campaign.confirmed_ms >= now_ms
        if (campaign.doubts or is_new) and _RANK[role] > _RANK[most]:
            role = most
        own = {group: round(float(part), 2) for group, part in zip(GROUPS, nats[:, place], strict=True) if part}
        members[tenant_id] = Member(
            tenant_id=tenant_id,
            posterior=round(float(share[place]), 6),
            role=role,
            joined_ms=before.joined_ms if before else now_ms,
            nats=own,
            reached_ms=before.reached_ms if before and reached[place] < _RANK[role] else now_ms,
        )
    campaign.members = members


def roles_of(campaign: Campaign, population: Population) -> Ints:
    """Places in ``ROLES`` by tenant of the population, by this look's evidence alone."""
    if not campaign.pool.nats:
        return np.zeros(len(campaign.pool.share), np.int32)
    held = is_held(campaign.proofs.keys(), campaign.pooled)
    nats = _nats_of(campaign)
    own_client = carries_own_client(population, campaign.pool.share, nats) if held else False
    tied = are_tied(population, campaign.pool.share, nats, is_held=held)
    tied &= ~customers_inside(population, campaign.pool, {*campaign.pooled})
    return roles(campaign.pool.share, nats, is_held=held, own_client=own_client, tied=tied)


def _nats_of(campaign: Campaign) -> Floats:
    grouped = by_group(campaign.pool.nats)
    return np.stack([grouped[group] for group in GROUPS])


def _kept(
    campaign: Campaign, population: Population, profiles: Profiles, now_ms: int, told: Mapping[str, Verdict]
) -> Iterator[tuple[int, Role]]:
    """Members that are among the population, by place, and the roles that they reached not long ago."""
    held = [(member.tenant_id, member.role, member.reached_ms) for member in campaign.members.values()]
    names = {campaign.campaign_id, *campaign.aliases}
    for tenant_id, verdict in told.items():
        if verdict.campaign_id in names and verdict.role and tenant_id not in campaign.members:
            held.append((tenant_id, Role.MEMBER, verdict.at_ms))
    for tenant_id, role, reached_ms in held:
        row, age_ms = profiles.rows.get(tenant_id), now_ms - reached_ms
        if row is None or age_ms >= LONG_HOLD_MS:
            continue
        place = int(np.searchsorted(population.rows, row))
        if place < len(population.rows) and population.rows[place] == row:
            if age_ms < HOLD_MS:
                yield place, role
            elif campaign.pool.share[place] >= LEAVE_SHARE:
                yield place, Role.MEMBER


def count_tokens(campaign: Campaign, profiles: Profiles) -> None:
    """Add up the output tokens that a campaign's members have taken since each was first seen."""
    rows = [profiles.rows[name] for name in campaign.members if name in profiles.rows]
    campaign.tokens = int(profiles.tokens[rows].sum())


def barred_by(campaign: Campaign) -> Bar | None:
    """What keeps detection from denying members of a campaign anything; nothing, once a person has confirmed it.

    What took partners to confirm takes a person to act on, and so does what customers of a product have in common who
    come through its gateway, whatever one of them pays for. Nor do networks and hours of sign-ups alone suffice: people
    of one region who work through a platform's items have those in common.
    """
    if campaign.is_vouched:
        return None
    if campaign.kind is not CampaignKind.DISTILLATION:
        return Bar.CONTENT
    if campaign.shared_until_ms:
        return Bar.PARTNERS
    if campaign.doubts >= DOUBTS:
        return Bar.EXPLAINED
    groups, pooled = campaign.proofs.keys(), campaign.pooled
    if campaign.organised and not campaign.findings.is_one_hand:
        return Bar.ORGANISATION
    if not is_held(groups, pooled, origins=groups):
        return Bar.LINKS
    origins = ORIGINS & {"genesis", *pooled, *campaign.findings.origins}
    is_of_one_hand = not BOTH_ORIGINS.isdisjoint({*groups, *pooled}) and is_held(groups, pooled, origins)
    return None if is_of_one_hand and campaign.findings.is_brought else Bar.ORIGIN


def may_act(campaign: Campaign) -> bool:
    """Whether anybody of a campaign may be denied anything."""
    return campaign.status is Status.CONFIRMED and barred_by(campaign) is None


def may_challenge(campaign: Campaign) -> bool:
    """Whether members of a campaign that links do not hold may be asked who they are: its queue leaves them no say.

    Never more than that: a crowd that chooses neither what it asks nor how often would look the same. And not where
    there are links that do not hold it, or a client: a product's customers share its networks, the users of a program
    its client, and might share its rhythm.
    """
    is_own = campaign.kind is CampaignKind.DISTILLATION and not campaign.shared_until_ms
    is_linkless = (HARD_GROUPS | {"client"}).isdisjoint(campaign.proofs)
    return campaign.status is Status.CONFIRMED and is_own and campaign.is_even and is_linkless


def _dealt_to(campaign: Campaign, population: Population) -> Flags:
    """Members whose own prompts came from the queue, under several of its wrappers."""
    share = campaign.pool.share
    numbers = numbers_of_wrappers(population, campaign.findings.wrappers)
    dealt: Flags = (share >= ACT_ODDS / (1.0 + ACT_ODDS)) & (numbers >= OWN_WRAPPERS)
    return dealt


def changes(campaigns: list[Campaign], told: dict[str, Verdict], allowed: int, now_ms: int) -> list[Verdict]:
    """Verdicts that are new, have changed or are due again; ``told`` is brought up to date.

    At most ``allowed`` tenants are acted on, the surest; the others are observed. Candidates are for people: their
    members are told nothing.
    """
    held: dict[str, Verdict] = {}
    for campaign in campaigns:
        if campaign.status is Status.CONFIRMED:
            for member in campaign.members.values():
                verdict = _verdict(campaign, member, now_ms)
                other = held.get(member.tenant_id)
                if other is None or verdict.posterior > other.posterior:
                    held[member.tenant_id] = verdict
    _keep_budget(held, allowed)
    for tenant_id, before in told.items():
        is_judged = before.at_ms <= now_ms  # who arrived after the look's time has its turn at the next one
        if tenant_id not in held and before.role is not None and is_judged:
            held[tenant_id] = Verdict(tenant_id, before.campaign_id, before.kind, None, 0.0, {}, now_ms)
    changed = [
        _dated(held[tenant_id], told.get(tenant_id))
        for tenant_id in sorted(held)
        if _is_news(held[tenant_id], told.get(tenant_id))
    ]
    for verdict in changed:
        if verdict.role is None:
            told.pop(verdict.tenant_id, None)
        else:
            told[verdict.tenant_id] = verdict
    return changed


def _verdict(campaign: Campaign, member: Member, now_ms: int) -> Verdict:
    return Verdict(
        member.tenant_id,
        campaign.campaign_id,
        campaign.kind,
        member.role,
        member.posterior,
        member.nats,
        now_ms,
        now_ms,
    )


def _keep_budget(held: dict[str, Verdict], allowed: int) -> None:
    acted = [verdict for verdict in held.values() if _RANK[verdict.role] > 1]
    acted.sort(key=lambda verdict: (-verdict.posterior, verdict.tenant_id))
    for verdict in acted[allowed:]:
        held[verdict.tenant_id] = replace(verdict, role=Role.MEMBER)


def renewal_ms(verdict: Verdict) -> int:
    """How long after it was told an unchanged verdict is told again."""
    stood_ms = verdict.at_ms - verdict.since_ms if verdict.since_ms else 0
    return min(max(stood_ms, RENEW_MS), RENEW_AT_MOST_MS)


def _dated(verdict: Verdict, before: Verdict | None) -> Verdict:
    is_same = before is not None and _is_same(verdict, before)
    return replace(verdict, since_ms=before.since_ms or before.at_ms) if before and is_same else verdict


def _is_same(verdict: Verdict, before: Verdict) -> bool:
    return (verdict.role, verdict.campaign_id, verdict.kind) == (before.role, before.campaign_id, before.kind)


def _is_news(verdict: Verdict, before: Verdict | None) -> bool:
    return before is None or not _is_same(verdict, before) or verdict.at_ms - before.at_ms >= renewal_ms(before)
