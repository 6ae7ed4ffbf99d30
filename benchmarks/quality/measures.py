"""Decisions against labels: what was found and how soon, what was false, and how sure the figures are."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from scipy.stats import chi2

from benchmarks.quality.closed_loops import Judged, Told
from benchmarks.quality.streams import Stream, Truth
from stream_app.detection.decisions import Action

_Z95 = 1.959964
_RESAMPLES, _RESAMPLING_SEED = 2_000, 1


class Interval(Struct, frozen=True):
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float


def wilson(hits: int, of: int) -> Interval:
    """A share (Wilson's score interval); 0 of 0 may be anything."""
    if of == 0:
        return Interval(float("nan"), 0.0, 1.0)
    share, z2 = hits / of, _Z95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z95 / (1 + z2 / of) * (share * (1 - share) / of + z2 / (4 * of**2)) ** 0.5
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def rate(events: int, exposure: float) -> Interval:
    """Events per unit of exposure (exact Poisson interval, Garwood 1936)."""
    if exposure <= 0:
        return Interval(float("nan"), 0.0, float("inf"))
    low = chi2.ppf(0.025, 2 * events) / 2 if events else 0.0
    return Interval(events / exposure, float(low) / exposure, float(chi2.ppf(0.975, 2 * events + 2)) / 2 / exposure)


def quantile(values: Sequence[float], share: float) -> Interval:
    """A quantile of which infinite values are part, with a bootstrapped interval; the next higher value, no mean."""
    if not values:
        return Interval(float("nan"), 0.0, float("inf"))
    found = np.array(values)
    drawn = np.random.default_rng(_RESAMPLING_SEED).choice(found, (_RESAMPLES, len(found)))
    spread = np.sort(np.quantile(drawn, share, axis=1, method="inverted_cdf"))
    value = float(np.quantile(found, share, method="inverted_cdf"))
    return Interval(value, float(spread[int(0.025 * _RESAMPLES)]), float(spread[int(0.975 * _RESAMPLES)]))


class Found(Struct, frozen=True):
    """What became of one anomaly. Seconds of event time, infinite when it never happened while the anomaly lasted.

    ``onset_s`` from the onset to the first decision, ``tenth_s`` from the tenth excess request (not below 0),
    ``acted_s`` from there to the first throttle or block; ``is_scope_right`` when that or an observe named who it was.
    """

    family: str
    onset_s: float
    tenth_s: float
    acted_s: float
    is_scope_right: bool


class Group(Struct):
    """Tenants of one family, days in which decisions about them count, and false entries by action."""

    tenants: int
    days: float
    decided: int
    false: Counter[str]


class Outcome(Struct):
    """One stream judged by the detector; ``false_reasons`` counts false entries by their first reason's code."""

    scenario: str
    seed: int
    events: int
    us_per_event: float
    state_bytes_p50: float
    state_bytes_p99: float
    groups: dict[str, Group]
    found: list[Found]
    true_entries: int
    false_reasons: Counter[str]
    denied: int
    released_pushing: int
    release_s: list[float]
    returned: int


def assess(stream: Stream, judged: Judged) -> Outcome:
    """Compare decisions with labels; only entries onto a rung count, not renewals."""
    families = [tenant.family for tenant in stream.tenants]
    entries = [told for told in judged.told if told.is_entry and told.at_ms >= stream.counted_ms]
    by_tenant = {truth.tenant: truth for truth in stream.truths}
    false = [told for told in entries if not (told.tenant in by_tenant and by_tenant[told.tenant].covers(told.at_ms))]
    groups = {
        family: Group(
            tenants=families.count(family),
            days=stream.tenant_days({family}),
            decided=len({told.tenant for told in entries if families[told.tenant] == family}),
            false=Counter(told.action.value for told in false if families[told.tenant] == family),
        )
        for family in dict.fromkeys(families)
    }
    sizes = judged.state_bytes or [0]
    return Outcome(
        scenario=stream.scenario,
        seed=stream.seed,
        events=judged.events,
        us_per_event=1e6 * judged.cpu_s / max(1, judged.events),
        state_bytes_p50=float(np.median(sizes)),
        state_bytes_p99=float(np.quantile(sizes, 0.99)),
        groups=groups,
        found=[_found(truth, judged.told) for truth in stream.truths],
        true_entries=len(entries) - len(false),
        false_reasons=Counter(told.reasons[0] if told.reasons else "none" for told in false),
        denied=sum(judged.denied),
        **_releases(stream, judged),
    )


def _found(truth: Truth, told: Sequence[Told]) -> Found:
    mine = [
        one
        for one in told
        if one.tenant == truth.tenant and one.action is not Action.ALLOW and truth.onset_ms <= one.at_ms <= truth.end_ms
    ]
    acted = [one for one in mine if one.action is not Action.OBSERVE]
    named = truth.account_id or ""

    def delay(ones: Sequence[Told], since_ms: int) -> float:
        return max(0.0, (ones[0].at_ms - since_ms) / 1_000) if ones else float("inf")

    return Found(
        family=truth.family,
        onset_s=delay(mine, truth.onset_ms),
        tenth_s=delay(mine, truth.tenth_ms),
        acted_s=delay(acted, truth.tenth_ms),
        is_scope_right=any(
            one.scope == truth.scope and (truth.scope == "tenant" or one.subject.endswith(f"/{named}")) for one in mine
        ),
    )


def _releases(stream: Stream, judged: Judged) -> dict[str, Any]:
    """Releases of denied tenants that push on; seconds to the release of those that stop, and their returns."""
    pushing, release_s, returned = 0, [], 0
    for truth in stream.truths:
        if not judged.denied[truth.tenant]:
            continue
        mine = [one for one in judged.told if one.tenant == truth.tenant and one.at_ms >= truth.onset_ms]
        releases = _released_ms(mine)
        stopped = judged.given_up_ms.get(truth.tenant)
        if stopped is None:
            pushing += sum(at_ms <= truth.end_ms for at_ms in releases)
        elif stopped < truth.end_ms:
            released = next((at_ms for at_ms in releases if at_ms >= stopped), None)
            release_s.append(float("inf") if released is None else (released - stopped) / 1_000)
            returned += released is not None and any(one.is_entry and one.at_ms > released for one in mine)
    return {"released_pushing": pushing, "release_s": release_s, "returned": returned}


def _released_ms(told: Sequence[Told]) -> list[int]:
    """When the last decision that denied something of a tenant, or of an account of it, was taken back."""
    denying: set[tuple[str, str]] = set()
    released = []
    for one in told:
        subject = one.scope, one.subject
        if one.action.severity >= Action.THROTTLE.severity:
            denying.add(subject)
        elif subject in denying:
            denying.remove(subject)
            if not denying:
                released.append(one.at_ms)
    return released


def false_entries(outcomes: Sequence[Outcome], actions: Sequence[str] | None) -> int:
    """False entries onto some rungs, or onto any."""
    counts = [group.false for outcome in outcomes for group in outcome.groups.values()]
    return sum(count.total() if actions is None else sum(count[action] for action in actions) for count in counts)


def counted_days(outcomes: Sequence[Outcome]) -> float:
    """Tenant-days in which decisions count."""
    return sum(group.days for outcome in outcomes for group in outcome.groups.values())
