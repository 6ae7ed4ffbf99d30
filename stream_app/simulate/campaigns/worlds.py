"""A whole stream: ordinary tenants, hard negatives and campaigns, as events in order of event time."""

from collections.abc import Iterator
from random import Random

import numpy as np

from stream_app.simulate.campaigns.accounts import HOUR_MS, PART, Accounts, Setting, ordinary_accounts
from stream_app.simulate.campaigns.arrivals import Arrivals, all_of, hours_of, no_arrivals, own_sessions
from stream_app.simulate.campaigns.attributes import load_clients
from stream_app.simulate.campaigns.drafts import Draft, Group
from stream_app.simulate.campaigns.materials import data_folder, load_materials
from stream_app.simulate.campaigns.operations import Operation
from stream_app.simulate.campaigns.prompts import Prompt, Sketches
from stream_app.simulate.campaigns.queues import Queue
from stream_app.simulate.campaigns.requests import Event, EventWriter, drawn_shapes
from stream_app.simulate.campaigns.rhythms import load_rhythms
from stream_app.simulate.campaigns.truths import Truth

#: An account repeats one of its last prompts, this many of them.
RECENT_PROMPTS = 4

#: An heir of unfinished work begins with so many old items.
INHERITED_ITEMS = 3

#: Failing requests are retried in full once the provider is back, within this time.
RESTART_MS = 10 * 60_000


class World:
    """A planned stream; the same arguments give the same events, however often they are read.

    Memory: some 2 KB per account and the requests of sessions that reach into later hours; it does not grow with the
    span. ``truth`` belongs to the newest reading and is whole once that has ended.
    """

    def __init__(
        self,
        name: str,
        seed: int,
        scale: float,
        *,
        setting: Setting,
        tenants: int,
        groups: list[Group],
    ) -> None:
        self.name = name
        self.seed = seed
        self.scale = scale
        self.setting = setting
        self._tenant_count = tenants
        self._groups = groups
        self._draft, self._accounts = self._drafted()
        self._tenant_ids, self._account_ids = _shuffled_ids(self._accounts, np.random.default_rng([seed, 2]))
        self.tenants = sorted(set(self._tenant_ids))
        self.truth = Truth(self._draft.operations)

    def events(self) -> Iterator[Event]:
        """Events in order of event time."""
        self._draft, self._accounts = self._drafted()
        self.truth = Truth(self._draft.operations)
        return Reading(self._draft, self._accounts, self.seed).events(
            EventWriter(self._accounts, self.setting.clients, self._tenant_ids, self._account_ids)
        )

    def labels(self) -> Iterator[dict[str, object]]:
        """One line per account, whether it sent anything or not; first times are known once all events were read."""
        return self.truth.labels(self._accounts, self._tenant_ids, self._account_ids)

    def scenario(self) -> dict[str, object]:
        """What was played, and what should be found."""
        return {
            "name": self.name,
            "seed": self.seed,
            "scale": self.scale,
            "prompts": self._draft.materials.origin,
            **self.truth.scenario(self.setting, [self._tenant_ids[row] for row in self._draft.allowed]),
        }

    def _drafted(self) -> tuple[Draft, Accounts]:
        rng = np.random.default_rng([self.seed, 1])
        population = ordinary_accounts(self.setting, self._tenant_count, rng)
        draft = Draft(self.setting, load_materials(self.setting.folder), population, rng)
        for group in self._groups:
            group(draft)
        return draft, draft.finished()


def setting_of(end_ms: float, span_ms: float, missing: float = 0.0) -> Setting:
    """A setting on the published data where they are at hand."""
    folder = data_folder()
    return Setting(end_ms - span_ms, end_ms, folder, load_clients(folder), len(load_rhythms(folder)), missing)


class Reading:
    """One pass over the stream, hour by hour."""

    def __init__(self, draft: Draft, accounts: Accounts, seed: int) -> None:
        self._draft = draft
        self._accounts = accounts
        self._rng = np.random.default_rng([seed, 3])
        self._rhythms = load_rhythms(draft.setting.folder)
        self._prompts = PromptStream(draft, accounts, seed)
        self._changes = sorted(draft.changes, key=lambda change: change.time_ms)

    def events(self, writer: EventWriter) -> Iterator[Event]:
        setting, rate = self._draft.setting, self._own_rate()
        pending = no_arrivals()
        for hour_ms in hours_of(setting.begin_ms, setting.end_ms):
            self._apply_changes(hour_ms)
            own = own_sessions(self._accounts, rate, self._rhythms, hour_ms, self._rng)
            extra = [operation.dispatched(hour_ms, self._rng) for operation in self._draft.operations]
            extra += [load(hour_ms, self._rng) for load in self._draft.loads]
            pending = self._restarted(all_of([pending, own, *extra]))
            is_due = pending.time_ms < hour_ms + HOUR_MS
            due, pending = self._kept(pending.where(is_due)), pending.where(~is_due)
            due = due.where(np.argsort(due.time_ms, kind="stable"))
            yield from self._written(due, writer)

    def _written(self, due: Arrivals, writer: EventWriter) -> Iterator[Event]:
        for operation in self._draft.operations:
            due.campaign[operation.marked(due, self._rng)] = operation.number
            operation.count(due)
        shapes = drawn_shapes(self._accounts, due, self._rng)
        for operation in self._draft.operations:
            operation.tilt(due, shapes, self._rng)
        for interruption in self._draft.interruptions:
            is_down = (due.time_ms >= interruption.begin_ms) & (due.time_ms < interruption.end_ms)
            shapes.status[is_down], shapes.output_tokens[is_down] = 503, 0
        return writer.events(due, shapes, self._prompts.of(due, (shapes.reports & PART["prompt"]) > 0))

    def _own_rate(self) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        rate = self._accounts.rate.copy()
        for operation in self._draft.operations:
            rate[_rows(operation)] *= operation.own_share()
        return rate

    def _restarted(self, arrivals: Arrivals) -> Arrivals:
        """Clients that failed try again as soon as the provider is back, all together."""
        again = []
        for interruption in self._draft.interruptions:
            is_new = (arrivals.time_ms >= interruption.begin_ms) & (arrivals.time_ms < interruption.end_ms)
            copies = arrivals.where(is_new & (arrivals.session % 10 < 7))
            copies.time_ms = interruption.end_ms + self._rng.exponential(RESTART_MS / 4, len(copies))
            again.append(copies)
        return all_of([arrivals, *again]) if again else arrivals

    def _kept(self, due: Arrivals) -> Arrivals:
        accounts, setting = self._accounts, self._draft.setting
        is_alive = (due.time_ms >= accounts.begin_ms[due.account]) & (due.time_ms < accounts.until_ms[due.account])
        return due.where(is_alive & (due.time_ms >= setting.begin_ms) & (due.time_ms < setting.end_ms))

    def _apply_changes(self, hour_ms: float) -> None:
        while self._changes and self._changes[0].time_ms <= hour_ms:
            change = self._changes.pop(0)
            getattr(self._accounts, change.column)[change.rows] = change.values


class PromptStream:
    """Sketches for arrivals in their order: new prompts, repeated ones, and the campaigns' next items."""

    def __init__(self, draft: Draft, accounts: Accounts, seed: int) -> None:
        self._draft = draft
        self._rng = Random(seed)
        self._sketches = Sketches()
        self._sources = accounts.source.tolist()
        self._cards = accounts.payment.tolist()
        self._freshness = accounts.freshness.tolist()
        self._recent: list[list[dict[str, object]] | None] = [None] * len(accounts)
        self._inherited = {
            operation.first_row + place: INHERITED_ITEMS
            for operation in draft.operations
            for place, bridges in operation.members.bridges.items()
            if "items" in bridges
        }
        self._queues = [
            Queue(
                operation.campaign.family,
                draft.materials,
                seed * 1_000 + operation.number,
                operation.campaign.paraphrase,
            )
            for operation in draft.operations
        ]

    def of(
        self, arrivals: Arrivals, is_reported: np.ndarray[tuple[int], np.dtype[np.bool_]]
    ) -> Iterator[dict[str, object] | None]:
        columns = (arrivals.account, arrivals.time_ms, arrivals.campaign, is_reported)
        for who, time_ms, campaign, reported in zip(*(column.tolist() for column in columns), strict=True):
            if campaign >= 0:
                item = self._item(who, campaign)
                yield self._sketches.sketched(item) if reported else None
            else:
                yield self._own(who, time_ms) if reported else None

    def _item(self, who: int, campaign: int) -> Prompt:
        """An heir of unfinished work begins with items that the banned ones have sent."""
        left = self._inherited.get(who, 0)
        if not left:
            has_cells = self._draft.operations[campaign].campaign.has_cells
            return self._queues[campaign].next_item(self._cards[who] if has_cells else None)
        self._inherited[who] = left - 1
        return self._queues[campaign].old_item()

    def _own(self, who: int, time_ms: float) -> dict[str, object]:
        recent = self._recent[who]
        if recent is None:
            recent = self._recent[who] = []
        if recent and self._rng.random() > self._freshness[who]:
            return recent[int(self._rng.random() * len(recent))]
        prompt: Prompt = self._draft.sources[self._sources[who]](who, time_ms, self._rng)
        sketch = self._sketches.sketched(prompt)
        if len(recent) >= RECENT_PROMPTS:
            recent.pop(0)
        recent.append(sketch)
        return sketch


def _rows(operation: Operation) -> slice:
    return slice(operation.first_row, operation.first_row + len(operation.first_ms))


def _shuffled_ids(accounts: Accounts, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Ids that tell nothing: tenants and accounts numbered in random order."""
    tenants = rng.permutation(int(accounts.tenant.max()) + 1)[accounts.tenant]
    numbers = rng.permutation(len(accounts))
    return [f"t{number:06d}" for number in tenants.tolist()], [f"a{number:07d}" for number in numbers.tolist()]
