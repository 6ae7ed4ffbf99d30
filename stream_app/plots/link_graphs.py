"""A campaign's links as a graph: members between what they send and what they pay, sign up and connect with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from math import sqrt

from msgspec import Struct

from stream_app.quantities import printable

#: More hubs would be hard to follow, and more groups to tell apart; the rest is counted.
MAX_HUBS, MAX_GROUPS = 16, 40
#: Groups of links that are drawn on the left: what is asked, and how. The others, on the right, are who asks.
_LEFT_GROUPS = frozenset({"content", "client"})
_WIDTH, _TOP = 900, 10
_LEFT, _MIDDLE, _RIGHT = 212.0, 450.0, 688.0
_HUB_STEP, _GROUP_GAP, _MAX_RADIUS, _MIN_RADIUS = 36.0, 5.0, 16.0, 4.0
_MAX_NAME = 22
#: Rounds in which members are put beside what they are tied to, and hubs beside their members; it settles after a few.
_ROUNDS = 6


class Hub(Struct, frozen=True):
    """A shared value: of which group of links it is, what kind it is in words, and how many carry it in all."""

    group: str
    kind: str
    name: str
    tenants: int

    @property
    def is_left(self) -> bool:
        """Whether it tells what is asked, not who asks."""
        return self.group in _LEFT_GROUPS


class Group(Struct, frozen=True):
    """Members that carry the same hubs, by their places; ``sample`` names some."""

    hubs: tuple[int, ...]
    members: int
    sample: tuple[str, ...]


class LinkGraph(Struct, frozen=True):
    """Hubs and groups in the order they are drawn; ``alone`` members carry no hub, ``left`` groups were not drawn."""

    hubs: Sequence[Hub]
    groups: Sequence[Group]
    alone: int
    left: int


def graph_of(hubs: Sequence[Hub], carried: Mapping[str, Sequence[int]]) -> LinkGraph:
    """The graph of these hubs and of members, each with the places of the hubs that it carries.

    Members with the same hubs are one node, so that 10,000 of them are drawn as clearly as forty.
    """
    hubs = hubs[:MAX_HUBS]
    counts: Counter[tuple[int, ...]] = Counter()
    samples: dict[tuple[int, ...], list[str]] = {}
    for member, places in carried.items():
        signature = tuple(sorted({place for place in places if place < len(hubs)}))
        counts[signature] += 1
        if len(samples.setdefault(signature, [])) < 3:
            samples[signature].append(member)
    alone = counts.pop((), 0)
    largest = sorted(counts, key=lambda signature: (-counts[signature], signature))
    groups = [Group(one, counts[one], tuple(samples[one])) for one in largest[:MAX_GROUPS]]
    return _ordered(LinkGraph(hubs, groups, alone, len(largest) - len(groups)))


def draw_graph(graph: LinkGraph) -> str:
    """The graph as an SVG element without any style; tones are classes, hubs and edges carry ``data-hub``."""
    members_height = sum(2 * _radius(graph, group) + _GROUP_GAP for group in graph.groups)
    most_hubs = max(sum(hub.is_left for hub in graph.hubs), sum(not hub.is_left for hub in graph.hubs))
    height = max(_HUB_STEP * most_hubs, members_height)
    hub_y = _hub_heights(graph.hubs, height)
    gap = (height - members_height) / max(len(graph.groups), 1) + _GROUP_GAP
    edges, nodes, y = [], [], float(_TOP)
    for group in graph.groups:
        radius = _radius(graph, group)
        y += radius + gap / 2
        edges += [_edge(graph.hubs[place], place, hub_y[place], y, group.members) for place in group.hubs]
        nodes.append(_group(group, y, radius))
        y += radius + gap / 2
    hubs = "".join(_hub(hub, place, hub_y[place]) for place, hub in enumerate(graph.hubs))
    told = f"links between {sum(group.members for group in graph.groups):,} members and {len(graph.hubs)} shared values"
    return (
        f'<svg class="links" viewBox="0 0 {_WIDTH} {height + 2 * _TOP:.0f}" role="img" aria-label="{told}">'
        f"{''.join(edges)}{hubs}{''.join(nodes)}</svg>"
    )


def _hub_heights(hubs: Sequence[Hub], height: float) -> list[float]:
    """Hubs of each side spread over the whole height, in their order."""
    found = [0.0] * len(hubs)
    for is_left in (True, False):
        places = [place for place, hub in enumerate(hubs) if hub.is_left is is_left]
        for row, place in enumerate(places):
            found[place] = _TOP + height * (row + 0.5) / len(places)
    return found


def _ordered(graph: LinkGraph) -> LinkGraph:
    """Put hubs and groups into an order in which few edges cross; hubs of one group of links stay together."""
    kinds = list(dict.fromkeys(hub.group for hub in graph.hubs))
    order = sorted(range(len(graph.hubs)), key=lambda hub: kinds.index(graph.hubs[hub].group))
    groups = list(graph.groups)
    for _ in range(_ROUNDS):
        height_of = dict(zip(order, _hub_heights([graph.hubs[hub] for hub in order], 1.0), strict=True))
        groups.sort(key=lambda group: (_mean([height_of[hub] for hub in group.hubs]), group.hubs))
        pulls: dict[int, list[float]] = {hub: [] for hub in order}
        for place, group in enumerate(groups):
            for hub in group.hubs:
                pulls[hub].append(place)
        of_kind = {
            kind: _mean([pull for hub in order if graph.hubs[hub].group == kind for pull in pulls[hub]])
            for kind in kinds
        }
        order.sort(key=lambda hub: (of_kind[graph.hubs[hub].group], graph.hubs[hub].group, _mean(pulls[hub]), hub))
    place_of = {hub: place for place, hub in enumerate(order)}
    moved = [Group(tuple(sorted(place_of[hub] for hub in one.hubs)), one.members, one.sample) for one in groups]
    return LinkGraph([graph.hubs[hub] for hub in order], moved, graph.alone, graph.left)


def _mean(places: Sequence[float]) -> float:
    return sum(places) / len(places) if places else 0.0


def _radius(graph: LinkGraph, group: Group) -> float:
    most = max(one.members for one in graph.groups)
    return max(_MAX_RADIUS * sqrt(group.members / most), _MIN_RADIUS) if most > 1 else 1.5 * _MIN_RADIUS


def _edge(hub: Hub, place: int, hub_y: float, y: float, members: int) -> str:
    start = _LEFT if hub.is_left else _RIGHT
    middle = (start + _MIDDLE) / 2
    width = min(0.8 + sqrt(members) / 2, 5)
    return (
        f'<path class="edge group-{hub.group}" data-hub="{place}" stroke-width="{width:.1f}"'
        f' d="M{start:g} {hub_y:.1f}C{middle:g} {hub_y:.1f} {middle:g} {y:.1f} {_MIDDLE:g} {y:.1f}"/>'
    )


def _hub(hub: Hub, place: int, y: float) -> str:
    name = printable(hub.name if len(hub.name) <= _MAX_NAME else f"{hub.name[:_MAX_NAME]}…")
    x, anchor, words_x = (_LEFT, "end", _LEFT - 12) if hub.is_left else (_RIGHT, "start", _RIGHT + 12)
    told = f"{hub.kind} {printable(hub.name)}, carried by {hub.tenants:,} tenants in all"
    words = f'<text x="{words_x:g}" text-anchor="{anchor}" class='
    return (
        f'<g class="hub group-{hub.group}" data-hub="{place}"><title>{escape(told)}</title>'
        f'<rect x="{x - 3:g}" y="{y - 7:.1f}" width="6" height="14" rx="1.5"/>'
        f'{words}"dim" y="{y - 3:.1f}" font-size="11">{escape(hub.kind)}</text>'
        f'{words}"text" y="{y + 10:.1f}" font-size="12.5">{escape(name)}</text></g>'
    )


def _group(group: Group, y: float, radius: float) -> str:
    some = ", ".join(printable(name) for name in group.sample)
    more = f" and {group.members - len(group.sample):,} more" if group.members > len(group.sample) else ""
    label = f'<text class="count" x="{_MIDDLE:g}" y="{y + 4:.1f}" font-size="11">{group.members:,}</text>'
    return (
        f'<g class="node" data-hubs="{" ".join(map(str, group.hubs))}"><title>{escape(some)}{more}</title>'
        f'<circle cx="{_MIDDLE:g}" cy="{y:.1f}" r="{radius:.1f}"/>{label if radius >= 9 else ""}</g>'
    )
