"""The tenants of a partition: live ones as objects, the others as encoded bytes, and when each is due."""

from collections.abc import Iterator, MutableMapping
from itertools import islice

from stream_app.detection.events import Event
from stream_app.detection.harm import Harm
from stream_app.detection.live_tenants import Tenant
from stream_app.detection.schedules import NEVER, Schedule
from stream_app.detection.state import (
    PARTITION_KEY,
    TenantState,
    closed_minute,
    decode_tenant,
    due_minute,
    encode_tenant,
)
from stream_app.detection.windows import PANE_MS

#: Above this many live tenants the quiet ones sleep in mid-window: some 50 MB of objects, whatever the flood.
MAX_LIVE = 20_000
#: Idle for so long in event time, to the day, a tenant begins anew.
IDLE_DAYS, _DAY_MINUTES = 30, 1440


class Tenants:
    """The tenants of one partition over a mapping of encoded states.

    ``live`` are those with panes or changed since the last snapshot; the rest stay bytes. ``schedule`` says when each
    is due. Who has been idle too long, and is on no rung and under no override, is as if it had never been;
    ``forgotten`` counts these. ``erased_ms`` says of whom nothing from before a time is to be known; its driver sets
    it anew after a restart. A snapshot is the state of all tenants at the moment it is begun; it is encoded bit by
    bit while events go on, a tenant that is woken meanwhile being encoded first.
    """

    def __init__(self, encoded: MutableMapping[str, bytes]) -> None:
        self._encoded = encoded
        self.live: dict[str, Tenant] = {}
        self._changed: dict[str, None] = {}
        self._to_encode: dict[str, None] = {}
        self._snapshot: dict[str, bytes | None] = {}
        self._is_crowded = False
        self._forgotten_minute = 0
        self.forgotten = 0
        self.erased_ms: dict[str, int] = {}
        self._to_sweep: list[str] = []
        self.schedule = Schedule()
        for tenant_id, state in encoded.items():
            if tenant_id != PARTITION_KEY:
                self.schedule.put(tenant_id, due_minute(state))

    def wake(self, tenant_id: str) -> Tenant:
        """The live tenant, decoded or made when needed; whatever is done to it will be among the changes."""
        if tenant_id in self._to_encode:
            self._encode(tenant_id)
        self._changed[tenant_id] = None
        tenant = self.live.get(tenant_id)
        if tenant is None:
            encoded = self._encoded.get(tenant_id)
            if encoded is not None and self._is_forgotten(encoded):
                self.forgotten += 1
                encoded = None
            tenant = self.live[tenant_id] = Tenant(
                tenant_id, TenantState() if encoded is None else decode_tenant(encoded)
            )
        tenant.is_changed = True
        return tenant

    def erase(self, tenant_id: str) -> None:
        """Drop a tenant that was just woken; the next snapshot says so."""
        del self.live[tenant_id]
        self._encoded.pop(tenant_id, None)

    def count(self, event: Event, tenant: Tenant, time_ms: int, offset: int, harm: Harm) -> bool:
        """Count an event in its pane, and in an hour's first its tenant as active; false for a repeated one."""
        index = time_ms // PANE_MS
        pane = tenant.pane
        if pane is None or tenant.pane_index != index:
            due = tenant.due
            pane = tenant.open_pane(index, offset, time_ms, event.id)
            if tenant.know(event, index):
                harm.count_active(tenant.state.active_hour)
            if tenant.due != due:
                self.schedule.put(event.tenant_id, tenant.due)
        return tenant.count(event, pane, time_ms, offset)

    def forget_rooms(self) -> None:
        """The policy has changed: judge every live tenant at its next event."""
        for tenant in self.live.values():
            tenant.forget_room()

    def judge_anew(self, tenant: Tenant) -> None:
        """What is known of a tenant has changed from outside: judge it at its next event, and put it on time."""
        tenant.forget_room()
        tenant.due = tenant.next_due()
        self.schedule.put(tenant.tenant_id, tenant.due)

    def due(self, minute: int) -> Iterator[str]:
        """Tenants to close up to and including a minute, in the order (minute, tenant id); each is taken off."""
        for tenant_id in self.schedule.take(minute):
            tenant, encoded = self.live.get(tenant_id), self._encoded.get(tenant_id)
            if tenant is None and encoded is None:
                continue  # erased
            if (due_minute(encoded) if tenant is None else tenant.due) <= minute:  # type: ignore[arg-type]
                yield tenant_id

    def forget_idle(self, closed: int) -> None:
        """Once a day: who has been idle for ``IDLE_DAYS`` is forgotten; ``sweep`` frees what they take."""
        minute = (closed // _DAY_MINUTES - IDLE_DAYS) * _DAY_MINUTES
        if minute > self._forgotten_minute:
            self._forgotten_minute = minute
            self._to_sweep = list(self._encoded)

    @property
    def has_to_sweep(self) -> bool:
        """Whether ``sweep`` has something to look at."""
        return bool(self._to_sweep)

    def sweep(self, most: int) -> None:
        """Look at that many sleeping tenants and drop the forgotten ones."""
        for tenant_id in self._to_sweep[-most:]:
            encoded = self._encoded.get(tenant_id)
            if encoded is None or tenant_id in self.live or tenant_id == PARTITION_KEY:
                continue
            if self._is_forgotten(encoded):
                del self._encoded[tenant_id]
                self._changed[tenant_id] = None
                self.forgotten += 1
        del self._to_sweep[-most:]

    def _is_forgotten(self, encoded: bytes) -> bool:
        return closed_minute(encoded) < self._forgotten_minute and due_minute(encoded) == NEVER

    def begin_snapshot(self) -> None:
        """Fix what the next snapshot holds: every tenant changed since the last one was begun.

        A snapshot that has not been encoded to its end becomes part of the new one.
        """
        for tenant_id in self._changed:
            if tenant_id in self.live:
                self.live[tenant_id].is_changed = False
        self._to_encode |= self._changed
        self._changed = {}
        self._is_crowded = len(self.live) > MAX_LIVE

    def encode_some(self, most: int) -> dict[str, bytes | None] | None:
        """Encode that many tenants of the snapshot; the whole of it once none is left, before that ``None``.

        A dropped tenant's state is ``None``. Tenants without panes go to sleep, and, when very many are live, all that
        had no event meanwhile.
        """
        for tenant_id in list(islice(self._to_encode, most)):
            self._encode(tenant_id)
            tenant = self.live.get(tenant_id)
            if tenant and not tenant.is_changed and (self._is_crowded or not tenant.state.windows.panes):
                del self.live[tenant_id]
        if self._to_encode:
            return None
        snapshot, self._snapshot = self._snapshot, {}
        return snapshot

    def _encode(self, tenant_id: str) -> None:
        del self._to_encode[tenant_id]
        tenant = self.live.get(tenant_id)
        if tenant is None:
            self._snapshot[tenant_id] = None
        else:
            self._snapshot[tenant_id] = self._encoded[tenant_id] = encode_tenant(tenant.state, tenant.next_due())
