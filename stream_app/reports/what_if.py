"""The page of a what-if: one file, no scripts, nothing from the network."""

from collections import Counter
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import NamedTuple

from stream_app.detection.decisions import Action
from stream_app.detection.policy import Policy
from stream_app.plots.times import Bins, bins_of, clock_at
from stream_app.quantities import duration
from stream_app.reports.charts import bar_chart, decisions_chart
from stream_app.reports.subjects import count_of, pill
from stream_app.stories import headline, subject_name
from stream_app.what_if.comparisons import TOLD, Change, Comparison, SubjectChange
from stream_app.what_if.courses import HOUR_S, MINUTE_S, Course, SubjectCourse

_STYLE = Path(__file__).with_name("page.css").read_text()
#: Subjects told one by one; the rest are counted, and complete in ``what-if.json``.
MAX_TOLD = 200
_TIMELINE = 1_000


class WhatIf(NamedTuple):
    """Everything that the page tells: policies and courses old and new, how long both runs took together."""

    source: str
    old: Policy
    new: Policy
    before: Course
    after: Course
    comparison: Comparison
    took_s: float


def verdict(told: WhatIf) -> str:
    """The result in one sentence."""
    counts = told.comparison.counts()
    newly, released = counts[Change.NEWLY_DENIED], counts[Change.RELEASED]
    if not told.comparison.subjects:
        return f"Policy {told.new.version} decides on the same subjects, and as strictly, as {told.old.version}."
    return (
        f"With {told.new.version} instead of {told.old.version}, {count_of(newly, 'subject')} would newly be throttled,"
        f" challenged or blocked and {released:,} no more; {counts[Change.STRICTER]:,} would be held more strictly,"
        f" {counts[Change.MILDER]:,} more mildly."
    )


def notes(told: WhatIf) -> list[str]:
    """What has to be known to read the result."""
    found = [
        "Tenants are learned anew from the beginning of the history, by both policies alike.",
        "The traffic is what came in at the time: requests that the old policy had refused then are demand here, too.",
    ]
    refused, events = told.after.summary.rejected, told.after.summary.events
    if refused or not events:
        found.append(f"{refused:,} inputs were refused and are in neither; stillwatch replay says why.")
    for name, policy in (("old", told.old), ("new", told.new)):
        if policy.simulated:
            found.append(f"The {name} policy is in shadow mode; what it would do if enforced is told here.")
    return found


def figures(comparison: Comparison) -> Iterator[tuple[str, str, str]]:
    """Both sides in figures: what, old, new."""
    old, new = comparison.old, comparison.new
    yield "decisions", f"{old.decisions:,}", f"{new.decisions:,}"
    yield "decisions an hour", f"{old.decisions_per_hour:,}", f"{new.decisions_per_hour:,}"
    yield "subjects throttled, challenged or blocked", f"{old.denied:,}", f"{new.denied:,}"
    yield "hours that they are, together", f"{old.denied_hours:,}", f"{new.denied_hours:,}"
    yield "denials counted by the harm budget", f"{old.harm_denials:,}", f"{new.harm_denials:,}"
    yield "withheld by the harm budget", f"{old.harm_withheld:,}", f"{new.harm_withheld:,}"
    yield "harm budget used at most", f"{old.harm_fullest:.0%}", f"{new.harm_fullest:.0%}"
    if comparison.labels is not None:
        known = comparison.labels
        yield f"benign tenants hit, of {len(known.benign):,}", f"{old.benign_denied:,}", f"{new.benign_denied:,}"
        yield (
            f"campaign tenants hit, of {len(known.campaign):,}",
            f"{old.campaign_denied:,}",
            f"{new.campaign_denied:,}",
        )


def told_subjects(comparison: Comparison) -> list[SubjectChange]:
    """Subjects whose treatment differs, the gravest first."""
    return [one for one in comparison.subjects if one.change in TOLD]


def since(course: SubjectCourse | None) -> str:
    """When a course first is as strict as it gets, and how long it denies anything in all."""
    if course is None or not course.is_denied:
        return "–"
    start = course.strictest.issued_at[:16].replace("T", " ")
    return f"from {start}, {duration(course.denied_s)} in all"


def render(told: WhatIf) -> str:
    """The whole page. Every text of the input is escaped."""
    title = f"What if {told.new.version} instead of {told.old.version}"
    sections = (_opening(told, title), _plots(told), _subjects(told), _campaigns(told), _rules(told))
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}</style>\n"
        f"<main>\n{chr(10).join(filter(None, sections))}\n</main>\n</html>\n"
    )


def _opening(told: WhatIf, title: str) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td class=n>{old}</td><td class=n>{new}</td></tr>"
        for name, old, new in figures(told.comparison)
    )
    summary, history_s = told.after.summary, told.comparison.history_s
    ratio = f", {history_s / told.took_s:,.0f} times as fast as it happened" if told.took_s else ""
    explained = "".join(f'<p class="caption">{escape(note)}</p>' for note in notes(told))
    return (
        f'<header><h1>{escape(title)}</h1><p class="verdict">{escape(verdict(told))}</p></header><section>'
        f"<table><thead><tr><th></th><th class=n>{escape(told.old.version)}</th>"
        f"<th class=n>{escape(told.new.version)}</th></tr></thead>{rows}</table>"
        f'<p class="caption">{summary.events:,} events of {count_of(summary.tenants, "tenant")} in'
        f" {duration(history_s)} of {escape(told.source)}, by both policies in {told.took_s:,.1f} s{ratio}."
        f" All times are event times in UTC.</p>{explained}</section>"
    )


def _plots(told: WhatIf) -> str:
    if not told.after.minutes:
        return ""
    bins = bins_of(told.after.minutes)
    old, new = f"Decisions by {told.old.version}", f"Decisions by {told.new.version}"
    drawn = decisions_chart(old, _shown(told.before.decided, bins), bins)
    drawn += decisions_chart(new, _shown(told.after.decided, bins), bins)
    most = max((*told.before.harm.by_hour.values(), *told.after.harm.by_hour.values()), default=0)
    if most:
        for version, course in ((told.old.version, told.before), (told.new.version, told.after)):
            used = {hour * HOUR_S // MINUTE_S: count for hour, count in course.harm.by_hour.items()}
            title = f"Denials of the last hour counted by the harm budget, {version}"
            drawn += bar_chart(title, bins.gather(used, max), bins, most)
    return f"<section><h2>Over time</h2>{drawn or '<p>Neither policy decides anything.</p>'}</section>"


def _shown(decided: Mapping[int, Counter[Action]], bins: Bins) -> dict[int, Counter[Action]]:
    return {minute: counts for minute, counts in decided.items() if bins.slice_of(minute) is not None}


def _subjects(told: WhatIf) -> str:
    changed = told_subjects(told.comparison)
    if not changed:
        return ""
    rows = "".join(_row(told, one) for one in changed[:MAX_TOLD])
    rest = f'<p class="caption">{len(changed) - MAX_TOLD:,} more in what-if.json.</p>' if changed[MAX_TOLD:] else ""
    watched = told.comparison.counts()
    observed = (
        f'<p class="caption">Besides, {watched[Change.NEWLY_OBSERVED]:,} subjects would newly be only observed and'
        f" {watched[Change.NO_LONGER_OBSERVED]:,} no more.</p>"
    )
    head = "<tr><th>Subject</th><th>Old</th><th>New</th><th>Because</th></tr>"
    table = f'<table class="subjects"><thead>{head}</thead>{rows}</table>'
    return f"<section><h2>Who is treated differently</h2>{table}{rest}{observed}</section>"


def _row(told: WhatIf, one: SubjectChange) -> str:
    cause = one.cause
    truth = told.comparison.truth_of(one.tenant_id)
    label = f' <span class="caption">({truth})</span>' if truth else ""
    lines = "".join(_timeline(course, told.after.minutes) for course in (one.old, one.new))
    because = headline(cause).removeprefix(f"{subject_name(cause)}: ")
    return (
        f"<tr><td>{escape(subject_name(cause))}{label}<br><span class=caption>{escape(one.change)}</span></td>"
        f"<td>{_fate(one.old)}</td><td>{_fate(one.new)}</td><td>{escape(because)}{lines}</td></tr>"
    )


def _fate(course: SubjectCourse | None) -> str:
    action = course.action if course else Action.ALLOW
    return f'{pill(action)}<br><span class="caption">{escape(since(course))}</span>'


def _timeline(course: SubjectCourse | None, minutes: range) -> str:
    """A bar of the whole history, coloured where the subject is held at something."""
    if not minutes:
        return ""
    begin_s, span_s = minutes.start * MINUTE_S, len(minutes) * MINUTE_S

    def x(at_s: float) -> float:
        return _TIMELINE * min(max((at_s - begin_s) / span_s, 0.0), 1.0)

    bars = []
    for spell in course.spells if course else ():
        left, right = x(spell.from_s), x(spell.until_s)
        title = f"{spell.action} {clock_at(spell.from_s, '%H:%M')} to {clock_at(spell.until_s, '%H:%M')}"
        path = f"M{left:.1f} 0H{max(right, left + 2):.1f}V10H{left:.1f}Z"
        bars.append(f'<path class="area {spell.action}" d="{path}"><title>{title}</title></path>')
    frame = f'viewBox="0 0 {_TIMELINE} 10" height="7" preserveAspectRatio="none" role="img" aria-label="timeline"'
    return f"<svg {frame}>{''.join(bars)}</svg>"


def _campaigns(told: WhatIf) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.campaign.campaign_id)}</td><td>{escape(one.campaign.kind)}, {escape(one.campaign.status)}"
        f"</td><td class=n>{len(one.campaign.members):,}</td><td class=n>{one.old_denied:,}</td>"
        f"<td class=n>{one.new_denied:,}</td></tr>"
        for one in told.comparison.campaigns
    )
    named = "".join(f"<th class=n>{name}</th>" for name in ("Members", "Denied, old", "Denied, new"))
    head = f"<tr><th>Campaign</th><th>Kind</th>{named}</tr>"
    return f"<section><h2>Campaigns</h2><table><thead>{head}</thead>{rows}</table></section>" if rows else ""


def _rules(told: WhatIf) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{escape(old)}</td><td>{escape(new)}</td></tr>"
        for name, old, new in told.comparison.rules
    )
    if not rows:
        return "<section><h2>Rules</h2><p>Both policies have the same rules.</p></section>"
    head = f"<tr><th>Rule</th><th>{escape(told.old.version)}</th><th>{escape(told.new.version)}</th></tr>"
    return f"<section><h2>Rules that differ</h2><table><thead>{head}</thead>{rows}</table></section>"
