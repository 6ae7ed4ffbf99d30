"""What partner providers tell of campaigns, under a key that both hold: a bounded prior here, never a reason to act.

A partner names values; whether they set a pool apart is measured here, on our own tenants. A value that some of our
outsiders carry too says nothing, and neither does a list that one in fifty of them meets with any of its values. So
popular values, put into a bundle by mistake or on purpose, weigh nothing.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from stream_app.detection.campaigns.growth import Pool
from stream_app.detection.campaigns.links import HARD_GROUPS, KINDS, Incidence, Population, incidence
from stream_app.detection.campaigns.profiles import Flags, Floats, Profiles

#: Kinds that are exchanged, and the group each is of. The others mean nothing elsewhere: system prompts are hashed
#: under a provider's own key, hours of creation and card programmes are everybody's.
GROUP_OF = {kind.name: kind.group for kind in KINDS if kind.name in {"payment", "signup", "prefix", "ja4", "http"}} | {
    "content": "content"
}
#: Bounds of what is kept: bundles are small, and so is what a look costs for them.
MAX_PARTNERS, MAX_PARTS, MAX_VALUES, MAX_KINDS = 20, 20, 100, 8
#: More accounts than any campaign has had; a larger number counts for no more than members seen here.
MAX_MEMBERS = 10**6
#: Where parts are exchanged, a person is told of one of so many members: elsewhere there may be more of it.
LEAST_PART = 8
#: What a member alone carries would be a trace of that member, and never leaves.
LEAST_CARRIERS = 2
#: A value is rare when no more outsiders carry it, or than this share of them; a list, when no larger share of them
#: carries any of it.
RARE_COUNT, RARE_VALUE, RARE_LIST = 3, 0.002, 0.02
#: Nats that one group of a partner's values may add for one tenant, and all of them together: twenty to one.
GROUP_PRIOR, PRIOR = 2.0, 3.0
#: Members that must carry values of a group before it counts as met.
LEAST_MET = 3

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Count = Annotated[int, Meta(ge=0, le=MAX_MEMBERS)]
#: A value's digest under the exchange key, by kind and text.
Digest = Callable[[str, str], str]


class Exchange(NamedTuple):
    """The key shared with partners, by its name and as what it does."""

    key_id: str
    digest: Digest


class Shared(Struct):
    """What partners may be told of a campaign: by kind, digests under the exchange key and members that carry each."""

    key_id: str
    values: dict[str, dict[str, int]]


class Part(Struct, frozen=True):
    """One provider's part of a campaign: how many members, and how many of them carry a value, by kind and digest.

    ``is_proved`` says that its content was proved there, and not by leaning on what others had proved.
    """

    part_id: Name
    members: Count
    is_proved: bool
    values: Annotated[dict[Name, Annotated[dict[Name, Count], Meta(max_length=MAX_VALUES)]], Meta(max_length=MAX_KINDS)]


class Indicators(Struct, frozen=True):
    """What one partner told last, under the exchange key named, until ``expires_ms`` of event time."""

    partner: Name
    key_id: Name
    expires_ms: int
    parts: Annotated[list[Part], Meta(max_length=MAX_PARTS)]
    told_ms: Annotated[int, Meta(ge=0)] = 0  # by the partner's clock; 0 where that was not kept


class _Carriers(NamedTuple):
    """Which tenants (places in the population) carry which values, each pair once."""

    tenants: NDArray[np.intp]
    values: NDArray[np.int64]


class Known(NamedTuple):
    """A part as found among our own tenants, by group."""

    partner: str
    part: Part
    expires_ms: int
    carriers: dict[str, _Carriers]


class Met(NamedTuple):
    """How a pool meets a part: nats by tenant of each group met."""

    known: Known
    nats: dict[str, Floats]

    @property
    def is_kin(self) -> bool:
        """Whether two groups are met, one of them hard or content: one alone may be a popular program."""
        return len(self.nats) > 1 and bool((HARD_GROUPS | {"content"}) & self.nats.keys())


class Partners:
    """Everything partners told, as found among the tenants of one look; costs a microsecond a distinct link value."""

    def __init__(self, people: Population, profiles: Profiles, told: Iterable[Indicators], exchange: Exchange) -> None:
        valid = [one for one in told if one.key_id == exchange.key_id]
        tables = {kind: _table(people, profiles, kind) for kind in GROUP_OF} if valid else {}
        found = {
            kind: _found(table, _local(valid, kind, table, profiles, exchange.digest)) for kind, table in tables.items()
        }
        self._people = people
        self._having = {GROUP_OF[kind]: np.zeros(len(people), np.bool_) for kind in tables}
        for kind, table in tables.items():
            self._having[GROUP_OF[kind]] |= (table != 0).any(axis=1)
        self._known = [
            Known(one.partner, part, one.expires_ms, _carriers(part, found)) for one in valid for part in one.parts
        ]

    def met_by(self, pool: Pool) -> list[Met]:
        """Parts that a pool is kin to."""
        met = []
        for known in self._known:
            by_group = {group: self._nats(group, carriers, pool) for group, carriers in known.carriers.items()}
            met.append(Met(known, {group: nats for group, nats in by_group.items() if nats is not None}))
        return [one for one in met if one.is_kin]

    def content(self, pool: Pool, met: Iterable[Met]) -> Floats | None:
        """Nats of every tenant for carrying skeletons of any of these parts: together they show more of one queue."""
        carriers = [one.known.carriers["content"] for one in met if "content" in one.known.carriers]
        return self._nats("content", _joined(carriers), pool) if carriers else None

    def prior(self, pool: Pool) -> Floats:
        """Nats in advance for every tenant to belong to a pool, from the values of parts that it is kin to."""
        best = np.zeros(len(self._people))
        for met in self.met_by(pool):
            summed = sum((np.minimum(nats, GROUP_PRIOR) for nats in met.nats.values()), np.zeros(len(best)))
            best = np.maximum(best, np.minimum(summed, PRIOR))
        return best

    def _nats(self, group: str, carriers: _Carriers, pool: Pool) -> Floats | None:
        return _nats(carriers, pool.share, pool.share <= 0.5, self._having[group])


def keep(told: dict[str, Indicators], new: Indicators) -> None:
    """Put what a partner tells in place of what it told before, not later; partners beyond the bound are not heard."""
    known = told.get(new.partner)
    if (known is None and len(told) < MAX_PARTNERS) or (known is not None and known.told_ms <= new.told_ms):
        told[new.partner] = new


def find_partners(
    people: Population, profiles: Profiles, told: dict[str, Indicators], exchange: Exchange | None, now_ms: int
) -> Partners | None:
    """Look for what was told among our tenants, if there is a key to do so; what has expired is forgotten."""
    for partner in [partner for partner, one in told.items() if one.expires_ms <= now_ms]:
        del told[partner]
    return None if exchange is None else Partners(people, profiles, told.values(), exchange)


def exchanged_links(people: Population, profiles: Profiles) -> dict[str, Incidence]:
    """Links of the kinds that are exchanged; two seconds for 100,000 tenants."""
    content = incidence(_table(people, profiles, "content"))
    return {kind: content if kind == "content" else people.links[kind] for kind in GROUP_OF}


def shared_of(exchanged: dict[str, Incidence], profiles: Profiles, pool: Pool, exchange: Exchange) -> Shared:
    """What may leave of a pool: its rare values, of each kind the most common."""
    likely = pool.share > 0.5
    rare = _rare(int(np.count_nonzero(~likely)))
    shared: dict[str, dict[str, int]] = {}
    for kind, links in exchanged.items():
        inside = np.bincount(links.cols, weights=likely[links.rows], minlength=len(links.degree))
        chosen = np.flatnonzero((inside >= LEAST_CARRIERS) & (links.degree - inside <= rare))
        chosen = chosen[np.argsort(-inside[chosen], kind="stable")][:MAX_VALUES]
        named = (
            (_digest_of(int(links.values[col]), kind, profiles, exchange.digest), int(inside[col])) for col in chosen
        )
        if values := {digest: count for digest, count in named if digest}:
            shared[kind] = values
    return Shared(exchange.key_id, shared)


def content_digest(value: int) -> str:
    """A skeleton under the exchange key, as it is told: the 32 bits that stand for it in profiles."""
    return f"{value & 0xFFFFFFFF:08x}"


def _digest_of(value: int, kind: str, profiles: Profiles, digest: Digest) -> str:
    if kind == "content":
        return content_digest(value)
    return digest(kind, profiles.names[value]) if value in profiles.names else ""


def _table(people: Population, profiles: Profiles, kind: str) -> NDArray[np.int64]:
    column = profiles.exchanged if kind == "content" else profiles.links[kind]
    return column[people.rows].astype(np.int64)


def _local(
    told: list[Indicators], kind: str, table: NDArray[np.int64], profiles: Profiles, digest: Digest
) -> dict[int, str]:
    """Our own values that anybody told of, with their digests."""
    wanted = {name for one in told for part in one.parts for name in part.values.get(kind, ())}
    values = (int(value) for value in np.unique(table) if value) if wanted else ()
    named = ((value, _digest_of(value, kind, profiles, digest)) for value in values)
    return {value: name for value, name in named if name in wanted}


def _found(table: NDArray[np.int64], local: dict[int, str]) -> tuple[_Carriers, dict[str, int]]:
    values = np.array(sorted(local), np.int64)
    tenants, columns = np.nonzero(np.isin(table, values)) if len(values) else (np.zeros(0, np.intp),) * 2
    return _Carriers(tenants, table[tenants, columns]), {name: value for value, name in local.items()}


def _carriers(part: Part, found: dict[str, tuple[_Carriers, dict[str, int]]]) -> dict[str, _Carriers]:
    """By group: kinds of one group are one thing."""
    grouped: dict[str, list[_Carriers]] = {}
    for kind, (carriers, by_digest) in found.items():
        own = [by_digest[name] for name in part.values.get(kind, ()) if name in by_digest]
        if own:
            is_own = np.isin(carriers.values, own)
            grouped.setdefault(GROUP_OF[kind], []).append(_Carriers(carriers.tenants[is_own], carriers.values[is_own]))
    return {group: _joined(ones) for group, ones in grouped.items()}


def _joined(ones: list[_Carriers]) -> _Carriers:
    pairs = [np.concatenate([one.tenants for one in ones]), np.concatenate([one.values for one in ones])]
    tenants, values = np.unique(np.stack(pairs), axis=1)
    return _Carriers(tenants.astype(np.intp), values)


def _nats(carriers: _Carriers, share: Floats, is_outside: Flags, having: Flags) -> Floats | None:
    """Nats of every tenant for carrying any rare value, leave-one-out; nothing when a pool does not meet the group."""
    outsiders = int(np.count_nonzero(is_outside & having))
    is_stranger = is_outside[carriers.tenants]
    values, which = np.unique(carriers.values, return_inverse=True)
    elsewhere = np.bincount(which[is_stranger], minlength=len(values))
    rare = elsewhere[which] <= _rare(outsiders)
    carrying = np.unique(carriers.tenants[rare])
    strangers = int(np.count_nonzero(is_outside[carrying]))
    usual = (strangers + 0.5) / (outsiders + 1)
    if len(carrying) - strangers < LEAST_MET or usual > RARE_LIST:
        return None
    own = share[carrying]
    inside = (own.sum() - own) / (share[having].sum() - own + 1)
    nats = np.zeros(len(share))
    nats[carrying] = np.log(np.maximum(inside, usual) / usual)
    return nats


def _rare(outsiders: int) -> float:
    return max(RARE_COUNT, RARE_VALUE * outsiders)
