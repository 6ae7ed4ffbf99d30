"""Campaigns as the campaigns topic holds them at the moment, put together from headers and members."""

from typing import Any

import orjson

from stream_app.adapters.decision_log import DecisionLogError, read_records
from stream_app.settings import Settings
from stream_app.topology import TopicName


def read_campaigns(settings: Settings) -> list[dict[str, Any]]:
    """Every campaign with its members, the surest first, as a replay's ``campaigns.jsonl`` has them.

    Holds them all in memory. Raises ``DecisionLogError`` when the broker or the topic is not there, or a record is
    none of ours.
    """
    entries: dict[str, dict[str, Any]] = {}
    for record in read_records(settings, TopicName.CAMPAIGNS):
        key = (record.key or b"").decode()
        entries.pop(key, None)
        if record.value is not None:
            try:
                entries[key] = orjson.loads(record.value)
            except orjson.JSONDecodeError as error:
                raise DecisionLogError(f"{record.place}: not JSON: {error}") from error
    members: dict[str, list[dict[str, Any]]] = {}
    for entry in entries.values():
        if "tenant_id" in entry:
            members.setdefault(entry["campaign_id"], []).append(entry)
    found = [entry for entry in entries.values() if "tenant_id" not in entry]
    for campaign in found:
        own = members.get(campaign["campaign_id"], [])
        campaign["members"] = sorted(own, key=lambda member: (-member["posterior"], member["tenant_id"]))
    return found
