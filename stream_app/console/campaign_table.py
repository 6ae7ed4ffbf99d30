"""Campaigns as the campaigns topic holds them at the moment, each member's record as it came."""

from collections import deque
from typing import Any

import orjson
from msgspec import Struct, field

#: Members kept over all campaigns: some 150 MB. Beyond it new members are counted, not kept.
MAX_MEMBERS = 250_000
#: Campaigns kept, the newest; there are a handful in force.
MAX_CAMPAIGNS = 2_000
#: Changes of a campaign's header kept for its history.
MAX_CHANGES = 200
#: Campaigns put together whole are kept for so many: one is drawn again with every look at it.
_MAX_WHOLE = 8
#: Which campaigns are shown first.
_ORDER = {"confirmed": 0, "candidate": 1}


class Change(Struct, frozen=True):
    """How a campaign stood from a time on; ``at_ms`` is when the record was written."""

    at_ms: int
    status: str
    kind: str
    confidence: float
    members: int


class Entry(Struct):
    """One campaign: its header, its members' records by tenant, and how it came to be so."""

    header: dict[str, Any] | None = None
    members: dict[str, bytes] = field(default_factory=dict)
    changes: deque[Change] = field(default_factory=lambda: deque(maxlen=MAX_CHANGES))
    version: int = 0
    dropped: int = 0


class CampaignTable:
    """The newest header and members of every campaign, by the records of ``campaigns.v1`` and ``campaign-log.v1``.

    Memory: at most ``MAX_MEMBERS`` members and ``MAX_CAMPAIGNS`` campaigns.
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._of_tenant: dict[str, set[str]] = {}
        self._whole: dict[str, tuple[int, dict[str, Any]]] = {}
        self._members = 0

    def apply(self, key: str, value: bytes | None) -> None:
        """Take in a record of the campaigns topic; raises ``ValueError`` when it is none of ours."""
        campaign_id, _, tenant_id = key.partition("/")
        entry = self._entries.get(campaign_id)
        if entry is None:
            entry = self._entries[campaign_id] = Entry()
            self._drop_oldest()
        entry.version += 1
        if tenant_id:
            self._put_member(campaign_id, entry, tenant_id, value)
        else:
            entry.header = None if value is None else _header(value)

    def note(self, key: str, value: bytes | None, at_ms: int) -> None:
        """Take in a record of the campaign log: only headers tell of a change worth a line."""
        if "/" in key or value is None:
            return
        header = _header(value)
        change = Change(at_ms, header["status"], header["kind"], header["confidence"], header.get("member_count", 0))
        changes = self._entries.setdefault(key, Entry()).changes
        last = changes[-1] if changes else None
        if last is None or (last.status, last.kind, last.members) != (change.status, change.kind, change.members):
            changes.append(change)

    def headers(self) -> list[dict[str, Any]]:
        """All campaigns without their members: the confirmed first, then those that a person would rather confirm."""
        found = [
            entry.header | {"member_count": len(entry.members) + entry.dropped}
            for entry in self._entries.values()
            if entry.header is not None
        ]
        found.sort(key=lambda one: str(one["first_alert_time"]), reverse=True)
        return sorted(found, key=lambda one: (_ORDER.get(one["status"], len(_ORDER)), -one.get("priority", 0.5)))

    def find(self, campaign_id: str) -> dict[str, Any] | None:
        """A campaign with its members, the surest first, under any of its ids; 10,000 members take some 60 ms once."""
        for own_id in (campaign_id, *self._aliased(campaign_id)):
            entry = self._entries.get(own_id)
            if entry is not None and entry.header is not None:
                return self._put_together(own_id, entry)
        return None

    def changes(self, campaign_id: str) -> list[Change]:
        """How a campaign has changed, oldest first, as far as the log tells."""
        entry = self._entries.get(campaign_id)
        return list(entry.changes) if entry else []

    def of_tenant(self, tenant_id: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """The campaigns that a tenant is a member of, each with its membership."""
        found = []
        for campaign_id in sorted(self._of_tenant.get(tenant_id, ())):
            entry = self._entries[campaign_id]
            if entry.header is not None and tenant_id in entry.members:
                found.append((entry.header, orjson.loads(entry.members[tenant_id])))
        return found

    def suspects(self) -> set[str]:
        """Tenants that are a member of any campaign."""
        return set(self._of_tenant)

    def __len__(self) -> int:
        return self._members

    def _aliased(self, campaign_id: str) -> list[str]:
        return [
            own_id
            for own_id, entry in self._entries.items()
            if entry.header is not None and campaign_id in entry.header.get("aliases", ())
        ]

    def _put_together(self, campaign_id: str, entry: Entry) -> dict[str, Any]:
        version, whole = self._whole.pop(campaign_id, (-1, {}))
        if version != entry.version:
            members = [orjson.loads(value) for value in entry.members.values()]
            members.sort(key=lambda member: (-member["posterior"], member["tenant_id"]))
            whole = {"aliases": [], "evidence": [], "values": [], **(entry.header or {}), "members": members}
        self._whole[campaign_id] = (entry.version, whole)
        while len(self._whole) > _MAX_WHOLE:
            del self._whole[next(iter(self._whole))]
        return whole

    def _put_member(self, campaign_id: str, entry: Entry, tenant_id: str, value: bytes | None) -> None:
        is_known = tenant_id in entry.members
        if value is None:
            if is_known:
                del entry.members[tenant_id]
                self._members -= 1
                self._of_tenant[tenant_id].discard(campaign_id)
                if not self._of_tenant[tenant_id]:
                    del self._of_tenant[tenant_id]
        elif is_known or self._members < MAX_MEMBERS:
            _member(value)
            entry.members[tenant_id] = value
            self._members += not is_known
            self._of_tenant.setdefault(tenant_id, set()).add(campaign_id)
        else:
            entry.dropped += 1

    def _drop_oldest(self) -> None:
        while len(self._entries) > MAX_CAMPAIGNS:
            oldest = next(iter(self._entries))
            for tenant_id in list(self._entries[oldest].members):
                self._put_member(oldest, self._entries[oldest], tenant_id, None)
            del self._entries[oldest]


def _header(value: bytes) -> dict[str, Any]:
    return _object(value, {"campaign_id", "kind", "status", "confidence", "first_alert_time"})


def _member(value: bytes) -> dict[str, Any]:
    return _object(value, {"tenant_id", "posterior", "role", "joined_at"})


def _object(value: bytes, needed: set[str]) -> dict[str, Any]:
    found = orjson.loads(value)
    if not isinstance(found, dict) or not needed <= found.keys():
        raise ValueError(f"not a campaign record: {value[:80]!r}")
    return found
