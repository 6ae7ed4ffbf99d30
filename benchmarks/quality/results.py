"""The page of a run: acceptance, scenarios, rivals, and their curves."""

import platform
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from itertools import groupby
from math import inf
from pathlib import Path
from typing import TypedDict

import msgspec

from benchmarks.quality.acceptance import per_thousand, percent, seconds, verdicts
from benchmarks.quality.charts import delay_chart, recall_chart
from benchmarks.quality.comparison import BUDGET, Standing
from benchmarks.quality.measures import Interval, Outcome, counted_days, false_entries, quantile, rate, wilson
from stream_app.detection.scorers import SCORER, SCORER_VERSION

_LIBRARIES = ("river", "numpy", "scipy", "msgspec")


class Said(TypedDict):
    """What was asked for: seeds, those of the tuning, scale and the policy's version."""

    seeds: Sequence[int]
    tuning: Sequence[int]
    scale: float
    policy: str


def write(folder: Path, outcomes: Sequence[Outcome], standings: Sequence[Standing], said: Said) -> None:
    """Write quality.jsonl (a line about the run, then one per stream), quality.md and its charts."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{"kind": "run", **said}, *({"kind": "stream", **msgspec.to_builtins(one)} for one in outcomes)]
    (folder / "quality.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    charts = {"quality-delay.svg": delay_chart(outcomes)}
    if standings:
        charts["quality-recall.svg"] = recall_chart(standings)
    for name, chart in charts.items():
        (folder / name).write_text(chart, encoding="utf-8")
    (folder / "quality.md").write_text(page(outcomes, standings, said), encoding="utf-8")


def page(outcomes: Sequence[Outcome], standings: Sequence[Standing], said: Said) -> str:
    """The whole as Markdown."""
    parts = [
        "# Quality of per-tenant detection",
        "",
        "Made-up, labelled streams and real clients' curves, judged by the core under the default policy, enforced: "
        "what it denies is denied, and clients react to that. Times are event time. A false decision is an entry onto "
        "a rung (no renewal) outside an anomaly; observe denies nothing. Intervals are 95 %: Wilson's for shares, "
        "exact Poisson for rates, bootstrapped for quantiles.",
        "",
        "## Acceptance",
        "",
        *_acceptance(outcomes),
        "",
        "## Found, and how soon",
        "",
        "Delays are from the tenth excess request to the first decision of any kind, and to the first that denies; an "
        "anomaly that was not found counts as infinitely late.",
        "",
        "![Delay of the first decision after the tenth excess request](quality-delay.svg)",
        "",
        *_found(outcomes),
        "",
        "## False decisions",
        "",
        *_false(outcomes),
    ]
    if standings:
        parts += ["", "## Rivals", "", *_rivals(standings)]
    parts += ["", "## Cost", "", *_cost(outcomes), "", "## How it was measured", "", *_circumstances(said), ""]
    return "\n".join(parts)


def _acceptance(outcomes: Sequence[Outcome]) -> list[str]:
    rows = [
        f"| {v.asked} | {v.measured} | {({True: 'met', False: '**not met**', None: 'cannot say'})[v.is_met]} |"
        for v in verdicts(outcomes)
    ]
    return ["| Asked | Measured | |", "|---|---|---|", *rows]


def _found(outcomes: Sequence[Outcome]) -> list[str]:
    rows = [
        "| Scenario | Anomaly | Found | Denied | Delay p50 | p99 | To denial p50 | p99 |",
        "|---|---|---|---|--:|--:|--:|--:|",
    ]
    for scenario, group in groupby(outcomes, key=lambda outcome: outcome.scenario):
        found = [one for outcome in group for one in outcome.found]
        for family in dict.fromkeys(one.family for one in found):
            mine = [one for one in found if one.family == family]
            times = [one.tenth_s for one in mine], [one.acted_s for one in mine]
            hits, acted = (sum(at < inf for at in column) for column in times)
            delays = [seconds(quantile(column, share).value) for column in times for share in (0.5, 0.99)]
            shares = f"{hits} of {len(mine)}, {percent(wilson(hits, len(mine)))} | {acted} of {len(mine)}"
            rows.append(f"| {scenario} | {family} | {shares} | {' | '.join(delays)} |")
    return rows


def _false(outcomes: Sequence[Outcome]) -> list[str]:
    rows = [
        "| Scenario | Tenants | Tenant-days | Observe | Throttle | Block | Any, per 1,000 tenant-days "
        "| Throttle and block | Precision |",
        "|---|---|--:|--:|--:|--:|---|---|---|",
    ]
    for scenario, streams in groupby(outcomes, key=lambda outcome: outcome.scenario):
        ran = list(streams)
        true, false = sum(outcome.true_entries for outcome in ran), false_entries(ran, None)
        precision = percent(wilson(true, true + false)) if any(outcome.found for outcome in ran) else "-"
        for family in dict.fromkeys(family for outcome in ran for family in outcome.groups):
            mine = [outcome.groups[family] for outcome in ran if family in outcome.groups]
            days = sum(one.days for one in mine)
            counts = [sum(one.false[action] for one in mine) for action in ("observe", "throttle", "block")]
            rates = (_bare(rate(count, days / 1_000)) for count in (sum(counts), sum(counts[1:])))
            cells = f"{days:,.0f} | {' | '.join(map(str, counts))} | {' | '.join(rates)} | {precision}"
            rows.append(f"| {scenario} | {family} ({sum(one.tenants for one in mine)}) | {cells} |")
            precision = ""  # the whole scenario's, told once
    days, total = counted_days(outcomes), false_entries(outcomes, None)
    acted = false_entries(outcomes, ("throttle", "block"))
    rows += [
        "",
        f"All together: {total} false decisions in {days:,.0f} tenant-days, {per_thousand(rate(total, days / 1_000))}; "
        f"throttles and blocks {per_thousand(rate(acted, days / 1_000))}. Precision is the share of a scenario's "
        "entries that belong to an anomaly.",
        "",
        *_false_reasons(outcomes),
    ]
    return rows


def _false_reasons(outcomes: Sequence[Outcome]) -> list[str]:
    """What led to false decisions, where there are any."""
    rows = []
    for scenario, streams in groupby(outcomes, key=lambda outcome: outcome.scenario):
        reasons = sum((outcome.false_reasons for outcome in streams), start=Counter[str]())
        if reasons:
            told = ", ".join(f"`{code}` {count}" for code, count in reasons.most_common())
            rows.append(f"- First reasons of the false decisions of *{scenario}*: {told}")
    return rows


def _bare(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"


def _rivals(standings: Sequence[Standing]) -> list[str]:
    families = list(dict.fromkeys(one.family.partition(",")[0] for one in standings[0].alarmed))
    rows = [
        f"Each rival's threshold is the lowest that costs it {BUDGET:g} false alarm per 1,000 tenant-days on the "
        "tuning seeds, over all scenarios; alarms of one tenant in hours in a row are one a day. Shares of anomalies "
        "found, while they last:",
        "",
        "![False alarms per 1,000 tenant-days against the share of anomalies found](quality-recall.svg)",
        "",
        "| | " + " | ".join(one.name for one in standings) + " |",
        "|---|" + "--:|" * len(standings),
        "| threshold | " + " | ".join(one.threshold for one in standings) + " |",
        "| false alarms per 1,000 tenant-days | "
        + " | ".join(_bare(rate(one.false, one.days / 1_000)) for one in standings)
        + " |",
    ]
    for family in [*families, None]:
        cells = []
        for standing in standings:
            mine = [one.tenth_s for one in standing.alarmed if family in {None, one.family.partition(",")[0]}]
            hits = sum(at < inf for at in mine)
            cells.append(f"{hits} of {len(mine)}" if family else percent(wilson(hits, len(mine))))
        rows.append(f"| {family or 'all anomalies'} | " + " | ".join(cells) + " |")
    for share in (0.5, 0.99):
        cells = [
            seconds(quantile([one.tenth_s for one in s.alarmed if one.family.startswith("50x")], share).value)
            for s in standings
        ]
        rows.append(f"| delay p{100 * share:.0f} of 50x bursts | " + " | ".join(cells) + " |")
    return rows


def _cost(outcomes: Sequence[Outcome]) -> list[str]:
    rows = ["| Scenario | Events | CPU µs per event | State bytes p50 | p99 |", "|---|--:|--:|--:|--:|"]
    for scenario, group in groupby(outcomes, key=lambda outcome: outcome.scenario):
        ran = list(group)
        events = sum(one.events for one in ran)
        us = sum(one.us_per_event * one.events for one in ran) / max(1, events)
        sizes = f"{max(one.state_bytes_p50 for one in ran):,.0f} | {max(one.state_bytes_p99 for one in ran):,.0f}"
        rows.append(f"| {scenario} | {events:,} | {us:.0f} | {sizes} |")
    return [
        *rows,
        "",
        "CPU time includes making the events and the limiter in front; slow tenants have a minute to close per event.",
    ]


def _circumstances(said: Said) -> list[str]:
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    seeds = ", ".join(map(str, said["seeds"]))
    tuning = ", ".join(map(str, said["tuning"]))
    return [
        f"Seeds {seeds}, at scale {said['scale']}; thresholds were chosen on seeds {tuning}. "
        f"Stillwatch {version('stillwatch')} (scorer {SCORER} {SCORER_VERSION}, policy {said['policy']}), "
        f"Python {platform.python_version()}, {libraries}, {platform.system()} on {platform.machine()}, one core.",
        "",
        "The streams are described where they are made, in `benchmarks/quality/`. What they make too easy: people and "
        "services keep one habit for as long as the stream lasts, sizes of requests are lognormal, and every anomaly "
        "begins at once. Real clients' curves hold counts of ten minutes and the distribution of gaps; requests are "
        "drawn from them, one constant share per client.",
    ]
