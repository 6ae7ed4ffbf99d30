"""The picture of a campaign: its load, its growth, what was decided, and what its members share."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import add
from typing import Any, NamedTuple

from msgspec import Struct

from stream_app.detection.decisions import Action
from stream_app.plots.loads import Actions, Load, milestones, reached, times_likelier
from stream_app.plots.pictures import WIDTH, Drawing, axes, open_panel, write
from stream_app.plots.series import Instant, Series, SeriesPanel
from stream_app.plots.shapes import Area, Shape, Words
from stream_app.plots.times import MINUTE_S, Bins, bins_of, clock_at, epoch_s
from stream_app.quantities import duration, number, printable

#: Shared values that are drawn; the dossier has the others.
MAX_VALUES = 10
#: What each kind of shared value is, in words.
KINDS = {
    "payment": "payment instrument",
    "payment_bin": "card programme",
    "signup": "signup device",
    "prefix": "address prefix",
    "ja4": "TLS client",
    "http": "HTTP fingerprint",
    "system": "system prompt",
    "program": "limit and temperature",
    "genesis": "created in the hour of",
    "content": "prompt skeleton",
}
_HOUR_S = 3_600
_LEFT = 64
_ROW, _BAR_LEFT, _BAR_WIDTH = 22, 360, 240
#: Longer values are cut: keyed hashes differ in their first digits.
_MAX_NAME = 24


class SharedValue(NamedTuple):
    """One value that members share; ``times`` is how many times likelier a member carries it than another."""

    kind: str
    name: str
    members: int
    others: int
    times: float | None

    @property
    def told(self) -> str:
        """Who carries it, and how rare that is."""
        others = f"{self.others:,} other{'' if self.others == 1 else 's'}" if self.others else "nobody else"
        rare = "" if self.times is None else f"; {number(float(f'{self.times:.2g}'))} times likelier"
        return f"{self.members:,} member{'' if self.members == 1 else 's'}, {others}{rare}"


class CampaignPlot(Struct, frozen=True):
    """What is known of a campaign: its entry, and, as far as they are at hand, its load and what was decided for it."""

    campaign: Mapping[str, Any]
    load: Load | None = None
    actions: Actions | None = None

    @property
    def values(self) -> list[SharedValue]:
        """What members share, strongest first."""
        tenants = self.load.tenants if self.load else 0
        return shared_values(self.campaign, tenants)


def shared_values(campaign: Mapping[str, Any], tenants: int = 0) -> list[SharedValue]:
    """A campaign's shared values in words; ``tenants`` in all, 0 when that is not known, make their rarity."""
    members = len(campaign["members"])
    return [
        SharedValue(
            KINDS.get(one["kind"], printable(one["kind"])),
            _name(one["kind"], one["value"]),
            one["members"],
            max(one["tenants"] - one["members"], 0),
            times_likelier(min(one["members"], members), members, one["tenants"], tenants),
        )
        for one in campaign["values"]
    ]


def _name(kind: str, value: str) -> str:
    if kind == "genesis" and value.isdigit():
        return clock_at(int(value) * _HOUR_S, "%Y-%m-%d %H:00 UTC")
    if kind == "program" and "/" in value:
        limit, temperature = value.split("/", 1)
        return printable(f"{limit or 'unset'}, {temperature or 'unset'}")
    return printable(value)


def panels_of(plot: CampaignPlot) -> list[SeriesPanel]:
    """Load, growth and decisions over one time axis."""
    bins = plot.load.bins if plot.load else _bins_of(plot)
    each = f"in {duration(bins.step_min * MINUTE_S)}"
    instants, panels = _instants(plot.campaign), []
    if plot.load:
        load = Series("rate", "of all its members together", plot.load.requests, is_area=True)
        panels.append(SeriesPanel(f"Requests {each}", bins, [load], instants))
        instants = [Instant(one.tone, "", one.at_s) for one in instants]
    panels.append(SeriesPanel("Members", bins, _growth(plot, bins), instants))
    if plot.actions and plot.actions.decided:
        panels.append(
            SeriesPanel(f"Decisions {each}, renewals among them", bins, decided_series(plot.actions, bins), height=70)
        )
    return panels


def _bins_of(plot: CampaignPlot) -> Bins:
    minutes = [*milestones(plot.campaign), *(plot.actions.decided if plot.actions else ())]
    margin = max((max(minutes) - min(minutes)) // 10, 60)
    return bins_of(range(min(minutes) - margin, max(minutes) + margin))


def _instants(campaign: Mapping[str, Any]) -> list[Instant]:
    alert, confirmed = campaign["first_alert_time"], campaign.get("confirmed_time")
    instants = [Instant("observe", f"first alert {_at(alert)}", epoch_s(alert))]
    if confirmed == alert:
        return [Instant("block", f"first alert and confirmed {_at(alert)}", epoch_s(alert))]
    return [*instants, Instant("block", f"confirmed {_at(confirmed)}", epoch_s(confirmed))] if confirmed else instants


def _at(time: str) -> str:
    return clock_at(epoch_s(time), "%-d %b %H:%M")


def _growth(plot: CampaignPlot, bins: Bins) -> list[Series]:
    joined = [int(epoch_s(one["joined_at"])) // MINUTE_S for one in plot.campaign["members"]]
    found = [Series("own", f"recognised as members, {len(joined):,} in the end", reached(bins, joined))]
    if plot.load:
        appeared = Series("band", "had sent a request", plot.load.appeared, is_area=True)
        found.insert(0, appeared)
    if plot.actions and plot.actions.denied:
        denied = list(plot.actions.denied.values())
        would = "would have been acted on" if plot.actions.simulated else "acted on"
        found.append(Series("block", f"{would}, {len(denied):,} in the end", reached(bins, denied)))
    return found


def decided_series(actions: Actions, bins: Bins) -> list[Series]:
    """Decisions stacked by action, the mildest lowest: what is drawn first lies behind."""
    counts = [bins.gather({minute: made[action] for minute, made in actions.decided.items()}, add) for action in Action]
    stacked = [
        list(column) for column in zip(*(accumulate(column) for column in zip(*counts, strict=True)), strict=True)
    ]
    return [
        Series(action.value, f"{action} {actions.counts[action]:,}", values, is_area=True)
        for action, values in reversed(list(zip(Action, stacked, strict=True)))
        if actions.counts[action]
    ]


def compose_campaign(title: str, told: Sequence[str], plot: CampaignPlot, notes: Sequence[str] = ()) -> Drawing:
    """Lay the picture out from top to bottom."""
    shapes: list[Shape] = []
    y = write(shapes, title, 34.0, tone="text", size=17, is_bold=True)
    for line in told:
        y = write(shapes, line, y, tone="dim", size=12.5)
    for panel in panels_of(plot):
        frame = open_panel(shapes, panel.title, panel.keys(), y, panel.height)
        shapes += panel.draw(frame)
        axes(shapes, frame, panel.highest(), panel.bins)
        y = frame.bottom + 40
    y = _values(shapes, plot, y)
    for note in notes:
        y = write(shapes, note, y + 4, tone="dim", size=12)
    return Drawing(WIDTH, round(y + 6), shapes)


def _values(shapes: list[Shape], plot: CampaignPlot, y: float) -> float:
    """A row for each value: what it is, a bar of the members that carry it and of the others, and its rarity."""
    shown = plot.values[:MAX_VALUES]
    if not shown:
        return y
    shapes.append(Words("text", _LEFT, y + 20, "What members share, strongest first", 13, is_bold=True))
    y += 34
    most = max(one.members + one.others for one in shown)
    for one in shown:
        name = one.name if len(one.name) <= _MAX_NAME else f"{one.name[:_MAX_NAME]}…"
        shapes.append(Words("text", _LEFT, y + 12, f"{one.kind} {name}", 12))
        inside, all_of = (_BAR_WIDTH * count / most for count in (one.members, one.members + one.others))
        shapes += [_bar("own", 0, inside, y), _bar("rate", inside, all_of, y)]
        shapes.append(Words("dim", _BAR_LEFT + _BAR_WIDTH + 12, y + 12, one.told, 12))
        y += _ROW
    return y + 16


def _bar(tone: str, start: float, end: float, y: float) -> Area:
    left, right = _BAR_LEFT + start, _BAR_LEFT + end
    return Area(tone, [(left, y + 2), (right, y + 2), (right, y + 15), (left, y + 15)])
