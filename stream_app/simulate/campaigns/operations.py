"""One distillation campaign in action: which requests of its accounts extract."""

import numpy as np

from stream_app.simulate.campaigns.accounts import HOUR_MS, MINUTE_MS, Bools, Floats
from stream_app.simulate.campaigns.arrivals import Arrivals
from stream_app.simulate.campaigns.attributes import MODELS
from stream_app.simulate.campaigns.loads import Load, load_of
from stream_app.simulate.campaigns.members import Campaign, Members
from stream_app.simulate.campaigns.requests import Shapes

#: A pivot takes this long, and moves this share of the extraction.
PIVOT_MS = 24 * HOUR_MS
PIVOT_SHARE = 0.5

#: Extraction counted from here on is what detection delays are told from.
COUNTED = 5_000


class Operation:
    """A campaign at work in one stream; ``first_row`` is its first account's row, ``number`` its place.

    ``hourly`` counts extraction requests; ``counted_ms`` is the time of the 5,000th, ``half_ms`` when there was half a
    one per account, which is as much of a small campaign as that is of one of 10,000. Memory: two numbers per account.
    """

    def __init__(
        self, campaign: Campaign, members: Members, number: int, first_row: int, rng: np.random.Generator
    ) -> None:
        self.campaign = campaign
        self.members = members
        self.number = number
        self.first_row = first_row
        self.first_ms: Floats = np.full(len(members.accounts), np.inf)
        self.hourly: dict[float, int] = {}
        self.counted_ms = np.inf
        self.half_ms = np.inf
        self.total = 0
        self._load: Load = load_of(campaign.load, members.accounts, members.joins_ms, campaign.mix, rng)

    def own_share(self) -> float:
        """Share of the accounts' rates that their own sessions make; any other extraction comes on top."""
        return self._load.own_share

    def dispatched(self, hour_ms: float, rng: np.random.Generator) -> Arrivals:
        """Extraction requests of this hour that are not part of the accounts' own sessions."""
        who, times = self._load.requests(hour_ms, rng)
        sessions = (times // (20 * MINUTE_MS) * 20 * MINUTE_MS).astype(np.int64)
        return Arrivals(who + self.first_row, times, sessions, np.full(len(who), self.number))

    def marked(self, arrivals: Arrivals, rng: np.random.Generator) -> Bools:
        """Which of the accounts' own requests extract instead."""
        rows = arrivals.account - self.first_row
        is_member = (rows >= 0) & (rows < len(self.first_ms)) & (arrivals.campaign < 0)
        joined_ms = np.where(is_member, self.members.joins_ms[np.where(is_member, rows, 0)], np.inf)
        is_on = arrivals.time_ms >= joined_ms
        marked: Bools = is_on & (rng.random(len(arrivals)) < self._load.ridden_share)
        return marked

    def count(self, arrivals: Arrivals) -> None:
        """Remember the extraction requests among these, which are in order of time."""
        chosen = arrivals.campaign == self.number
        rows, times = arrivals.account[chosen] - self.first_row, arrivals.time_ms[chosen]
        np.minimum.at(self.first_ms, rows, times)
        self.counted_ms = min(self.counted_ms, self._time_of(COUNTED, times))
        self.half_ms = min(self.half_ms, self._time_of(-(-len(self.first_ms) // 2), times))
        self.total += len(times)
        for hour, count in zip(*np.unique(times // HOUR_MS * HOUR_MS, return_counts=True), strict=True):
            self.hourly[float(hour)] = self.hourly.get(float(hour), 0) + int(count)

    def _time_of(self, number: int, times: Floats) -> float:
        """When the extraction request of that number came, if it is the next of these."""
        place = number - self.total - 1
        return float(times[place]) if 0 <= place < len(times) else np.inf

    def tilt(self, arrivals: Arrivals, shapes: Shapes, rng: np.random.Generator) -> None:
        """Give extraction requests the campaign's shape in part."""
        rows = np.flatnonzero(arrivals.campaign == self.number)
        tilt = self.members.tilt
        shapes.output_tokens[rows] = (shapes.output_tokens[rows] * tilt.output_factor).astype(np.int64)
        chosen = rows[rng.random(len(rows)) < tilt.share]
        shapes.max_tokens[chosen] = rng.choice(tilt.max_tokens, size=len(chosen))
        shapes.temperature[chosen] = rng.choice(tilt.temperature, size=len(chosen))
        shapes.model[chosen] = rng.choice(tilt.model, size=len(chosen))
        moved = np.clip((arrivals.time_ms[rows] - self.members.pivots_ms) / PIVOT_MS, 0, 1) * PIVOT_SHARE
        shapes.model[rows[rng.random(len(rows)) < moved]] = len(MODELS)
