"""What else could explain a pool: a program, a place, or prompts that anybody may have."""

import math
from collections.abc import Collection, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.links import Incidence, Population
from stream_app.detection.campaigns.profiles import Floats
from stream_app.detection.campaigns.proofs import REGIONAL, SEVERAL, spread_of
from stream_app.detection.campaigns.queues import Queue
from stream_app.detection.campaigns.ratios import dot

#: So many prompts of its wrappers met in other tenants too are public material: a viral prompt, an evaluation set, what
#: a class is asked. Where links hold a pool it is most of them, because a part says nothing of the others.
PUBLIC, _MOSTLY_PUBLIC = 0.25, 0.5
#: But neither a class nor a test set's users have several cards *and* several devices in common. Who has, and sends the
#: same prompts under so many wrappers, is one hand that wants some answers to each or passes for many with the same
#: few; customers of resold access had two, a greeting and a check. Nor have they two of several cards, devices,
#: networks beyond one site, and an hour of sign-ups, with more different prompts than an exercise book has. Cards and
#: networks alone are a region's.
_ORIGINS, _MANY_WRAPPERS = frozenset({"payer", "device"}), 5.0
_ONE_HAND, _MANY_BODIES = 2, 50.0
#: One client, or a few system prompts, for this share of the members that have any is one program, if that is so many
#: times the share of others who have it: what is popular anyway says nothing. Prompts are a program's own, and two
#: applications of one kind may be one pool, each of whose users has one of them; a client may be a library that
#: programs of all kinds are written with.
ONE_PROGRAM = 0.6
_LEAST_PART = 0.2
#: As many of them has who uses one of several.
_OF_ONE = 1.2
_OWN_TIMES = {"system": 5.0, "ja4": 15.0, "http": 15.0}
CLIENTS = tuple(_OWN_TIMES)
#: Networks of one site, and the share of the members that have any of them: an office, a school, a café, a floor of
#: people who answer tickets. People there have devices, cards, hours and a client in common as well.
_SITE_NETWORKS, _ONE_SITE = 3, 0.6
#: Standard deviations by which it must be more to end a verdict.
_CLEARLY = 2.0


class Site(NamedTuple):
    """A place that could explain a pool; ``is_clear``: its share of the members is beyond chance."""

    is_clear: bool


def is_public(queue: Queue, pools: Set[str], *, is_held: bool) -> bool:
    """Whether prompts are material that anybody may have.

    ``pools`` are groups of links that have several values, and perhaps the hour of sign-ups.
    """
    is_one_hand = len(pools) >= _ONE_HAND and not pools <= REGIONAL and queue.bodies >= _MANY_BODIES
    is_one_hand |= pools >= _ORIGINS and queue.wrappers >= _MANY_WRAPPERS
    return queue.shared_bodies > (_MOSTLY_PUBLIC if is_held else PUBLIC) and not is_one_hand


def is_one_program(population: Population, pool: Pool, told_by: Collection[str] = CLIENTS) -> bool:
    """Whether most members have one client, or one of a few system prompts, that others hardly have.

    What is popular anyway explains nobody. Users of one client do not share cards, devices or addresses: those of a
    pool that does are ``told_by`` their system prompt only.
    """
    for name in told_by:
        links = population.links[name]
        inside = np.bincount(links.cols, weights=pool.share[links.rows], minlength=len(links.degree))
        having = float(pool.share[links.has].sum())
        if not len(inside) or having <= 0:
            continue
        part = inside / having
        elsewhere = (links.degree - inside) / max(float(links.has.sum()) - having, 1.0)
        own = np.flatnonzero((part >= _LEAST_PART) & (part >= _OWN_TIMES[name] * elsewhere))
        if part[own].max(initial=0.0) > ONE_PROGRAM or (name == "system" and _are_programs(links, pool.share, own)):
            return True
    return False


def _are_programs(links: Incidence, share: Floats, own: NDArray[np.intp]) -> bool:
    """Whether most members that have any use one of these; of a queue that has several, accounts have several."""
    carried = np.bincount(links.rows[links.entries_of_values(own)], minlength=len(share))
    users = float(share[carried > 0].sum())
    is_most = users > ONE_PROGRAM * float(share[links.has].sum())
    return is_most and dot(share, carried) <= _OF_ONE * users


def site_of(population: Population, pool: Pool) -> Site | None:
    """The site of most members that have any network, by its few networks.

    Of a pool of networks, each of whose accounts has several, three may have most members, too.
    """
    links = population.links["prefix"]
    if spread_of(population, "prefix", pool.share).effective >= SEVERAL[1]:
        return None
    inside = np.bincount(links.cols, weights=pool.share[links.rows], minlength=len(links.degree))
    there = np.zeros(len(population), np.bool_)
    for col in np.argsort(-inside, kind="stable")[:_SITE_NETWORKS]:
        there[links.holders(int(col))] = True
    having = float(pool.share[links.has].sum())
    part = float(pool.share[there].sum()) / max(having, 1.0)
    if part <= _ONE_SITE:
        return None
    return Site(part - _CLEARLY * math.sqrt(part * (1.0 - part) / having) > _ONE_SITE)
