"""What all members of a campaign asked for together, and how it grew, by slices of event time."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from operator import add
from typing import Any

from msgspec import Struct, field

from stream_app.detection.decisions import Action, Decision
from stream_app.plots.times import MINUTE_S, Bins, bins_of, epoch_s


class Load(Struct, frozen=True):
    """Requests of the members in each slice, and how many of them had sent anything by its end.

    The first slice begins at ``start``; ``tenants`` is how many tenants there were at all. ``tokens`` are the output
    tokens they took in each slice, empty where nobody counted them.
    """

    start: str
    step_s: int
    requests: list[int]
    appeared: list[int]
    tenants: int
    tokens: list[int] = field(default_factory=list)

    @property
    def bins(self) -> Bins:
        """The slices as those of a plot."""
        return Bins(int(epoch_s(self.start)) // MINUTE_S, self.step_s // MINUTE_S, len(self.requests))


class LoadCount:
    """Counts requests and output tokens of campaigns' members; memory grows with members and minutes of each."""

    def __init__(self, campaigns: Iterable[Mapping[str, Any]]) -> None:
        self._minutes: dict[str, Counter[int]] = {}
        self._tokens: dict[str, Counter[int]] = {}
        self._first: dict[str, int] = {}
        self._campaigns_of: dict[str, list[str]] = {}
        for campaign in campaigns:
            self._minutes[campaign["campaign_id"]] = Counter()
            self._tokens[campaign["campaign_id"]] = Counter()
            for member in campaign["members"]:
                self._campaigns_of.setdefault(member["tenant_id"], []).append(campaign["campaign_id"])

    def add(self, tenant_id: str, minute: int, requests: int = 1, tokens: int = 0) -> None:
        """Take in requests of a minute since 1970; those of others are passed over."""
        for campaign_id in self._campaigns_of.get(tenant_id, ()):
            self._minutes[campaign_id][minute] += requests
            self._tokens[campaign_id][minute] += tokens
            self._first[tenant_id] = min(minute, self._first.get(tenant_id, minute))

    def load_of(self, campaign: Mapping[str, Any], tenants: int) -> Load | None:
        """What was counted for a campaign of ``tenants`` in all; ``None`` when no member sent anything."""
        counted = self._minutes[campaign["campaign_id"]]
        if not counted:
            return None
        known = [*counted, *milestones(campaign)]
        bins = bins_of(range(min(known), max(known) + 1))
        first = [self._first[one["tenant_id"]] for one in campaign["members"] if one["tenant_id"] in self._first]
        start = datetime.fromtimestamp(bins.start_min * MINUTE_S, UTC).isoformat()
        step_s = bins.step_min * MINUTE_S
        taken = bins.gather(self._tokens[campaign["campaign_id"]], add)
        return Load(
            start, step_s, bins.gather(counted, add), reached(bins, first), tenants, taken if any(taken) else []
        )


def milestones(campaign: Mapping[str, Any]) -> list[int]:
    """The minutes of its alert, of its confirmation and of every member's joining."""
    times = [campaign["first_alert_time"], campaign.get("confirmed_time")]
    times += [member["joined_at"] for member in campaign["members"]]
    return [int(epoch_s(time)) // MINUTE_S for time in times if time]


class Actions(Struct):
    """What was decided on the members for their campaign: by minute, and since when each of them was denied."""

    decided: dict[int, Counter[Action]] = field(default_factory=dict)
    denied: dict[str, int] = field(default_factory=dict)
    counts: Counter[Action] = field(default_factory=Counter)
    simulated: int = 0

    def add(self, decision: Decision) -> None:
        """Take in the next decision."""
        minute = int(epoch_s(decision.issued_at)) // MINUTE_S
        self.decided.setdefault(minute, Counter())[decision.action] += 1
        self.counts[decision.action] += 1
        self.simulated += decision.simulated
        if decision.tenant_id and decision.action.severity >= Action.THROTTLE.severity:
            self.denied.setdefault(decision.key, minute)


def merged(several: Iterable[Actions]) -> Actions:
    """What was decided under the several ids of one campaign."""
    whole = Actions()
    for one in several:
        for minute, made in one.decided.items():
            whole.decided.setdefault(minute, Counter()).update(made)
        for key, minute in one.denied.items():
            whole.denied[key] = min(minute, whole.denied.get(key, minute))
        whole.counts.update(one.counts)
        whole.simulated += one.simulated
    return whole


def reached(bins: Bins, minutes: Sequence[int]) -> list[int]:
    """How many of these minutes lie before the end of each slice."""
    counted = Counter(min(max((minute - bins.start_min) // bins.step_min, 0), bins.count) for minute in minutes)
    total, found = 0, []
    for place in range(bins.count):
        total += counted[place]
        found.append(total)
    return found


def times_likelier(inside: int, members: int, everywhere: int, tenants: int) -> float | None:
    """How many times likelier a member carries a value than another tenant does; ``None`` where there are no others.

    Half a tenant is added to the others that carry it (Jeffreys), so that none is not infinitely rare.
    """
    others = tenants - members
    if others <= 0 or members <= 0:
        return None
    return (inside / members) / ((max(everywhere - inside, 0) + 0.5) / (others + 1))
