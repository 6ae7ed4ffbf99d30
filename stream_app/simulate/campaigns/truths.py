"""What really happened in a stream: labels and the scenario's description."""

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from stream_app.simulate.campaigns.accounts import Accounts, Setting
from stream_app.simulate.campaigns.operations import Operation


class Truth:
    """Read off the operations of one reading; whole once all events were read."""

    def __init__(self, operations: list[Operation]) -> None:
        self._operations = operations

    def labels(self, accounts: Accounts, tenant_ids: list[str], account_ids: list[str]) -> Iterator[dict[str, object]]:
        for row, (tenant_id, account_id, family) in enumerate(
            zip(tenant_ids, account_ids, accounts.family, strict=True)
        ):
            number = int(accounts.campaign[row])
            label: dict[str, object] = {
                "tenant_id": tenant_id,
                "account_id": account_id,
                "campaign": None if number < 0 else self._operations[number].campaign.campaign_id,
                "role": "benign" if number < 0 else "campaign",
                "family": family,
            }
            yield label | self._campaign_part(number, row) if number >= 0 else label

    def scenario(self, setting: Setting, allowed: list[str]) -> dict[str, object]:
        return {
            "begin": rfc3339(setting.begin_ms),
            "end": rfc3339(setting.end_ms),
            "campaigns": [_described(operation) for operation in self._operations],
            "allow_list": sorted(set(allowed)),
            "expect": {},
        }

    def taken_by(self, time_ms: float) -> int:
        """Extraction requests of all campaigns in the hours begun before that time."""
        return sum(
            count for operation in self._operations for hour_ms, count in operation.hourly.items() if hour_ms < time_ms
        )

    def _campaign_part(self, number: int, row: int) -> dict[str, object]:
        operation = self._operations[number]
        place = row - operation.first_row
        first_ms = float(operation.first_ms[place])
        part: dict[str, object] = {} if np.isinf(first_ms) else {"first_campaign_time": rfc3339(first_ms)}
        if place in operation.members.bridges:
            part["bridges"] = operation.members.bridges[place]
        return part


def _described(operation: Operation) -> dict[str, object]:
    campaign, first_ms = operation.campaign, float(operation.first_ms.min())
    description: dict[str, object] = {
        "campaign": campaign.campaign_id,
        "family": campaign.family,
        "regime": campaign.regime,
        "without": list(campaign.without),
        "mix": campaign.mix,
        "load": campaign.load,
        "accounts": len(operation.first_ms),
        "extractions": operation.total,
        "waves": [
            {"time": rfc3339(wave.time_ms), "banned": wave.banned, "replacements": wave.replacements}
            for wave in operation.members.waves
        ],
    }
    times = {"first_extraction_time": first_ms, "counted_extraction_time": operation.counted_ms, **_shares(operation)}
    times["half_extraction_time"] = operation.half_ms
    times["pivot_time"] = operation.members.pivots_ms
    return description | {name: rfc3339(time_ms) for name, time_ms in times.items() if np.isfinite(time_ms)}


def _shares(operation: Operation) -> dict[str, float]:
    """When a fifth of the extraction was done, to the hour."""
    done = 0
    for hour_ms, count in sorted(operation.hourly.items()):
        done += count
        if done >= operation.total / 5:
            return {"fifth_extraction_time": hour_ms + 3_600_000}
    return {}


def rfc3339(time_ms: float) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, tz=UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
