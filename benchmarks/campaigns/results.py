"""The page of the results that are there, and what is missing of it."""

import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from benchmarks.campaigns.acceptance import Told, asked_lines
from benchmarks.campaigns.charts import Points, chart
from benchmarks.campaigns.outcomes import MMD, STILLWATCH, Outcome
from benchmarks.campaigns.plans import ACCOUNTS, MISSING, MIXES, REGIMES, SIZES, plans_at
from stream_app.simulate.campaigns.links import LINKS
from stream_app.simulate.campaigns.scenarios import CAMPAIGN_SHARE

Share = tuple[float, float | None]

_EXPLAINED = """\
Labelled streams of [DistillBench](../../docs/distillbench.md) with every hard negative, judged by the whole product
under the default policy, enforced. Cells are means over seeds, in brackets the lowest and the highest. *Members* are
watched, the *act set* is slowed down or challenged, the *block set* blocked: recall over accounts that have sent an
extraction request by the end, then precision. *In time*: until ten minutes after the campaign's half extraction request
per account (which is the 5,000th of 10,000 accounts), of the accounts begun by then; *next day*: the act set a day
later. Delays are hours of event time, from the campaign's first extraction request and from half a request per
account, of those found; negative ones are earlier: links may show before any extraction. *Harm*: benign tenants
throttled, challenged or blocked per 100,000, without harm budgets and with them. A campaign is *found* by a verdict,
not by a cohort for a person."""

_SMALL = """\
The figures are asked of 10,000 accounts among 100,000 tenants. The worst seed decides. A small campaign has the same
share of the tenants and as many requests an account, but fewer accounts to show what they share: a cell here says how a
change moves a figure, not whether the large one is met."""

_RIVALS = """\
Every rival sees the same events, and whomever it names is taken as acted on. In each cell: share of the campaign's
accounts named; benign tenants touched per 100,000. Stillwatch's members are only watched; its second column is of those
whom a decision denies something. The rivals' thresholds were settled on the tuning seeds."""


def write(folder: Path, told: Sequence[Outcome], size: str, seeds: Sequence[int]) -> None:
    """Write campaigns.md and its curves."""
    by_plan = _by_plan(told)
    for name, lines in _curves(by_plan, size).items():
        if any(lines[1].values()):
            is_log = name != "missing"
            (folder / f"campaigns-{name}.svg").write_text(chart(lines[0], lines[1], is_log=is_log), encoding="utf-8")
    (folder / "campaigns.md").write_text(page(told, size, seeds), encoding="utf-8")


def page(told: Sequence[Outcome], size: str, seeds: Sequence[int]) -> str:
    """The whole as Markdown."""
    by_plan = _by_plan(told)
    parts = ["# Campaigns", "", *_circumstances(told, size, seeds), "", _EXPLAINED]
    parts += ["", "## Asked and reached", "", _SMALL if size == "small" else "", "", *asked_lines(by_plan)]
    for table, title in _TITLES.items():
        plans = [plan for plan in plans_at(SIZES[size]) if plan.table == table]
        rows = [(plan.name, by_plan[plan.key, STILLWATCH]) for plan in plans if (plan.key, STILLWATCH) in by_plan]
        if rows:
            parts += ["", f"## {title}", "", *_picture(table, by_plan, size), *_table(rows)]
            parts += ["", *_matrix(by_plan)] if table == "ablations" else []
    if any(detector != STILLWATCH for _, detector in by_plan):
        parts += ["", "## Rivals", "", _RIVALS, "", *_rivals(by_plan, size), "", *_windows(by_plan, size)]
    return "\n".join([*parts, "", "## Missing", "", *_missing(by_plan, size, seeds), ""])


_TITLES = {
    "regimes": "Links and mix",
    "worlds": "No campaign, and four at once",
    "evasions": "Evasions",
    "missing": "Missing fields",
    "sizes": "Sizes",
    "ablations": "Without one link, without two",
    "families": "Families",
}


def _circumstances(told: Sequence[Outcome], size: str, seeds: Sequence[int]) -> list[str]:
    tenants, days = SIZES[size].tenants, SIZES[size].days
    commits = ", ".join(sorted({one.commit for one in told})) or "none"
    events = sum(one.events for one in told if one.detector == STILLWATCH)
    times = [one.cpu_s for one in told if one.cpu_s is not None]
    return [
        f"This is the **{size}** size: {tenants:,} ordinary tenants over {days:g} days, a campaign of "
        f"{tenants * CAMPAIGN_SHARE:,.0f} accounts unless a row says otherwise. Seeds {', '.join(map(str, seeds))}; "
        f"detection core of commit {commits}; {len(times)} of its streams, {events:,} events; the product took "
        f"{sum(times) / max(len(times), 1):.0f} s of CPU a stream (Python {platform.python_version()}). "
        "Again: `python -m benchmarks.campaigns`; `--size large` is 100,000 tenants, hours a stream.",
    ]


def _table(rows: Iterable[tuple[str, list[Outcome]]]) -> list[str]:
    lines = [
        "| | Seeds | Found | False, fragmented, merged | Cohorts | Members | In time | Act set | In time | Next day "
        "| Block set | First alert, h | From half a request, h | Heirs | Harm before, after |",
        "|---|--:|--:|---|--:|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, ran in rows:
        found = f"{sum(one.found or 0 for one in ran)} of {sum(one.campaigns for one in ran)}"
        wrong = ", ".join(
            str(sum(getattr(one, what) or 0 for one in ran)) for what in ("false", "fragmented", "merged")
        )
        cells = [
            name,
            str(len(ran)),
            found,
            wrong,
            f"{sum(one.cohorts or 0 for one in ran) / len(ran):.0f}",
            *(_set(ran, "member"), _range(ran, lambda one: one.in_time), _set(ran, "act")),
            *(_range(ran, lambda one: one.act_in_time), _range(ran, lambda one: one.act_next_day), _set(ran, "block")),
            *(_hours(ran, lambda one: one.delay_h), _hours(ran, lambda one: one.delay_half_h)),
            _range(ran, lambda one: one.heirs),
            f"{_per_100k(ran, 'touched_before')}, {_per_100k(ran, 'touched')}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _matrix(by_plan: Told) -> list[str]:
    """Members' recall without the link of the row and that of the column."""
    lines = ["Members found, without the row's link and the column's:", "", f"| | {' | '.join(LINKS)} |"]
    lines.append("|---|" + "--:|" * len(LINKS))
    for one in LINKS:
        cells = []
        for other in LINKS:
            pair = sorted((one, other), key=LINKS.index)
            name = one if one == other else ", ".join(pair)
            ran = by_plan.get((f"ablations/{name}", STILLWATCH), [])
            cells.append(_range(ran, lambda each: each.member[0] if each.member else None))
        lines.append(f"| {one} | {' | '.join(cells)} |")
    return lines


def _rivals(by_plan: Told, size: str) -> list[str]:
    detectors = list(dict.fromkeys(name for _, name in by_plan if name not in {STILLWATCH, MMD}))
    plans = [plan for plan in plans_at(SIZES[size]) if any((plan.key, name) in by_plan for name in detectors)]
    lines = [
        f"| | Stillwatch, members | Stillwatch, denied | {' | '.join(detectors)} |",
        "|---|" + "--:|" * (len(detectors) + 2),
    ]
    for plan in plans:
        own = by_plan.get((plan.key, STILLWATCH), [])
        cells = [
            f"{_range(own, lambda one: one.member[0] if one.member else None)}",
            *(_named(ran) for ran in (own, *(by_plan.get((plan.key, name), []) for name in detectors))),
        ]
        lines.append(f"| {plan.name} | {' | '.join(cells)} |")
    return lines


def _windows(by_plan: Told, size: str) -> list[str]:
    """A rival that names nobody."""
    lines = [
        "MMD over windows of 1,500 prompts names no account. Share of windows that it calls odd, before the campaign's "
        "first extraction request and from then on:",
        "",
        "| | Before | From then on |",
        "|---|--:|--:|",
    ]
    for plan in plans_at(SIZES[size]):
        if ran := by_plan.get((plan.key, MMD), []):
            cells = (_range(ran, lambda one: one.odd_before), _range(ran, lambda one: one.odd))
            lines.append(f"| {plan.name} | {' | '.join(cells)} |")
    return lines


def _missing(by_plan: Told, size: str, seeds: Sequence[int]) -> list[str]:
    """Rows of which a seed was not run."""
    lines = []
    for table in _TITLES:
        left: dict[int, list[str]] = defaultdict(list)
        for plan in plans_at(SIZES[size]):
            if plan.table == table:
                ran = {one.seed for one in by_plan.get((plan.key, STILLWATCH), [])}
                for seed in seeds:
                    if seed not in ran:
                        left[seed].append(plan.name)
        lines += [f"- {table}, seed {seed}: {'; '.join(names)}" for seed, names in left.items()]
    return lines or ["Nothing: every row ran on every seed."]


def _picture(table: str, by_plan: Told, size: str) -> list[str]:
    curve = {"regimes": "mix", "sizes": "size", "missing": "missing"}.get(table)
    if curve is None:
        return []
    title, lines = _curves(by_plan, size)[curve]
    return [f"![{title}](campaigns-{curve}.svg)", ""] if any(lines.values()) else []


def _curves(by_plan: Told, size: str) -> dict[str, tuple[str, dict[str, Points]]]:
    usual = round(SIZES[size].tenants * CAMPAIGN_SHARE)
    mixes: dict[str, Points] = {}
    sizes: dict[str, Points] = {}
    for regime in REGIMES:
        for what, name in (("member", "members"), ("act", "act set")):
            keys = [(mix, f"regimes/{regime}, mix {mix} %") for mix in sorted(MIXES)]
            mixes[f"{regime} links, {name}"] = _points(by_plan, keys, what)
            if regime != "all":
                counts = sorted({*ACCOUNTS, usual})
                named = [
                    (count, f"regimes/{regime}, mix 10 %" if count == usual else f"sizes/{regime}, {count:,} accounts")
                    for count in counts
                ]
                sizes[f"{regime} links, {name}"] = _points(by_plan, named, what)
    fields = [(0, "regimes/half, mix 10 %"), *((share, f"missing/{share} % of fields") for share in MISSING)]
    missing = {
        name: _points(by_plan, fields, what)
        for what, name in (("member", "members"), ("act", "act set"), ("block", "block set"))
    }
    return {
        "mix": ("Recall by the percentage of requests that extract", mixes),
        "size": ("Recall by the campaign's accounts", sizes),
        "missing": ("Recall by the percentage of further fields missing", missing),
    }


def _points(by_plan: Told, keys: Iterable[tuple[float, str]], what: str) -> Points:
    points = []
    for x, key in keys:
        found = [one[0] for ran in by_plan.get((key, STILLWATCH), []) if (one := getattr(ran, what))]
        if found:
            points.append((x, sum(found) / len(found)))
    return points


def _by_plan(told: Iterable[Outcome]) -> Told:
    """Newest lines last in the file: of one stream and detector the last counts."""
    newest = {(one.plan, one.seed, one.detector): one for one in told}
    by_plan: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for one in newest.values():
        by_plan[one.plan, one.detector].append(one)
    return dict(by_plan)


def _named(ran: Sequence[Outcome]) -> str:
    recall = _range(ran, lambda one: one.named[0] if one.named else None)
    return f"{recall}; {_per_100k(ran, 'touched')}"


def _set(ran: Sequence[Outcome], what: str) -> str:
    sets = [getattr(one, what) for one in ran if getattr(one, what)]
    recall = _range(ran, lambda one: (getattr(one, what) or (None,))[0])
    right = [one[1] for one in sets if one[1] is not None]
    return f"{recall}; {sum(right) / len(right):.1%}" if right else recall


def _range(ran: Sequence[Outcome], value: Callable[[Outcome], float | None]) -> str:
    known = [share for one in ran if (share := value(one)) is not None]
    if not known:
        return "-"
    mean = f"{sum(known) / len(known):.0%}"
    return mean if len(known) == 1 else f"{mean} ({min(known):.0%} to {max(known):.0%})"


def _hours(ran: Sequence[Outcome], value: Callable[[Outcome], float | None]) -> str:
    known = [hours for one in ran if (hours := value(one)) is not None]
    if not known:
        return "never" if any(one.campaigns for one in ran) else "-"
    mean = f"{sum(known) / len(known):.1f}"
    return mean if len(known) == 1 else f"{mean} ({min(known):.1f} to {max(known):.1f})"


def _per_100k(ran: Sequence[Outcome], what: str) -> str:
    benign = sum(one.benign for one in ran)
    return f"{100_000 * sum(getattr(one, what) for one in ran) / benign:,.0f}" if benign else "-"
