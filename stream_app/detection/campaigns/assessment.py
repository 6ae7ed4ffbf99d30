"""What a pool amounts to at this tick: proofs that stay, the kind of verdict, and who is told."""

import numpy as np

from stream_app.detection.campaigns.confirmation import (
    BROAD,
    CampaignKind,
    control_nats,
    examine,
    is_explained,
    kind_of,
)
from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.likelihoods import total
from stream_app.detection.campaigns.links import HARD_GROUPS, KINDS, Population
from stream_app.detection.campaigns.opinions import Ranking, end_dismissal, follow_person
from stream_app.detection.campaigns.profiles import Flags, Profiles
from stream_app.detection.campaigns.proofs import MIN_LINKED_SHARE, MIN_MEMBERS, Proof, telling
from stream_app.detection.campaigns.ratios import dot
from stream_app.detection.campaigns.records import DOUBTS, Campaign, Status
from stream_app.detection.campaigns.seeds import SHARED_PAYMENT
from stream_app.detection.campaigns.signatures import signature

_DAY_MS = 86_400_000
#: New entries of the list for a person, a day and 100,000 tenants, and at least so many.
MAX_LISTED = 3
_CONTROL_MS = 3_600_000
#: Size of a pool over that of its control groups, within which these will do.
_SHRUNK, _GROWN = 0.7, 1.1
_TOP_VALUES = 20
#: Hard links that were proved by enough members for a pool of half its present size are proved for it.
_OUTGROWN = 0.5


def assess(
    campaign: Campaign,
    population: Population,
    profiles: Profiles,
    background: Flags,
    now_ms: int,
    *,
    ranking: Ranking,
) -> None:
    """Add what is proved now to what was proved before, and draw the conclusion, unless a person has."""
    pool = campaign.pool
    members = int(np.count_nonzero(pool.share > 0.5))
    if not members:
        return
    campaign.nats = dot(pool.share, total(population, pool.nats))
    controls = _controls(campaign, population, members, background, now_ms)
    found = campaign.findings = examine(
        population,
        profiles,
        pool,
        controls,
        campaign.pooled,
        origins=campaign.findings.origins,
        proved=campaign.proofs.keys(),
    )
    for group, proof in found.proofs.items():
        if group not in campaign.proofs or proof.nats > campaign.proofs[group].nats:
            campaign.proofs[group] = proof
    for group in found.idle:
        campaign.proofs.pop(group, None)
    _drop_outgrown(campaign.proofs, population, pool)
    campaign.pooled = sorted({*campaign.pooled, *found.pooled})
    pool.has_links = bool(campaign.pooled) or pool.has_links
    campaign.organised = DOUBTS if found.is_organised else max(campaign.organised - 1, 0)
    campaign.is_even |= found.dealing.is_even and not found.explanations
    campaign.priority = ranking.priority(campaign)
    end_dismissal(campaign, now_ms)
    if campaign.is_vouched:
        follow_person(campaign)
    elif campaign.status not in {Status.RETRACTED, Status.DISMISSED}:
        _conclude(campaign, members, now_ms, is_for_a_person=ranking.is_for_a_person(campaign))
    if campaign.status is Status.CONFIRMED:
        campaign.signature = signature(population, pool)
    campaign.top_values = _top_values(population, profiles, campaign)


def _drop_outgrown(proofs: dict[str, Proof], population: Population, pool: Pool) -> None:
    """Forget what a few members had in common whom the pool has outgrown: it says nothing of the others."""
    for group in HARD_GROUPS & proofs.keys():
        if proofs[group].provers < _OUTGROWN * MIN_LINKED_SHARE * telling(population, pool.share, group):
            del proofs[group]


def _controls(
    campaign: Campaign, population: Population, members: int, background: Flags, now_ms: int
) -> dict[str, float]:
    """Control groups are grown anew when the pool is another than theirs, and each hour: they cost as much as it does.

    A larger group has more in common by chance: that the pool has shrunk makes them stricter, not wrong.
    """
    is_fresh = _SHRUNK * campaign.control_size <= members <= _GROWN * campaign.control_size
    if members >= MIN_MEMBERS and not (is_fresh and now_ms - campaign.control_ms < _CONTROL_MS):
        campaign.controls = control_nats(population, members, background, seed=now_ms // 1000 % (1 << 31))
        campaign.control_size, campaign.control_ms = members, now_ms
    return campaign.controls


def _conclude(campaign: Campaign, members: int, now_ms: int, *, is_for_a_person: bool) -> None:
    kind = kind_of(campaign.findings, set(campaign.proofs), set(campaign.pooled), members)
    if campaign.status is Status.CONFIRMED:
        campaign.doubts = campaign.doubts + 1 if kind is CampaignKind.COHORT and campaign.findings.explanations else 0
        if kind is CampaignKind.DISTILLATION:
            campaign.kind = kind
        return
    campaign.kind = CampaignKind.COHORT if is_for_a_person else kind
    if campaign.kind is not CampaignKind.COHORT:
        campaign.status = Status.CONFIRMED
        campaign.confirmed_ms = now_ms
        campaign.first_alert_ms = campaign.first_alert_ms or now_ms
        campaign.is_listed = True


def retract_or_keep(campaign: Campaign) -> None:
    """End a confirmed verdict that an ordinary explanation has stood against for an hour, and that is beyond chance."""
    is_explained_now = is_explained(campaign.findings, campaign.proofs.keys(), set(campaign.pooled))
    if campaign.status is Status.CONFIRMED and campaign.doubts >= DOUBTS and is_explained_now:
        campaign.status = Status.RETRACTED
        campaign.signature = None


def list_candidates(
    campaigns: list[Campaign], population: Population, listed_ms: list[int], now_ms: int, least: int = MIN_MEMBERS
) -> None:
    """Tell a person of candidates: few a day; a card in ten tenants first, then what nothing ordinary explains, what
    is likely abuse, and the strongest.

    Of fewer than ``MIN_MEMBERS``, down to ``least``, only those that a pool of hard links holds and nothing explains.
    """
    listed_ms[:] = [at_ms for at_ms in listed_ms if at_ms > now_ms - _DAY_MS]
    left = max(MAX_LISTED, MAX_LISTED * len(population) // 100_000) - len(listed_ms)
    waiting = [c for c in campaigns if not c.is_listed and _is_worth_a_look(c, population, least)]
    waiting.sort(key=lambda c: (-_cards(c, population), _is_explained(c), -c.priority, -c.nats, c.campaign_id))
    for campaign in waiting[: max(left, 0)]:
        campaign.is_listed = True
        campaign.first_alert_ms = now_ms
        listed_ms.append(now_ms)


def _is_explained(campaign: Campaign) -> bool:
    return bool(campaign.findings.explanations)


def _is_worth_a_look(campaign: Campaign, population: Population, least: int) -> bool:
    """A shared card, or two groups that many members bring, one of them hard or the content of a queue.

    Users of popular prompts have those in common, and by chance a few of them a client or an hour of creation.
    """
    if _cards(campaign, population) > 0:
        return True
    size = campaign.pool.size
    broad = {group for group, proof in campaign.proofs.items() if proof.provers >= BROAD * size}
    is_alike = bool(broad & HARD_GROUPS) or ("content" in broad and campaign.findings.queue.is_dealt)
    is_small_part = (
        size >= least and bool(campaign.pooled or campaign.findings.several) and not campaign.findings.explanations
    )
    return (size >= MIN_MEMBERS or is_small_part) and len(broad) >= 2 and is_alike


def _cards(campaign: Campaign, population: Population) -> int:
    """Cards that ten of the pool's members share."""
    links = population.links["payment"]
    inside = np.bincount(links.cols, weights=campaign.pool.share[links.rows] > 0.5, minlength=len(links.degree))
    return int(np.count_nonzero(inside >= SHARED_PAYMENT))


def _top_values(population: Population, profiles: Profiles, campaign: Campaign) -> list[tuple[str, str, int, int]]:
    """The values that most members share: kind, value, members and all tenants that carry it."""
    found: list[tuple[float, str, str, int, int]] = []
    likely = campaign.pool.share > 0.5
    for kind in KINDS:
        links = population.links[kind.name]
        inside = np.bincount(links.cols, weights=likely[links.rows], minlength=len(links.degree))
        gain = inside * np.log(np.maximum(inside, 1e-9) / links.degree * len(population) / max(likely.sum(), 1))
        for col in np.argsort(-gain, kind="stable")[:_TOP_VALUES]:
            if inside[col] >= 2 and gain[col] > 0:
                value = int(links.values[col])
                name = str(value) if kind.name == "genesis" else profiles.names.get(value, f"{value & 0xFFFFFFFF:08x}")
                found.append((float(gain[col]), kind.name, name, int(inside[col]), int(links.degree[col])))
    return [entry[1:] for entry in sorted(found, key=lambda entry: -entry[0])[:_TOP_VALUES]]
