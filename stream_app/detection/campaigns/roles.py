"""Who of a campaign may be observed, slowed down or blocked: by its own evidence, not by its company alone."""

from enum import StrEnum

import numpy as np

from stream_app.detection.campaigns.links import GROUPS, KINDS, Population
from stream_app.detection.campaigns.profiles import Flags, Floats, Ints

#: A member is rather in than out when the campaign's other links are few; it is observed, no more.
MEMBER_SHARE = 0.3
#: Expected share of strangers in the act set as a whole, and odds that each of its members has at least.
ACT_ERROR, ACT_ODDS = 0.002, 50.0
#: Groups of own evidence that acting takes, and one more where networks and what strangers share are all there is, or a
#: client or an hour with so many nats and networks with so many: neighbours of a campaign's exits use its client, too.
#: Of a dozen honest ones in made-up worlds some had 8 nats of a client and some 7 of networks, and one had both.
ACT_GROUPS, _RARE_NATS, _NETWORK_NATS = 2, 4.0, 6.0
#: Odds, groups of links and nats of own content that a block takes.
BLOCK_ODDS, BLOCK_GROUPS = 10_000.0, 3
#: Nats by which a group counts as a member's own evidence.
OWN_NATS = 2.0
#: What strangers share by the thousand: a popular client, an hour of sign-ups. One of them alone, with less than this
#: of anything else (a popular card programme brings 1.5), makes nobody a member, however few of its carriers a pool has
#: left outside; both without anything else only with the odds of the act set, which a popular client does not give.
#: But a client that hardly anybody has whom nothing else holds, of so many members at least, is the campaign's own. Of
#: hours there are few, and strangers in each.
_SOFT = [GROUPS.index("client"), GROUPS.index("genesis")]
_BESIDE_NATS = 2.0
_LEAST_HELD = 5
_CLIENT_KINDS = tuple(kind.name for kind in KINDS if kind.group == "client" and kind.is_seed)
_HARD = [GROUPS.index(group) for group in dict.fromkeys(kind.group for kind in KINDS if kind.is_hard)]
_CONTENT = GROUPS.index("content")
_NETWORK = GROUPS.index("network")
_NO_NETWORK = [*(group for group in _HARD if GROUPS[group] != "network"), _CONTENT]


class Role(StrEnum):
    """How sure, and so how far the ladder may go: observe (member), throttle or challenge (act), block."""

    MEMBER = "member"
    ACT = "act"
    BLOCK = "block"


ROLES = (None, Role.MEMBER, Role.ACT, Role.BLOCK)


def carries_own_client(population: Population, share: Floats, nats: Floats) -> Flags:
    """Tenants with a client of the campaign's own.

    Most of all who have it are members by something else: so it brings in fewer than it was learned from.
    """
    held = (share > 0.5) & (np.maximum(np.delete(nats, _SOFT, axis=0), 0.0).sum(axis=0) >= _BESIDE_NATS)
    found = np.zeros(len(share), np.bool_)
    for name in _CLIENT_KINDS:
        links = population.links[name]
        inside = np.bincount(links.cols, weights=held[links.rows], minlength=len(links.degree))
        own = (inside >= _LEAST_HELD) & (2.0 * inside > links.degree)
        found |= links.matrix @ own.astype(np.float64) > 0
    return found


def roles(
    share: Floats, nats: Floats, *, is_held: bool = True, own_client: Flags | bool = False, tied: Flags | bool = True
) -> Ints:
    """Places in ``ROLES`` by tenant, from the probability of membership and the nats by group (rows: ``GROUPS``).

    Where no links hold a campaign (``is_held``), who has neither content nor a hard link of his own is no member.
    Where they do, ``own_client`` marks those whose client is the campaign's own.
    The act set is the largest whose mean error stays within ``ACT_ERROR``, of members with two kinds of evidence of
    their own, one of them a link that strangers do not share, or the campaign's content, and mostly three where
    networks are the only such one; they are ``tied`` to the campaign's work.
    """
    own = nats >= OWN_NATS
    strong = own[_HARD].any(axis=0) | own[_CONTENT]
    odds = share / np.maximum(1.0 - share, 1e-12)
    is_rare = (nats[_SOFT] >= _RARE_NATS).any(axis=0) & (nats[_NETWORK] >= _NETWORK_NATS)
    has_more = own[_NO_NETWORK].any(axis=0) | is_rare
    needed = np.where(has_more, ACT_GROUPS, ACT_GROUPS + 1)
    may_act = strong & tied & (own.sum(axis=0) >= needed) & (odds >= ACT_ODDS)
    may_act = _within_error(share, may_act)
    may_block = may_act & own[_HARD].any(axis=0) & own[_CONTENT]
    may_block &= (own.sum(axis=0) >= BLOCK_GROUPS) & (odds >= BLOCK_ODDS)
    soft = np.maximum(nats[_SOFT], 0.0)
    firm = np.maximum(nats, 0.0).sum(axis=0) - soft.sum(axis=0)
    is_clear = (odds >= ACT_ODDS) & (firm + soft.min(axis=0) >= _BESIDE_NATS)
    is_own = (firm >= _BESIDE_NATS) | is_clear | own_client
    found: Ints = ((share >= MEMBER_SHARE) & is_own & (is_held | strong)).astype(np.int32)
    found[may_act] = 2
    found[may_block] = 3
    return found


def _within_error(share: Floats, candidates: Flags) -> Flags:
    chosen = np.flatnonzero(candidates)
    chosen = chosen[np.argsort(-share[chosen], kind="stable")]
    mean_error = np.cumsum(1.0 - share[chosen]) / np.arange(1, len(chosen) + 1)
    kept = np.zeros(len(share), np.bool_)
    kept[chosen[mean_error <= ACT_ERROR]] = True
    return kept
