"""One live tenant, and how an event is counted in it."""

from zlib import crc32

from msgspec import UNSET, UnsetType

from stream_app.detection.effects import EmitSignal
from stream_app.detection.events import FAILED_STATUS, Client, Event, is_served
from stream_app.detection.features import Counter
from stream_app.detection.schedules import NEVER
from stream_app.detection.series_windows import follow
from stream_app.detection.shapes import add_shape
from stream_app.detection.signals import SIGNAL_EVERY_MS, Gathering
from stream_app.detection.state import TenantState
from stream_app.detection.windows import LONG_MINUTES, MAX_PANE_IDS, MINUTE_MS, PANES, Counts, Minute, Pane, block_end

_HOUR_PANES = 60 * PANES


class Tenant:
    """One live tenant: its state, and what is derived from it to make the next event cheap.

    ``room`` is how much each counter (``features.Counter``) may still grow before it must be judged, nothing at first;
    it holds for events before ``holds_until_ms``, and ``has_levels`` when it rests on baselines and not on floors
    alone. ``counts`` are those of ``account`` in the current pane. ``added`` is the account that the current minute was
    told last, ``client`` the client that minute and signal were told last, so that neither is told again. ``due`` is
    the earliest minute to close, ``is_changed`` whether the next snapshot will have the tenant.
    """

    __slots__ = (
        *(
            "account",
            "added",
            "client",
            "counts",
            "due",
            "has_levels",
            "holds_until_ms",
            "is_changed",
            "is_other_client",
            "minute",
            "pane",
        ),
        *("pane_index", "room", "state", "tenant_id"),
    )

    def __init__(self, tenant_id: str, state: TenantState) -> None:
        self.tenant_id = tenant_id
        self.state = state
        self.room = [0.0] * len(Counter)
        self.holds_until_ms = 0
        self.has_levels = False
        self.is_changed = False
        self.pane_index = -1
        self.pane: Pane | None = None
        self.minute: Minute | None = None
        self.account = self.added = ""
        self.client: Client | UnsetType = UNSET
        self.is_other_client = True
        self.counts = Counts()
        self.due = self.next_due()

    def open_pane(self, index: int, offset: int, time_ms: int, event_id: str) -> Pane:
        """Make a pane, and its minute, the current one."""
        windows = self.state.windows
        pane = windows.panes.get(index)
        if pane is None:
            pane = windows.panes[index] = Pane(offset, offset, time_ms, time_ms, event_id)
        minute = windows.minutes.get(index // PANES)
        if minute is None:
            minute = windows.minutes[index // PANES] = Minute()
        if minute is not self.minute:
            self.minute, self.added, self.client = minute, "", UNSET
        self.pane_index, self.pane, self.account = index, pane, ""
        self.due = min(self.due, index // PANES)
        return pane

    def know(self, event: Event, pane: int) -> bool:
        """Once per pane: note the tenant's plan; whether this is its first event in an hour."""
        state = self.state
        if event.account is not UNSET and event.account.plan is not UNSET and event.account.plan != state.plan:
            state.plan = event.account.plan
            self.forget_room()
        if (hour := pane // _HOUR_PANES) <= state.active_hour:
            return False
        state.active_hour = hour
        return True

    def count(self, event: Event, pane: Pane, time_ms: int, offset: int) -> bool:
        """Count an event in its pane; false when the pane has seen this id before."""
        minute: Minute = self.minute  # type: ignore[assignment]
        ids = pane.ids
        fingerprint = crc32(event.id.encode())
        if fingerprint in ids:
            return False
        ids[fingerprint] = None
        if len(ids) > MAX_PANE_IDS:
            del ids[next(iter(ids))]
        pane.last_offset = offset
        if time_ms > pane.last_ms:
            pane.last_ms = time_ms
        elif time_ms < pane.first_ms:
            pane.first_ms = time_ms
        if event.account_id != self.account:
            self.account = event.account_id
            self.counts = pane.counts_of(crc32(event.account_id.encode()))
        counts = self.counts
        if self._add(event, pane):
            counts.requests += 1
            counts.input_tokens += event.input_tokens
            counts.output_tokens += event.output_tokens
            if event.account_id != self.added:
                self.added = event.account_id
                minute.add_account(event.account_id)
            minute.add_model(event.model)
            client = event.client
            self.is_other_client = is_other = self.client != client
            self.client = client
            minute.shape = add_shape(minute.shape, event, is_other)
            if event.prompt is not UNSET:
                follow(self.state, event, time_ms)
            return True
        self._forget_client()
        counts.denied += 1
        if event.status_code >= FAILED_STATUS:
            minute.failed += 1
        return True

    def count_late(self, event: Event, minute: int, closed: int) -> None:
        """Count an event whose minute is closed: in the longer windows, if they still reach it.

        ``closed`` is the last minute that the watermark has closed; from now on it is the tenant's, too.
        """
        self._forget_client()
        windows = self.state.windows
        windows.closed_minute = max(windows.closed_minute, closed)
        if minute > windows.closed_minute - LONG_MINUTES:
            part = windows.minutes.setdefault(minute, Minute())
            if self._add(event, part):
                part.add_account(event.account_id)
                part.add_model(event.model)
                part.shape = add_shape(part.shape, event, True)
            elif event.status_code >= FAILED_STATUS:
                part.failed += 1
        self.due = self.next_due()

    def _add(self, event: Event, part: Pane | Minute) -> bool:
        status = event.status_code
        if status >= 400 and not is_served(status):
            part.denied += 1
            return False
        room, input_tokens, output_tokens = self.room, event.input_tokens, event.output_tokens
        part.requests += 1
        room[0] -= 1
        part.input_tokens += input_tokens
        room[1] -= input_tokens
        part.output_tokens += output_tokens
        room[2] -= output_tokens
        if status >= 400:
            part.errors += 1
            room[3] -= 1
        return True

    def is_room_used(self) -> bool:
        """Whether some counter has grown beyond its room; ``min`` would take three times as long."""
        requests, input_tokens, output_tokens, errors = self.room
        return requests < 0 or input_tokens < 0 or output_tokens < 0 or errors < 0

    def gather(self, event: Event, time_ms: int, partition: int) -> list[EmitSignal]:
        """Take an event into what the campaign stage is told, and tell it when it is time."""
        gathering = self.state.gathering
        if gathering is None:
            gathering = self.state.gathering = Gathering()
        gathering.add(event, time_ms, self.is_other_client)
        return [] if time_ms - gathering.sent_ms < SIGNAL_EVERY_MS else self.signal(time_ms, partition)

    def signal(self, now_ms: int, partition: int) -> list[EmitSignal]:
        """The tenant's signal, if one is due."""
        gathering = self.state.gathering
        if gathering is None or not gathering.is_due(now_ms):
            return []
        self._forget_client()
        return [EmitSignal(gathering.take(self.tenant_id, partition, now_ms))]

    def _forget_client(self) -> None:
        """Whatever the next event's client is, the minute and the next signal may not know it."""
        self.client, self.is_other_client = UNSET, True

    def next_due(self) -> int:
        """The earliest minute whose close would change anything; very large when none would."""
        state, windows = self.state, self.state.windows
        closed = windows.closed_minute
        next_end = block_end(closed + 1)
        waiting = [minute for index in windows.panes if (minute := index // PANES) > closed]
        due = min(waiting, default=NEVER)
        if len(waiting) < len(windows.panes):
            due = min(due, next_end)
        first = next_end - LONG_MINUTES
        if newer := [minute for minute in windows.minutes if minute > first]:
            due = min(due, block_end(min(newer)))
        for wakes_ms in _times_to_wake(state):
            due = min(due, max(closed + 1, _minute_ending_by(wakes_ms)))
        return due

    def forget_room(self) -> None:
        """Baselines, policy or standing have changed: judge at the next event."""
        self.room = [0.0] * len(Counter)
        self.holds_until_ms = 0

    def forget_pane(self) -> None:
        """Panes were dropped: look the next event's pane up."""
        self.pane_index = -1
        self.pane = self.minute = None


def _times_to_wake(state: TenantState) -> list[int]:
    """When standings and operators' words want a look, though nothing may have happened."""
    if not (state.standing or state.accounts or state.overrides or state.watches or state.soft_starts):
        return []
    times = [standing.wakes_ms for standing in state.accounts.values()]
    if state.standing:
        times.append(state.standing.wakes_ms)
    times += [override.forget_ms for override in state.overrides.values()]
    times += [watch.expires_ms for watch in state.watches.values()]
    return times + [soft.until_ms for soft in state.soft_starts.values()]


def _minute_ending_by(time_ms: int) -> int:
    return -(-time_ms // MINUTE_MS) - 1
