"""What else could explain a pool: a program, a place, or prompts that anybody may have."""

import math
from collections.abc import Collection, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.links import Incidence, Population
from stream_app.detection.campaigns.profiles import Floats
from stream_app.detection.campaigns.proofs import SEVERAL, spread_of
from stream_app.detection.campaigns.queues import Queue
from stream_app.detection.campaigns.ratios import dot

#: So many prompts of its wrappers met in other tenants too are public material: a viral prompt, an evaluation set, what
#: a class is asked. Where links hold a pool it is most of them, because a part says nothing of the others; but not of
#: one at a few sites.
PUBLIC, _MOSTLY_PUBLIC = 0.25, 0.5
#: But neither a class nor a test set's users have several cards *and* several devices in common. Who has, and sends the
#: same prompts under so many wrappers, or more different prompts than an exercise book has, is one hand that wants some
#: answers to each or passes for many with the same few; customers of resold access had two, a greeting and a check.
#: Devices and networks, or an hour, are what the schools of a district have, too.
_ORIGINS, _MANY_WRAPPERS, _MANY_BODIES = frozenset({"payer", "device"}), 5.0, 50.0
#: One client, or a few system prompts, for this share of the members that have any is one program, if that is so many
#: times the share of others who have it: what is popular anyway says nothing. Prompts are a program's own, and two
#: applications of one kind may be one pool, each of whose users has one of them; a client may be a library that
#: programs of all kinds are written with.
#: Of so many (effective number) it is not one. A program's users have its system prompt whenever they use it: where
#: clearly fewer than so many of them have, what they ask is not the program's; one campaign had it in one wrapper of
#: five, and so on 61 % of its members.
ONE_PROGRAM, MIN_PROGRAMS, _ALL_BUT_STRAYS = 0.6, 2.0, 0.8
_LEAST_PART = 0.2
#: Of an organisation's people more have its client; in a campaign with it on half, two in three of those found early.
_ONE_CLIENT = 0.7
#: As many of them has who uses one of several.
_OF_ONE = 1.2
_OWN_TIMES = {"system": 5.0, "ja4": 15.0, "http": 15.0}
CLIENTS = tuple(_OWN_TIMES)
#: Networks of one site, and the share of the members that have any of them: an office, a school, a café, a floor of
#: people who answer tickets. People there have devices, cards, hours and a client in common as well.
_SITE_NETWORKS, _ONE_SITE = 3, 0.6
#: Networks of a few sites, the buildings of a call centre, and the effective number of all of its people's.
_FEW_NETWORKS, _FEW_EFFECTIVE = 8, 12.0
#: Standard deviations by which it must be more to end a verdict.
_CLEARLY = 2.0


class Site(NamedTuple):
    """A place that could explain a pool, or a few; ``is_clear``: its share of the members is beyond chance."""

    is_one: bool
    is_clear: bool


def is_public(queue: Queue, pools: Set[str], *, is_held: bool) -> bool:
    """Whether prompts are material that anybody may have; ``pools`` are groups of links that have several values."""
    is_rich = queue.wrappers >= _MANY_WRAPPERS or queue.bodies >= _MANY_BODIES
    return queue.shared_bodies > (_MOSTLY_PUBLIC if is_held else PUBLIC) and not (pools >= _ORIGINS and is_rich)


def is_one_program(population: Population, pool: Pool, told_by: Collection[str] = CLIENTS) -> bool:
    """Whether most members have one client, or one of a few system prompts, that others hardly have.

    What is popular anyway explains nobody. Users of one client do not share cards, devices or addresses: those of a
    pool that does are ``told_by`` their system prompt only.
    """
    for name in told_by:
        links, own = population.links[name], _own(population, pool, name)
        spread = spread_of(population, name, pool.share)
        is_few = spread.effective < MIN_PROGRAMS and spread.column in own
        if name == "system":
            if (is_few and _is_used(spread.top, spread.having)) or _are_programs(links, pool.share, own):
                return True
        elif is_few and spread.top > ONE_PROGRAM:
            return True
    return False


def is_organised(population: Population, pool: Pool, site: Site | None, queue: Queue) -> bool:
    """Whether members may be the people of one organisation, or of some.

    They are at a few sites, have a few clients of their own, or ask what they choose or all the same thing.
    """
    if site is not None or queue.is_chosen:
        return True
    for name in ("ja4", "http"):
        links, own = population.links[name], _own(population, pool, name)
        if _users(links, pool.share, own) > _ONE_CLIENT * float(pool.share[links.has].sum()):
            return True
    return False


def _own(population: Population, pool: Pool, name: str) -> NDArray[np.intp]:
    """Values of a notable part of the members that others hardly have."""
    links = population.links[name]
    inside = np.bincount(links.cols, weights=pool.share[links.rows], minlength=len(links.degree))
    having = float(pool.share[links.has].sum())
    part = inside / max(having, 1.0)
    elsewhere = (links.degree - inside) / max(float(links.has.sum()) - having, 1.0)
    return np.flatnonzero((part >= _LEAST_PART) & (part >= _OWN_TIMES[name] * elsewhere))


def _users(links: Incidence, share: Floats, own: NDArray[np.intp]) -> float:
    carriers = np.unique(links.rows[links.entries_of_values(own)])
    return float(share[carriers].sum())


def _are_programs(links: Incidence, share: Floats, own: NDArray[np.intp]) -> bool:
    """Whether most members that have any use one of these; of a queue that has several, accounts have several."""
    carried = np.bincount(links.rows[links.entries_of_values(own)], minlength=len(share))
    users, having = float(share[carried > 0].sum()), float(share[links.has].sum())
    return users > 0 and _is_used(users / having, having) and dot(share, carried) <= _OF_ONE * users


def _is_used(part: float, having: float) -> bool:
    """Whether so large a part of members may have the system prompt because they use one program."""
    most = part + _CLEARLY * math.sqrt(part * (1.0 - part) / having) if part < 1.0 else part
    return part > ONE_PROGRAM and most > _ALL_BUT_STRAYS


def site_of(population: Population, pool: Pool) -> Site | None:
    """The site of most members that have any network, or some sites, by their few networks.

    Of a pool of networks, each of whose accounts has several, three may have most members, too.
    """
    effective = spread_of(population, "prefix", pool.share).effective
    if effective >= _FEW_EFFECTIVE:
        return None
    links = population.links["prefix"]
    inside = np.bincount(links.cols, weights=pool.share[links.rows], minlength=len(links.degree))
    having = float(pool.share[links.has].sum())
    for most in (_SITE_NETWORKS, _FEW_NETWORKS) if effective < SEVERAL[1] else (_FEW_NETWORKS,):
        there = np.zeros(len(population), np.bool_)
        for col in np.argsort(-inside, kind="stable")[:most]:
            there[links.holders(int(col))] = True
        part = float(pool.share[there].sum()) / max(having, 1.0)
        if part > _ONE_SITE:
            is_clear = part - _CLEARLY * math.sqrt(part * (1.0 - part) / having) > _ONE_SITE
            return Site(is_one=most == _SITE_NETWORKS, is_clear=is_clear)
    return None
