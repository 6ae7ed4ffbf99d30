"""Is a pool one operation, and of which kind? Its likelihood against control groups, and who else could explain it."""

from collections.abc import Collection, Set
from enum import StrEnum

import numpy as np
from msgspec import Struct, field
from msgspec.structs import replace

from stream_app.detection.campaigns.crossings import idle_of, is_of_several, work_of
from stream_app.detection.campaigns.customers import customers_of, origins_of
from stream_app.detection.campaigns.dealings import Dealing, dealing_of, numbered
from stream_app.detection.campaigns.growth import MIN_POOL, Pool, grow
from stream_app.detection.campaigns.likelihoods import by_group
from stream_app.detection.campaigns.links import HARD_GROUPS, KINDS, Population
from stream_app.detection.campaigns.profiles import Flags, Profiles
from stream_app.detection.campaigns.proofs import (
    HELD_NATS,
    MIN_MEMBERS,
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
#: So many prompts of its wrappers met in other tenants too are public material: a viral prompt, an evaluation set, what
#: a class is asked. Where links hold a pool it is most of them, because a part says nothing of the others.
PUBLIC, _MOSTLY_PUBLIC = 0.25, 0.5
#: But a class or a test set's users have not several cards *and* several devices in common. Who has, and sends the same
#: prompts under so many wrappers, is one hand that wants some answers to each or passes for many with the same few. In
#: campaigns it was a dozen and more; customers of resold access had two, a greeting and a check.
_ONE_HAND, _MANY_WRAPPERS = frozenset({"payer", "device"}), 5.0
#: One client or system prompt for this share of the members that have any is one program, if that is so many times
#: the share of others who have it: what is popular anyway says nothing. Prompts are a program's own; a client may be a
#: library that programs of all kinds are written with. Of so many (effective number) it is not one.
ONE_PROGRAM, MIN_PROGRAMS = 0.6, 2.0
_OWN_TIMES = {"system": 5.0, "ja4": 15.0, "http": 15.0}
#: Explanations that leave a person to look, whatever links prove.
_CUSTOMERS = frozenset({"one_payer", "one_device", "several_customers"})
#: Links hold a pool when so many of its members have any; with half of the links and half of the fields it is most.
_LINKED = 0.5
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
    Of ``idle`` groups those do not do the pool's work who came to be so: they are no proofs of it.
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


def examine(
    population: Population,
    profiles: Profiles,
    pool: Pool,
    controls: dict[str, float],
    pooled: Collection[str] = (),
    *,
    origins: Collection[str] = (),
) -> Findings:
    """Weigh a pool's evidence by group against control groups, and look for an ordinary explanation.

    ``pooled`` are groups that were pools of values before, ``origins`` those that were ones: what is proved stays so.
    """
    proofs = proofs_of(population, pool, controls)
    values = pooled_of(population, pool, proofs.keys()) if _is_linked(pool) else Pooled([], [])
    findings = Findings(proofs, values.many, several=values.several)
    said = origins_of(population, pool, proofs.keys(), {*pooled, *findings.pooled})
    if is_held(proofs.keys(), {*pooled, *findings.pooled}):
        proofs |= proofs_of(population, pool, controls, HELD_NATS, {"content"})
    if "content" in proofs:
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
        findings.dealing = dealing_of(population, profiles, findings.wrappers)
    if _is_public(findings.queue, pools, is_held=is_held(proofs.keys(), {*pooled, *findings.pooled})):
        findings.explanations.append("public_material")
        findings.unclear += ["public_material"] if findings.queue.pairs < MIN_PAIRS else []
    told_by = tuple(_OWN_TIMES) if HARD_GROUPS.isdisjoint(proofs) else ("system",)
    if not is_held(proofs.keys(), findings.pooled) and is_one_program(population, pool, told_by):
        findings.explanations.append("one_program")
    return findings


def _look_at_work(population: Population, pool: Pool, findings: Findings) -> None:
    """Whose accounts do not do it prove nothing of the pool; and content of several customers is none of its own."""
    work = work_of(population, pool)
    findings.idle = idle_of(population, pool, work, findings.proofs.keys())
    for group in findings.idle:
        del findings.proofs[group]
    if is_of_several(population, work):
        findings.explanations.append("several_customers")
        findings.unclear.append("several_customers")
        del findings.proofs["content"]


def _is_public(queue: Queue, pools: Set[str], *, is_held: bool) -> bool:
    """Whether prompts are material that anybody may have; ``pools`` are groups of links that have several values."""
    is_one_hand = pools >= _ONE_HAND and queue.wrappers >= _MANY_WRAPPERS
    return queue.shared_bodies > (_MOSTLY_PUBLIC if is_held else PUBLIC) and not is_one_hand


def _is_linked(pool: Pool) -> bool:
    """Whether links bring as many members as do not share any: those of a few do not hold whoever asks like them."""
    linked = [nats >= PROOF for group, nats in by_group(pool.nats).items() if group != "content"]
    return float(pool.share[np.any(linked, axis=0)].sum()) >= _LINKED * pool.size


def is_one_program(population: Population, pool: Pool, told_by: Collection[str] = tuple(_OWN_TIMES)) -> bool:
    """Whether most members have one client or one system prompt in common that others hardly have.

    What is popular anyway explains nobody. Users of one client do not share cards, devices or addresses: those of a
    pool that does are ``told_by`` their system prompt only.
    """
    for name in told_by:
        spread, links = spread_of(population, name, pool.share), population.links[name]
        if spread.top > ONE_PROGRAM and spread.effective < MIN_PROGRAMS:
            others = float(links.degree[spread.column]) - spread.top * spread.having
            elsewhere = others / max(float(links.has.sum()) - spread.having, 1.0)
            if spread.top >= _OWN_TIMES[name] * elsewhere:
                return True
    return False


def kind_of(findings: Findings, groups: Set[str], pooled: Set[str], members: int) -> CampaignKind:
    """The verdict's kind: distillation needs content and a pool of links or a queue, an account network links alone.

    Client, genesis and content together may be a popular new program: without a pool of cards, devices or addresses
    they stay a cohort for a person, unless the content is dealt out as a queue deals it, under several wrappers. Not
    even then where hard links are proved that do not hold it: those of a customer, or of a product's gateway. And
    origins hold nothing whose accounts do other work. Whatever customers, one program or public material explain stays
    a cohort, too.
    """
    explanations, others = set(findings.explanations), groups - {"content"}
    if members < MIN_MEMBERS or not explanations.isdisjoint(_CUSTOMERS):
        return CampaignKind.COHORT
    is_content = "content" in groups and "public_material" not in explanations
    if is_content and is_held(others, {*pooled, *findings.several}):
        return CampaignKind.DISTILLATION
    is_queue = findings.queue.is_dealt and findings.dealing.is_varied and not findings.dealing.has_favourites
    is_free = HARD_GROUPS.isdisjoint(others) and "one_program" not in explanations
    said = findings.proofs["content"].nats if "content" in findings.proofs else 0.0
    if is_content and is_queue and is_free and members >= MIN_QUEUE_MEMBERS and said >= QUEUE_NATS * members:
        return CampaignKind.DISTILLATION
    is_network = len(others) >= 3 and len(pooled & others) >= 2
    return CampaignKind.ACCOUNT_NETWORK if is_network else CampaignKind.COHORT


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
