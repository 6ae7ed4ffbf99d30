"""Is a pool one operation, and of which kind? Its likelihood against control groups, and who else could explain it."""

from enum import StrEnum

import numpy as np
from msgspec import Struct, field

from stream_app.detection.campaigns.growth import MIN_POOL, Pool, grow
from stream_app.detection.campaigns.likelihoods import by_group
from stream_app.detection.campaigns.links import KINDS, Population
from stream_app.detection.campaigns.profiles import Flags, Floats, Profiles
from stream_app.detection.campaigns.queues import Queue, queue_of

#: A pool of fewer members is for a person to look at.
MIN_MEMBERS = 20
#: Content alone must come from more of them: it is all there is.
MIN_QUEUE_MEMBERS = 50
#: Nats that a group of links must be ahead of the best control group: one chance in 10^8, spent over some thousand
#: looks and a hundred pools a look.
MIN_NATS = 18.0 + np.log(100_000)
#: Members that must bring the evidence of a group themselves, each with at least ``PROOF`` nats.
MIN_PROVERS = 8
PROOF = 1.5
#: Below this a group is carried by a few members, and says nothing of the others.
MIN_PROVING_SHARE = 0.05
#: A link of this many values (effective number), none of them with more than this share, is a pool of values; a single
#: value may be one customer, and two one that has changed it; a campus has several networks.
MIN_VALUES, MIN_NETWORKS, MAX_TOP_SHARE = 3.0, 4.0, 0.5
#: One card or device of this share of the members that have any is one customer, unless so many other links are pools:
#: one customer has no need of a pool of cards and one of networks.
ONE_CUSTOMER, MANY_POOLS = 0.6, 2
#: So many prompts of its wrappers met in other tenants too are public material: a viral prompt, an evaluation set.
PUBLIC = 0.25
#: One system prompt for this share of the members that have any is one program.
ONE_PROGRAM, MIN_PROGRAMS = 0.6, 2.0
_CONTROLS, _CONTROL_ROUNDS = 3, 3


class CampaignKind(StrEnum):
    """What the members do together."""

    DISTILLATION = "distillation"
    ACCOUNT_NETWORK = "account_network"
    COHORT = "cohort"


class Proof(Struct, array_like=True):
    """Evidence of one group of links for a whole pool: nats in all, of the best control group, and provers."""

    nats: float
    control: float
    provers: float


class Findings(Struct):
    """What speaks for a pool, by group, and who else could explain it; ``values`` are effective numbers by link."""

    proofs: dict[str, Proof] = field(default_factory=dict)
    pooled: list[str] = field(default_factory=list)
    explanations: list[str] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    queue: Queue = field(default_factory=Queue)


def examine(population: Population, profiles: Profiles, pool: Pool, controls: dict[str, float]) -> Findings:
    """Weigh a pool's evidence by group against control groups, and look for an ordinary explanation."""
    findings = Findings()
    grouped = by_group(pool.nats)
    for group, nats in grouped.items():
        summed = float(pool.share @ nats)
        provers = float(pool.share[nats >= PROOF].sum())
        is_wide = provers >= max(MIN_PROVERS, MIN_PROVING_SHARE * pool.size)
        if is_wide and summed - controls.get(group, 0.0) >= MIN_NATS:
            findings.proofs[group] = Proof(round(summed, 1), round(controls.get(group, 0.0), 1), round(provers, 1))
    ones: list[str] = []
    for kind in KINDS:
        if kind.is_hard:
            effective, top = _spread(population, kind.name, pool.share)
            findings.values[kind.name] = round(effective, 1)
            least = MIN_NETWORKS if kind.name == "prefix" else MIN_VALUES
            if effective >= least and top <= MAX_TOP_SHARE and kind.group in findings.proofs:
                findings.pooled.append(kind.group)
            if kind.name != "prefix" and top > ONE_CUSTOMER:
                ones.append(kind.group)
    if len(findings.pooled) < MANY_POOLS:
        findings.explanations += [f"one_{group}" for group in ones]
    findings.queue = queue_of(population, profiles, pool)
    if findings.queue.shared_bodies > PUBLIC:
        findings.explanations.append("public_material")
    systems, top = _spread(population, "system", pool.share)
    if top > ONE_PROGRAM and systems < MIN_PROGRAMS:
        findings.explanations.append("one_program")
    return findings


def kind_of(findings: Findings, groups: set[str], pooled: set[str], members: int) -> CampaignKind:
    """The verdict's kind: distillation needs content and a pool of links or a queue, an account network links alone.

    Client, genesis and content together may be a popular new program: without a pool of cards, devices or addresses
    they stay a cohort for a person, unless the content is dealt out as a queue deals it. Whatever one customer, one
    program or public material explains stays a cohort, too.
    """
    explanations, others = set(findings.explanations), groups - {"content"}
    if members < MIN_MEMBERS or explanations & {"one_payer", "one_device"}:
        return CampaignKind.COHORT
    is_content = "content" in groups and "public_material" not in explanations
    if is_content and pooled and len(others) >= 2:
        return CampaignKind.DISTILLATION
    if is_content and findings.queue.is_dealt and "one_program" not in explanations and members >= MIN_QUEUE_MEMBERS:
        return CampaignKind.DISTILLATION
    return CampaignKind.ACCOUNT_NETWORK if len(others) >= 3 and len(pooled) >= 2 else CampaignKind.COHORT


def control_nats(population: Population, size: int, background: Flags, seed: int) -> dict[str, float]:
    """The most nats by group that control groups reach: tenants drawn from the background, grown as pools are.

    They are matched in size, and every other one in creation day with the newest tenants, where campaigns are. Only
    what background tenants bring counts, since those of the pools are linked.
    """
    rng = np.random.default_rng(seed)
    people = np.flatnonzero(background)
    newest = people[np.argsort(-population.created_ms[people], kind="stable")][: max(4 * size, len(people) // 4)]
    best: dict[str, float] = {}
    for number in range(_CONTROLS):
        among = newest if number % 2 else people
        share = np.zeros(len(population))
        share[rng.choice(among, size=min(size, len(among) // 2), replace=False)] = 1.0
        pool = Pool(share, has_links=False)
        for _ in range(_CONTROL_ROUNDS):
            grow(population, pool, rounds=1)
            pool.share = np.where(background, pool.share, 0.0)
        if pool.size >= MIN_POOL:
            for group, nats in by_group(pool.nats).items():
                best[group] = max(best.get(group, 0.0), float(pool.share @ nats))
    return best


def _spread(population: Population, kind: str, share: Floats) -> tuple[float, float]:
    """Effective number of the values that members share, and the top one's share of all members that have any."""
    links = population.links[kind]
    inside = np.bincount(links.cols, weights=share[links.rows], minlength=len(links.degree))
    inside = inside[inside >= 1.5]
    having = float(share[links.has].sum())
    if not len(inside) or having <= 0:
        return 0.0, 0.0
    part = inside / inside.sum()
    return float(np.exp(-(part * np.log(part)).sum())), float(inside.max() / having)
