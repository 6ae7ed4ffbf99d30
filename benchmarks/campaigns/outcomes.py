"""One detector's outcome on one stream, as a line of results: the scores of ``stillwatch evaluate``, and some more."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from benchmarks.campaigns.account_rivals import ACCOUNT_RIVALS, mmd_windows
from benchmarks.campaigns.group_rivals import GROUP_RIVALS
from benchmarks.campaigns.groups import decided, followed
from benchmarks.campaigns.judging import Judged, judge
from benchmarks.campaigns.observations import Seen
from benchmarks.campaigns.plans import SIZES, Plan, world_of
from benchmarks.quality.__main__ import enforced_policy
from stream_app.evaluation import Decision, Label, Report, Scenario, Scores, evaluate
from stream_app.evaluation.matches import Truth
from stream_app.evaluation.scores import DENYING, GRACE_S, SetScore

STILLWATCH, ALONE, MMD = "Stillwatch", "per-tenant scorer alone", "MMD windows"


class Outcome(Struct, frozen=True, omit_defaults=True):
    """Shares are of a campaign's accounts that have begun, and means over the stream's campaigns; None: cannot be said.

    ``in_time`` are members, ``act_in_time`` those acted on, until ten minutes after half an extraction request per
    account; ``act_next_day`` a day later. ``named`` are accounts in any decision that denies: recall, and precision
    over tenants. Delays are hours from the first extraction request, ``delay_half_h`` from half a request per account;
    ``before_fifth`` is the share of campaigns found before a fifth of their extraction was done. ``touched`` counts
    benign tenants, ``touched_before`` without harm budgets, ``touched_as`` by what they are, the allow-listed among
    them. ``odd`` and ``odd_before`` are shares of windows, of a rival that names nobody.
    """

    plan: str
    seed: int
    size: str
    detector: str
    commit: str
    events: int
    benign: int
    campaigns: int
    begun: int
    extractions: int
    found: int | None = None
    false: int | None = None
    fragmented: int | None = None
    merged: int | None = None
    cohorts: int | None = None
    kinds: list[str] = []
    member: tuple[float, float | None] | None = None
    act: tuple[float, float | None] | None = None
    block: tuple[float, float | None] | None = None
    in_time: float | None = None
    act_in_time: float | None = None
    act_next_day: float | None = None
    heirs: float | None = None
    named: tuple[float, float | None] | None = None
    delay_h: float | None = None
    delay_half_h: float | None = None
    alarm_h: float | None = None
    before_fifth: float | None = None
    touched: int = 0
    touched_before: int = 0
    touched_as: dict[str, int] = {}
    blocked: int = 0
    allowed_touched: int = 0
    odd: float | None = None
    odd_before: float | None = None
    cpu_s: float | None = None


class _Stream(Struct, frozen=True):
    labels: list[Label]
    scenario: Scenario
    truth: Truth
    head: dict[str, Any]


def outcomes(plan: Plan, seed: int, size: str, commit: str, *, rivals: bool) -> list[Outcome]:
    """Play a stream, and say what the product and the rivals made of it."""
    world = world_of(plan, seed, SIZES[size])
    judged = judge(world, enforced_policy(), alone=rivals)
    plain: dict[str, Any] = world.scenario()
    for played in plain["campaigns"]:  # half a request per account is as much as 5,000 of 10,000
        played["counted_extraction_time"] = played.get("half_extraction_time")
    labels = [msgspec.convert(label, Label) for label in world.labels()]
    scenario = msgspec.convert(plain, Scenario)
    truth = Truth(labels, scenario)
    head = {
        "plan": plan.key,
        "seed": seed,
        "size": size,
        "commit": commit,
        "events": len(judged.seen.time_ms),
        "benign": len(truth.benign_tenants),
        "campaigns": len(scenario.campaigns),
        "begun": sum(len(begun) for begun in truth.begun.values()),
        "extractions": sum(played["extractions"] for played in plain["campaigns"]),
    }
    stream = _Stream(labels, scenario, truth, head)
    told = [_own(stream, judged)]
    if rivals:
        told.append(_outcome(stream, ALONE, None, judged.alone))
        told += _rivals(stream, judged.seen)
    return told


def _own(stream: _Stream, judged: Judged) -> Outcome:
    outcome = _outcome(stream, STILLWATCH, judged.reports, judged.decisions)
    truth = stream.truth
    denied = {decision.tenant_id for decision in judged.decisions if decision.action in DENYING}
    before = (denied | judged.withheld | judged.acted_ms.keys()) & truth.benign_tenants - truth.allowed_tenants
    halves = {name: played.counted_extraction_time for name, played in truth.played.items()}
    in_time: list[float] = []
    next_day: list[float] = []
    for name, half in halves.items():
        if half:
            for shares, grace in ((in_time, timedelta(seconds=GRACE_S)), (next_day, timedelta(days=1))):
                begun = truth.begun_by(name, half + grace)
                until_ms = (half + grace).timestamp() * 1_000
                acted = [who for who in begun if judged.acted_ms.get(who[0], float("inf")) <= until_ms]
                shares.append(len(acted) / max(len(begun), 1))
    return replace(
        outcome,
        act_in_time=_mean(in_time),
        act_next_day=_mean(next_day),
        touched_before=len(before),
        cpu_s=round(judged.cpu_s, 1),
    )


def _rivals(stream: _Stream, seen: Seen) -> list[Outcome]:
    told = [_outcome(stream, rival.name, *followed(rival, seen)) for rival in GROUP_RIVALS]
    told += [_outcome(stream, rival.name, None, decided(rival.alarms(seen), seen)) for rival in ACCOUNT_RIVALS]
    return [*told, _windows(stream, seen)]


def _windows(stream: _Stream, seen: Seen) -> Outcome:
    """Windows called odd while a campaign works, and before."""
    windows = mmd_windows(seen)
    starts = [played.first_extraction_time for played in stream.scenario.campaigns if played.first_extraction_time]
    first_ms = min(starts).timestamp() * 1_000 if starts else float("inf")
    is_late = windows.end_ms >= first_ms
    odd, before = windows.is_odd[is_late], windows.is_odd[~is_late]
    alarms_ms = windows.end_ms[is_late & windows.is_odd]
    return Outcome(
        **stream.head,
        detector=MMD,
        odd=_mean(odd.tolist()),
        odd_before=_mean(before.tolist()),
        alarm_h=(float(alarms_ms[0]) - first_ms) / 3_600_000 if len(alarms_ms) else None,
    )


def _outcome(
    stream: _Stream, detector: str, reports: Sequence[Report] | None, decisions: Sequence[Decision]
) -> Outcome:
    truth = stream.truth
    made = [one for one in decisions if one.tenant_id not in truth.allowed_tenants or detector == STILLWATCH]
    scores = evaluate(stream.labels, stream.scenario, reports or (), made)
    denied = {one.tenant_id for one in made if one.action in DENYING}
    guilty = {tenant_id for tenant_id, _ in truth.campaign_of}
    families = {label.tenant_id: label.family for label in stream.labels}
    precision = len(denied & guilty) / len(denied) if denied else None
    recalls = [score.denied_recall for score in scores.per_campaign]
    outcome = Outcome(
        **stream.head,
        detector=detector,
        named=(sum(recalls) / len(recalls), precision) if recalls else None,
        touched=scores.harm.touched - scores.harm.allow_listed_touched,
        touched_as=dict(sorted(Counter(families[who] for who in truth.benign_tenants & denied).items())),
        touched_before=scores.harm.touched - scores.harm.allow_listed_touched,
        blocked=scores.harm.blocked,
        allowed_touched=scores.harm.allow_listed_touched,
    )
    return outcome if reports is None else replace(outcome, **_grouped(scores))


def _grouped(scores: Scores) -> dict[str, Any]:
    each = scores.per_campaign
    sets = {role: [getattr(score, role) for score in each] for role in ("member", "act", "block")}
    return {
        "found": scores.found,
        "false": scores.false,
        "fragmented": scores.fragmented,
        "merged": scores.merged,
        "cohorts": scores.cohorts,
        "kinds": sorted({kind for score in each for kind in score.kinds}),
        **{role: _mean_set(found) for role, found in sets.items()},
        "in_time": _mean([score.in_time_recall for score in each]),
        "heirs": _mean([score.heirs_recall for score in each]),
        "delay_h": _hours([score.delay_s for score in each]),
        "delay_half_h": _hours([score.delay_counted_s for score in each]),
        "before_fifth": _mean([score.is_before_fifth for score in each]),
        "alarm_h": _hours([score.alarm_delay_s for score in each]),
    }


def _mean_set(found: list[SetScore]) -> tuple[float, float | None] | None:
    if not found:
        return None
    return sum(one.recall for one in found) / len(found), _mean([one.precision for one in found])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _hours(seconds: Sequence[float | None]) -> float | None:
    mean = _mean(seconds)
    return None if mean is None else mean / 3_600
