"""A campaign's links as a graph: what members share on the left, members with the same links together on the right."""

from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from math import sqrt

from msgspec import Struct

from stream_app.plots.shapes import path
from stream_app.quantities import printable

#: More hubs would be hard to follow, and more groups to tell apart; the rest is counted.
MAX_HUBS, MAX_GROUPS = 14, 40
_WIDTH, _LEFT, _RIGHT, _TOP = 900, 300, 800, 14
_HUB_STEP, _MAX_RADIUS, _MIN_RADIUS = 34, 16.0, 3.0
_GROUP_GAP = 4.0
_MAX_NAME = 22
#: Rounds in which hubs and groups are put beside what they are tied to; the order settles after a few.
_ROUNDS = 6


class Hub(Struct, frozen=True):
    """A shared value: of which group of links it is, what kind it is in words, and how many carry it in all."""

    group: str
    kind: str
    name: str
    tenants: int


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
    right_height = sum(2 * _radius(graph, group) + _GROUP_GAP for group in graph.groups)
    height = max(_HUB_STEP * len(graph.hubs), right_height) + 2 * _TOP
    hub_step = (height - 2 * _TOP) / max(len(graph.hubs), 1)
    hub_y = [_TOP + hub_step * (place + 0.5) for place in range(len(graph.hubs))]
    group_step = (height - 2 * _TOP - right_height) / max(len(graph.groups), 1)
    edges, nodes, y = [], [], float(_TOP)
    for group in graph.groups:
        radius = _radius(graph, group)
        y += radius + (_GROUP_GAP + group_step) / 2
        edges += [_edge(graph.hubs[place], place, hub_y[place], y, group.members) for place in group.hubs]
        nodes.append(_group(group, y, radius))
        y += radius + (_GROUP_GAP + group_step) / 2
    hubs = "".join(_hub(hub, place, hub_y[place]) for place, hub in enumerate(graph.hubs))
    told = f"links between {sum(group.members for group in graph.groups):,} members and {len(graph.hubs)} shared values"
    return (
        f'<svg class="links" viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{told}">'
        f"{''.join(edges)}{hubs}{''.join(nodes)}</svg>"
    )


def _ordered(graph: LinkGraph) -> LinkGraph:
    """Put hubs and groups into an order in which few edges cross: each at the mean place of what it is tied to."""
    hub_order = list(range(len(graph.hubs)))
    groups = list(graph.groups)
    for _ in range(_ROUNDS):
        place_of = {hub: place for place, hub in enumerate(hub_order)}
        groups.sort(key=lambda group: (_mean([place_of[hub] for hub in group.hubs]), group.hubs))
        pulls: dict[int, list[int]] = {hub: [] for hub in hub_order}
        for place, group in enumerate(groups):
            for hub in group.hubs:
                pulls[hub].append(place)
        hub_order.sort(key=lambda hub: (_mean(pulls[hub]), hub))
    place_of = {hub: place for place, hub in enumerate(hub_order)}
    moved = [Group(tuple(sorted(place_of[hub] for hub in one.hubs)), one.members, one.sample) for one in groups]
    return LinkGraph([graph.hubs[hub] for hub in hub_order], moved, graph.alone, graph.left)


def _mean(places: Sequence[int]) -> float:
    return sum(places) / len(places) if places else 0.0


def _radius(graph: LinkGraph, group: Group) -> float:
    most = max(one.members for one in graph.groups)
    return max(_MAX_RADIUS * sqrt(group.members / most), _MIN_RADIUS) if most > 1 else 2 * _MIN_RADIUS


def _edge(hub: Hub, place: int, hub_y: float, y: float, members: int) -> str:
    middle = (_LEFT + _RIGHT) / 2
    width = min(1 + sqrt(members) / 2, 5)
    return (
        f'<path class="edge group-{hub.group}" data-hub="{place}" stroke-width="{width:.1f}"'
        f' d="M{_LEFT} {hub_y:.1f}C{middle} {hub_y:.1f} {middle} {y:.1f} {_RIGHT} {y:.1f}"/>'
    )


def _hub(hub: Hub, place: int, y: float) -> str:
    name = printable(hub.name if len(hub.name) <= _MAX_NAME else f"{hub.name[:_MAX_NAME]}…")
    box = path([(_LEFT - 4, y - 6), (_LEFT + 2, y - 6), (_LEFT + 2, y + 6), (_LEFT - 4, y + 6)])
    told = f"{hub.kind} {printable(hub.name)}, carried by {hub.tenants:,} tenants in all"
    words = f'<text x="{_LEFT - 12}" text-anchor="end" class='
    return (
        f'<g class="hub group-{hub.group}" data-hub="{place}"><title>{escape(told)}</title><path d="{box}Z"/>'
        f'{words}"dim" y="{y - 3:.1f}" font-size="11">{escape(hub.kind)}</text>'
        f'{words}"text" y="{y + 10:.1f}" font-size="12.5">{escape(name)}</text></g>'
    )


def _group(group: Group, y: float, radius: float) -> str:
    some = ", ".join(printable(name) for name in group.sample)
    more = f" and {group.members - len(group.sample):,} more" if group.members > len(group.sample) else ""
    label = f'<text class="dim" x="{_RIGHT + 26}" y="{y + 4:.1f}" font-size="12">{group.members:,}</text>'
    return (
        f'<g class="node" data-hubs="{" ".join(map(str, group.hubs))}"><title>{escape(some)}{more}</title>'
        f'<circle cx="{_RIGHT}" cy="{y:.1f}" r="{radius:.1f}"/>{label if group.members > 1 else ""}</g>'
    )
