"""Scores of one run: a pure function of labels, scenario, reported campaigns and decisions."""

from collections.abc import Iterable
from datetime import datetime

from msgspec import Struct

from stream_app.evaluation.matches import FOUND_SHARE, Account, Match, Truth
from stream_app.evaluation.records import Decision, Expected, Label, Report, Scenario

DENYING = ("throttle", "challenge", "block")
#: Members count as in time until so long after the 5,000th extraction request.
GRACE_S = 600


class SetScore(Struct, frozen=True):
    """A set of accounts against a campaign's; ``precision`` is None when the set is empty."""

    accounts: int
    recall: float
    precision: float | None


class CampaignScore(Struct, frozen=True):
    """One campaign that was played. Recall is over its accounts that have sent an extraction request.

    ``campaign_ids`` are those of the reports that found it. Delays are seconds of event time, negative when early;
    ``alarm_delay_s`` is that of the first report of any kind, a cohort included.
    """

    campaign: str
    accounts: int
    is_found: bool
    campaign_ids: list[str]
    kinds: list[str]
    member: SetScore
    act: SetScore
    block: SetScore
    in_time_recall: float | None
    denied_recall: float
    blocked_recall: float
    heirs_recall: float | None
    delay_s: float | None
    delay_counted_s: float | None
    alarm_delay_s: float | None
    is_before_fifth: bool | None


class Harm(Struct, frozen=True):
    """Benign tenants that a detector's decision touched, simulated or not; rates are per 100,000 benign tenants."""

    benign_tenants: int
    touched: int
    throttled: int
    challenged: int
    blocked: int
    by_campaigns: int
    touched_per_100k: float
    blocked_per_100k: float
    allow_listed_touched: int


class SubjectScore(Struct, frozen=True):
    """A single tenant that changed. ``delay_s`` is from its onset to the first decision that denies."""

    name: str
    tenant_id: str
    is_found: bool
    delay_s: float | None


class Scores(Struct, frozen=True):
    """Everything ``stillwatch evaluate`` tells."""

    scenario: str
    seed: int
    scale: float
    campaigns: int
    found: int
    false: int
    fragmented: int
    merged: int
    allowed: int
    cohorts: int
    false_ids: list[str]
    merged_ids: list[str]
    per_campaign: list[CampaignScore]
    harm: Harm
    subjects: list[SubjectScore]


def evaluate(
    labels: Iterable[Label], scenario: Scenario, reports: Iterable[Report], decisions: Iterable[Decision]
) -> Scores:
    """Score one run. Of several reports with one id the last counts; memory grows with labels and reports.

    A report is *false* when at most half of its accounts belong to campaigns, unless half belong to allow-listed
    tenants. It *finds* the campaign that most of its accounts belong to, when it holds a tenth of that. A campaign is
    *fragmented* when several ids find it; a report is *merged* when it holds a tenth of two campaigns or more.
    """
    truth = Truth(labels, scenario)
    newest = {report.campaign_id: report for report in reports if report.status != "retracted"}
    matches = [Match(report, truth) for report in newest.values()]
    verdicts = [match for match in matches if match.report.kind != "cohort"]
    made = [decision for decision in decisions if decision.origin == "detector"]
    denied, blocked = _subjects(made, DENYING, truth), _subjects(made, ("block",), truth)
    per_campaign = [_campaign_score(name, truth, matches, denied, blocked) for name in truth.campaigns]
    false = [match for match in verdicts if match.is_false]
    merged = [match for match in verdicts if match.is_merged]
    return Scores(
        scenario=scenario.name,
        seed=scenario.seed,
        scale=scenario.scale,
        campaigns=len(truth.campaigns),
        found=sum(score.is_found for score in per_campaign),
        false=len(false),
        fragmented=sum(len(score.campaign_ids) > 1 for score in per_campaign),
        merged=len(merged),
        allowed=sum(match.is_allowed for match in verdicts),
        cohorts=len(matches) - len(verdicts),
        false_ids=sorted(match.report.campaign_id for match in false),
        merged_ids=sorted(match.report.campaign_id for match in merged),
        per_campaign=per_campaign,
        harm=_harm(truth, made),
        subjects=[_subject_score(name, expected, made) for name, expected in sorted(scenario.expect.items())],
    )


def _campaign_score(
    name: str, truth: Truth, matches: list[Match], denied: set[Account], blocked: set[Account]
) -> CampaignScore:
    finding = [match for match in matches if match.main == name and match.shares[name] >= FOUND_SHARE]
    verdicts = [match for match in finding if match.report.kind != "cohort" and not match.is_false]
    accounts, begun, played = truth.campaigns[name], truth.begun[name], truth.played.get(name)
    counted = played.counted_extraction_time if played else None
    fifth = played.fifth_extraction_time if played else None
    first = min((match.report.first_alert_time for match in verdicts), default=None)
    in_time = {account for match in verdicts for account in match.joined_by(counted, GRACE_S)}
    heirs = truth.heirs & begun
    members = {account for match in verdicts for account in match.accounts["member"]}
    return CampaignScore(
        campaign=name,
        accounts=len(accounts),
        is_found=bool(verdicts),
        campaign_ids=sorted(match.report.campaign_id for match in verdicts),
        kinds=sorted({match.report.kind for match in verdicts}),
        **{role: _set_score(verdicts, role, accounts, begun) for role in ("member", "act", "block")},
        in_time_recall=_share(in_time, truth.begun_by(name, counted)) if counted else None,
        denied_recall=_share(denied, begun),
        blocked_recall=_share(blocked, begun),
        heirs_recall=_share(members, heirs) if heirs else None,
        delay_s=_seconds(first, played.first_extraction_time if played else None),
        delay_counted_s=_seconds(first, counted),
        alarm_delay_s=_seconds(
            min((match.report.first_alert_time for match in finding), default=None),
            played.first_extraction_time if played else None,
        ),
        is_before_fifth=(first is not None and first <= fifth) if fifth else None,
    )


def _set_score(matches: list[Match], role: str, accounts: set[Account], begun: set[Account]) -> SetScore:
    found = {account for match in matches for account in match.accounts[role]}
    return SetScore(len(found), _share(found, begun), len(found & accounts) / len(found) if found else None)


def _share(found: set[Account], wanted: set[Account]) -> float:
    return len(found & wanted) / len(wanted) if wanted else 0.0


def _seconds(time: datetime | None, since: datetime | None) -> float | None:
    return (time - since).total_seconds() if time and since else None


def _subjects(decisions: list[Decision], actions: tuple[str, ...], truth: Truth) -> set[Account]:
    found: set[Account] = set()
    for decision in decisions:
        if decision.action in actions and decision.tenant_id:
            account_id = decision.account_id if decision.scope == "account" else None
            found |= truth.accounts_of(decision.tenant_id, account_id)
    return found


def _harm(truth: Truth, decisions: list[Decision]) -> Harm:
    """Tenants of campaigns and those that the scenario expects are no benign ones."""
    touching = [made for made in decisions if made.tenant_id in truth.benign_tenants and made.action in DENYING]
    by_action = {action: {made.tenant_id for made in touching if made.action == action} for action in DENYING}
    touched = {made.tenant_id for made in touching}
    count = len(truth.benign_tenants)
    per_100k = 100_000 / count if count else 0.0
    return Harm(
        benign_tenants=count,
        touched=len(touched),
        throttled=len(by_action["throttle"]),
        challenged=len(by_action["challenge"]),
        blocked=len(by_action["block"]),
        by_campaigns=len({made.tenant_id for made in touching if made.campaign_id}),
        touched_per_100k=len(touched) * per_100k,
        blocked_per_100k=len(by_action["block"]) * per_100k,
        allow_listed_touched=len(touched & truth.allowed_tenants),
    )


def _subject_score(name: str, expected: Expected, decisions: list[Decision]) -> SubjectScore:
    times = [
        decision.issued_at
        for decision in decisions
        if decision.tenant_id == expected.tenant_id
        and decision.action in DENYING
        and decision.issued_at >= expected.onset
    ]
    return SubjectScore(name, expected.tenant_id, bool(times), _seconds(min(times, default=None), expected.onset))
