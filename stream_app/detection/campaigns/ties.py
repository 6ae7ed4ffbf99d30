"""Who is tied to a campaign's work, and not only to a group that has become part of its pool.

::

    a pool      o-o-o-o-o-o-o-o      members that cards, devices and networks tie to each other
                 \\|     *  *         work of the campaign, by some of these
                  +      +           who has none of them, and does the same work:  tied
                x-x-x-x              customers of an agency with links of their own:  not tied, whatever they ask
                y y y y              a class that all ask the same, and nothing else:  not tied

Groups that are as alike in themselves as a campaign is, and share its client or an hour with it, come into its pool
now and then, and vouch for each other. So a member's content counts as far as linked members of other groups share it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from stream_app.detection.campaigns.likelihoods import OWN_EXCESS
from stream_app.detection.campaigns.links import GROUPS, KINDS, Population
from stream_app.detection.campaigns.profiles import Flags, Floats, Ints
from stream_app.detection.campaigns.proofs import BEYOND_A_PAIR, tied_by
from stream_app.detection.campaigns.ratios import dot, excess_of
from stream_app.detection.campaigns.roles import OWN_NATS

#: How far others belong, in all, who ask what a member does: two, nearly.
_LEAST_OTHERS = 1.5
_CONTENT = GROUPS.index("content")
_HARD_KINDS = tuple((kind.name, GROUPS.index(kind.group)) for kind in KINDS if kind.is_hard)
_ORIGIN_KINDS = tuple(kind.name for kind in KINDS if kind.is_hard and kind.is_origin)


def are_tied(population: Population, share: Floats, nats: Floats, *, is_held: bool = True) -> Flags:
    """Tenants whom a group of evidence of their own ties to the campaign's work and not only to one other tenant.

    Two of one household that have a campaign's client and hour of sign-ups in common with it would vouch for each other
    by their card and device. Of a pair one is tied by the work, or by what it shares with more members, some of whom do
    it; and who shares a card or device with members is told by these, and not by neighbours on a hosting provider's
    network. Where no links hold the campaign (``is_held``), content is all there is.
    """
    own, likely = nats >= OWN_NATS, share > 0.5
    tied: Flags = own[_CONTENT] & likely
    if is_held:
        tied &= _do_its_work(population, share)
    for least in (BEYOND_A_PAIR, 1):
        works: Flags = tied & likely
        for name, group in _HARD_KINDS:
            links = population.links[name]
            shared = tied_by(links, likely, least) & tied_by(links, works, 1) & own[group]
            tied |= shared if name in _ORIGIN_KINDS else shared & ~_has_idle_companions(population, likely, works)
    return tied


def _has_idle_companions(population: Population, likely: Flags, works: Flags) -> Flags:
    """Who shares a card or device with members, none of whom works."""
    links = [population.links[name] for name in _ORIGIN_KINDS]
    has, busy = (np.logical_or.reduce([tied_by(one, who, 1) for one in links]) for who in (likely, works))
    idle: Flags = has & ~busy
    return idle


def _do_its_work(population: Population, share: Floats) -> Flags:
    """Members with a skeleton of the pool's own (ten times chance) that linked members of other groups carry, too.

    Who is of the largest group, of half of all linked members and more, is told by that.
    """
    links, likely = population.links["content"], np.where(share > 0.5, share, 0.0)
    members = np.flatnonzero(likely)
    group, is_main = _groups(population, members)
    entries = links.entries_of_tenants(members)
    cols, whose = links.cols[entries], np.searchsorted(members, links.rows[entries])
    own, votes = likely[members][whose], np.where(group >= 0, likely[members], 0.0)[whose]
    told = np.bincount(cols, weights=votes, minlength=len(links.degree))[cols]
    pairs = (group[whose].astype(np.int64) + 1) * len(links.degree) + cols
    _, which = np.unique(pairs, return_inverse=True)
    near = np.where(is_main[whose], votes, np.bincount(which, weights=votes)[which])
    others = np.maximum(told - near, 0.0)
    within = dot(likely[members], links.carried[members])
    part = own * links.carried[members][whose]
    outside = links.degree - np.bincount(cols, weights=own, minlength=len(links.degree))
    beyond = excess_of(links, within, outside[cols] + others + own, others + own, own, part)
    found = np.zeros(len(share), np.bool_)
    found[members[whose[(beyond >= OWN_EXCESS) & (others >= _LEAST_OTHERS)]]] = True
    return found


def _groups(population: Population, members: NDArray[np.intp]) -> tuple[Ints, Flags]:
    """For each member its group, by cards, devices and networks (-1: alone or one of two), and whether that is most."""
    carried = sparse.hstack([population.links[name].matrix[members] for name, _ in _HARD_KINDS]).tocsr()  # type: ignore[no-untyped-call]
    count = len(members)
    graph = sparse.bmat([[None, carried], [carried.T, None]])  # type: ignore[no-untyped-call]
    label = csgraph.connected_components(graph, directed=False)[1][:count]
    size = np.bincount(label, minlength=1)
    is_linked = size[label] > BEYOND_A_PAIR
    linked = np.bincount(label[is_linked], minlength=len(size))
    is_main: Flags = is_linked & (2 * linked[label] >= linked.sum())
    group: Ints = np.where(is_linked, label, -1).astype(np.int32)
    return group, is_main
