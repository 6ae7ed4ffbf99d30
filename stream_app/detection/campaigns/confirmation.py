"""Is a pool one operation, and of which kind? Its likelihood against control groups, and who else could explain it."""

from collections.abc import Collection, Set
from enum import StrEnum

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from stream_app.detection.campaigns.crossings import crossings_of, idle_of, work_of
from stream_app.detection.campaigns.customers import customers_inside, customers_of, is_mostly_one, origins_of
from stream_app.detection.campaigns.dealings import Dealing, dealing_of, numbered
from stream_app.detection.campaigns.growth import MIN_POOL, Pool, grow
from stream_app.detection.campaigns.likelihoods import by_group
from stream_app.detection.campaigns.links import HARD_GROUPS, KINDS, Population
from stream_app.detection.campaigns.ordinary import CLIENTS, is_one_program, is_organised, is_public, site_of
from stream_app.detection.campaigns.profiles import Flags, Profiles
from stream_app.detection.campaigns.proofs import (
    HELD_NATS,
    MIN_MEMBERS,
    MIN_PROVERS,
    PROOF,
    Pooled,
    Proof,
    is_held,
    pooled_of,
    proofs_of,
    spread_of,
)
from stream_app.detection.campaigns.queues import LEAST_DEALT, MIN_PAIRS, Queue, queue_of, skeletons_of
from stream_app.detection.campaigns.ratios import dot

#: Content alone must come from more of them, and be so much each on average as makes one a member: it is all there is.
MIN_QUEUE_MEMBERS, QUEUE_NATS = 50, 2.0
#: One customer has no need of a pool of cards and one of networks.
MANY_POOLS = 2
#: Explanations that leave a person to look, whatever links prove.
_CUSTOMERS = frozenset({"one_payer", "one_device", "several_customers"})
#: Links hold a pool when so many of its members have any; with half of the links and half of the fields it is most.
_LINKED = 0.5
#: A group that fewer of the members bring is not what the pool has in common; links on half of the accounts pass.
BROAD = 0.25
#: An office, a school or a café has devices of its own, and a company pays with some cards; both are one hand's.
BOTH_ORIGINS = frozenset({"payer", "device"})
_CONTROLS, _CONTROL_ROUNDS = 3, 3


class CampaignKind(StrEnum):
    """What the members do together."""

    DISTILLATION = "distillation"
    ACCOUNT_NETWORK = "account_network"
    COHORT = "cohort"


class Findings(Struct):
    """What speaks for a pool, by group, and who else could explain it; ``values`` are effective numbers by link.

    ``pooled`` are groups of many values, which acting takes; ``several`` those of some, as a company has, too;
    ``origins``, cards or devices, say how all came to be and not only one customer's people: that acting takes as well.
    Of ``idle`` groups those do not do the pool's work who came to be so: they are no proofs of it; of ``crossed`` ones
    they are shown to do the same as all others. ``is_organised``: they may be an organisation's people, but for
    ``is_one_hand``, many cards and many devices that are not one part's few. ``is_brought``: cards or devices brought
    in those, too, who are no customer's inside the pool.
    Explanations that may be chance are named in ``unclear``, too: they do not end a verdict. ``wrappers`` are those
    that a queue deals out, as numbers by skeleton (hash), and ``dealing`` says how.
    """

    proofs: dict[str, Proof] = field(default_factory=dict)
    pooled: list[str] = field(default_factory=list)
    explanations: list[str] = field(default_factory=list)
    values: dict[str, float] = field(default_factory=dict)
    queue: Queue = field(default_factory=Queue)
    unclear: list[str] = field(default_factory=list)
    wrappers: dict[int, int] = field(default_factory=dict)
    dealing: Dealing = field(default_factory=Dealing)
    several: list[str] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    crossed: list[str] = field(default_factory=list)
    is_organised: bool = False
    is_one_hand: bool = False
    is_brought: bool = True


def examine(
    population: Population,
    profiles: Profiles,
    pool: Pool,
    controls: dict[str, float],
    pooled: Collection[str] = (),
    *,
    origins: Collection[str] = (),
    proved: Collection[str] = (),
) -> Findings:
    """Weigh a pool's evidence by group against control groups, and look for an ordinary explanation.

    ``pooled`` are groups that were pools of values before, ``origins`` those that were ones, and ``proved`` those that
    were proved: what is proved stays so.
    """
    proofs = proofs_of(population, pool, controls)
    values = pooled_of(population, pool, proofs.keys()) if _is_linked(pool) else Pooled([], [])
    findings = Findings(proofs, values.many, several=values.several)
    said = origins_of(population, pool, proofs.keys(), {*pooled, *findings.pooled})
    if is_held(proofs.keys(), {*pooled, *findings.pooled}):
        proofs |= proofs_of(population, pool, controls, HELD_NATS, {"content"})
    if "content" in {*proofs, *proved}:
        _look_at_work(population, pool, findings)
    findings.origins = sorted({*origins, *said}.difference(findings.idle))
    for kind in KINDS:
        if kind.is_hard:
            findings.values[kind.name] = round(spread_of(population, kind.name, pool.share).effective, 1)
    pools = {*pooled, *findings.pooled, *findings.several}
    if len(pools) < MANY_POOLS:
        customers = customers_of(population, pool, controls)
        findings.explanations += [f"one_{customer.group}" for customer in customers]
        findings.unclear += [f"one_{customer.group}" for customer in customers if not customer.is_clear]
    skeletons = skeletons_of(population, pool)
    findings.queue = queue_of(population, profiles, pool, skeletons)
    if findings.queue.is_dealt:
        findings.wrappers = numbered(population, profiles, skeletons_of(population, pool, LEAST_DEALT))
        findings.dealing = dealing_of(population, profiles, findings.wrappers, pool.share > 0.5)
    site = site_of(population, pool) if "network" in proofs else None
    findings.is_organised = is_organised(population, pool, site, findings.queue)
    findings.is_one_hand = BOTH_ORIGINS.issubset({*pooled, *findings.pooled}) and not is_mostly_one(population, pool)
    findings.is_brought = _are_brought(population, pool, {*pooled, *findings.pooled})
    if site is not None and site.is_one:
        findings.explanations.append("one_site")
        findings.unclear += [] if site.is_clear else ["one_site"]
    held = is_held(proofs.keys(), {*pooled, *findings.pooled})
    if is_public(findings.queue, pools, is_held=held and site is None):
        findings.explanations.append("public_material")
        findings.unclear += ["public_material"] if findings.queue.pairs < MIN_PAIRS else []
    told_by = CLIENTS if HARD_GROUPS.isdisjoint(proofs) else ("system",)
    if not is_held(proofs.keys(), findings.pooled) and is_one_program(population, pool, told_by):
        findings.explanations.append("one_program")
    return findings


def _look_at_work(population: Population, pool: Pool, findings: Findings) -> None:
    """Whose accounts do not do it prove nothing of the pool; and content of several customers is none of its own."""
    work = work_of(population, pool)
    findings.idle = idle_of(population, pool, work, findings.proofs.keys())
    for group in findings.idle:
        del findings.proofs[group]
    crossings = crossings_of(population, work)
    findings.crossed = [
        kind.group
        for kind in KINDS
        if kind.is_origin and kind.is_hard and kind.group in findings.proofs and crossings[kind.name].is_of_one
    ]
    if any(crossing.is_of_several for crossing in crossings.values()):
        findings.explanations.append("several_customers")
        findings.unclear.append("several_customers")
        findings.proofs.pop("content", None)


def _are_brought(population: Population, pool: Pool, pooled: Set[str]) -> bool:
    """Whether cards or devices say of most members how they came to be, and not of a customer's people among them only.

    Of a crowd around one reseller's accounts 5 or 6 % had any in common with the pool, of two campaigns 59 % and more.
    """
    rest = (pool.share > 0.5) & ~customers_inside(population, pool, pooled)
    grouped = by_group(pool.nats)
    brought = rest & np.any([grouped[group] >= PROOF for group in sorted(BOTH_ORIGINS)], axis=0)
    known = rest & np.any([population.links[kind.name].has for kind in KINDS if kind.group in BOTH_ORIGINS], axis=0)
    return bool(np.count_nonzero(brought) >= max(MIN_PROVERS, BROAD * np.count_nonzero(known)))


def _is_linked(pool: Pool) -> bool:
    """Whether links bring as many members as do not share any: those of a few do not hold whoever asks like them."""
    linked = [nats >= PROOF for group, nats in by_group(pool.nats).items() if group != "content"]
    return float(pool.share[np.any(linked, axis=0)].sum()) >= _LINKED * pool.size


def kind_of(findings: Findings, groups: Set[str], pooled: Set[str], members: int) -> CampaignKind:
    """The verdict's kind: distillation needs content and a pool of links or a queue, an account network links alone.

    Client, genesis and content together may be a popular new program: without a pool of cards, devices or addresses
    they stay a cohort for a person, unless the content is dealt out as a queue deals it, under several wrappers that
    hardly anybody else has. Not even then where hard links are proved that do not hold it: those of a customer, or of a
    product's gateway; but cards or devices whose accounts are shown to be dealt the same work as all others are no
    customer's. And origins hold nothing whose accounts do other work. Whatever customers, one program, one site without
    several cards or public material explain stays a cohort, too.
    """
    explanations, others = set(findings.explanations), groups - {"content"}
    is_site = "one_site" in explanations and "payer" not in pooled and not _has_both_origins(findings, pooled, members)
    if members < MIN_MEMBERS or is_site or not explanations.isdisjoint(_CUSTOMERS):
        return CampaignKind.COHORT
    is_content = "content" in groups and "public_material" not in explanations
    is_program = "one_program" in explanations
    if is_content and is_held(others, pooled if is_program else {*pooled, *findings.several}):
        return CampaignKind.DISTILLATION
    dealing = findings.dealing
    is_queue = findings.queue.is_dealt and dealing.is_varied and dealing.is_own and not dealing.has_favourites
    is_free = HARD_GROUPS & others <= set(findings.crossed) and not is_program
    said = findings.proofs["content"].nats if "content" in findings.proofs else 0.0
    if is_content and is_queue and is_free and members >= MIN_QUEUE_MEMBERS and said >= QUEUE_NATS * members:
        return CampaignKind.DISTILLATION
    is_network = len(others) >= 3 and len(pooled & others) >= 2 and not others <= HARD_GROUPS
    return CampaignKind.ACCOUNT_NETWORK if is_network else CampaignKind.COHORT


def _has_both_origins(findings: Findings, pooled: Set[str], members: int) -> bool:
    """Whether several cards and several devices are each what the members have in common, and not what a few do."""
    several = {*pooled, *findings.several} & findings.proofs.keys()
    return several >= BOTH_ORIGINS and all(findings.proofs[g].provers >= BROAD * members for g in BOTH_ORIGINS)


def is_explained(findings: Findings, groups: Set[str], pooled: Set[str]) -> bool:
    """Whether explanations beyond chance stand against a verdict; its members were enough when it was reached."""
    clear = [name for name in findings.explanations if name not in findings.unclear]
    kind = kind_of(replace(findings, explanations=clear), groups, pooled, MIN_QUEUE_MEMBERS)
    return bool(clear) and kind is CampaignKind.COHORT


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
                best[group] = max(best.get(group, 0.0), dot(pool.share, nats))
    return best
