"""Quality of detection: ``python -m benchmarks.quality [--seeds N ...] [--scenario NAME ...] [--out FOLDER]``.

Labelled streams of all scenarios are judged by the core under the default policy, enforced, and what it denies is
denied; then by rivals. Prints the acceptance table; with ``--out`` writes quality.jsonl, quality.md and its charts.
Without ``--seeds`` the reported seeds run. Whoever changes the detector looks at tuning seeds only.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.quality import drifts, real_curves, storms, surges
from benchmarks.quality.acceptance import verdicts
from benchmarks.quality.closed_loops import judge
from benchmarks.quality.comparison import Seen, Standing, compare, own_standings, see
from benchmarks.quality.measures import Outcome, assess
from benchmarks.quality.results import Said, write
from stream_app.detection.policy import Policy, load_policy
from stream_app.policies import DEFAULT_POLICY

TUNING_SEEDS = (101, 102)
REPORTED_SEEDS = (211, 212, 213)
#: Every stream of a scenario by seed and scale.
SCENARIOS = {
    "burst": surges.bursts,
    "outage": storms.outage,
    "extraction": drifts.extraction,
    "ramp": drifts.ramps,
    "growth 10 %": drifts.growth,
    "growth 3 %": drifts.slow_growth,
    "real curves": real_curves.real_curves,
    "gap": storms.gap,
    "first day": drifts.first_days,
    "pushing": surges.pushing,
    "account": surges.runaway_accounts,
    "jailbreak": surges.jailbreaks,
    "calm": drifts.calm,
    "hard cases": drifts.hard_cases,
}
SHORT_SCALE = 0.2
_NAMES = ", ".join(SCENARIOS).replace("%", "%%")  # argparse formats help texts


def main() -> int:
    """Run; exit status 2 when the arguments make no sense, 130 when interrupted."""
    args = _arguments()
    console = Console(stderr=True)
    chosen = list(args.scenario or SCENARIOS)
    if "real curves" in chosen and real_curves.MISSING:
        console.print(f"without real curves: {real_curves.MISSING}", markup=False, soft_wrap=True)
        chosen.remove("real curves")
    policy = enforced_policy()
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeElapsedColumn()
    try:
        with Progress(*columns, console=console, refresh_per_second=2) as bars:
            task = bars.add_task("", total=None)
            outcomes, standings = _run(chosen, args, policy, bars, task)
    except KeyboardInterrupt:
        return 130
    _print(outcomes)
    if args.out:
        write(args.out, outcomes, standings, _said(args, policy))
    return 0


def enforced_policy() -> Policy:
    """The default policy, but enforced."""
    policy = load_policy(DEFAULT_POLICY.read_text(), DEFAULT_POLICY.name)
    return policy.model_copy(update={"mode": "enforced"})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description="Quality of detection.")
    parser.add_argument(
        "--seeds", nargs="+", type=int, metavar="N", help=f"default: {REPORTED_SEEDS} (tuning: {TUNING_SEEDS})"
    )
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, metavar="NAME", help=_NAMES)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies the tenants")
    parser.add_argument(
        "--short", action="store_true", help=f"a minute: first tuning seed, scale {SHORT_SCALE}, no rivals"
    )
    parser.add_argument("--no-rivals", action="store_true", help="the detector alone")
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    if args.scale <= 0:
        parser.error("--scale must be above 0")
    if args.short:
        args.scale, args.no_rivals = SHORT_SCALE, True
        args.seeds = args.seeds or TUNING_SEEDS[:1]
    args.seeds = tuple(args.seeds or REPORTED_SEEDS)
    return args


def _run(
    chosen: Sequence[str], args: argparse.Namespace, policy: Policy, bars: Progress, task: TaskID
) -> tuple[list[Outcome], list[Standing]]:
    outcomes: list[Outcome] = []
    seen: tuple[list[Seen], list[Seen]] = ([], [])
    tuning = () if args.no_rivals else TUNING_SEEDS
    for scenario, seed in product(chosen, dict.fromkeys((*tuning, *args.seeds))):
        bars.update(task, description=f"{scenario}, seed {seed}", completed=0, total=None)
        stream = SCENARIOS[scenario](seed, args.scale)
        if seed in args.seeds:
            for judged in judge(stream, policy):
                bars.update(task, completed=judged.events, total=len(stream.rows))
            outcomes.append(assess(stream, judged))
        if not args.no_rivals:
            bars.update(task, description=f"{scenario}, seed {seed}, rivals", total=None)
            told = see(stream)
            for place in range(2):
                if seed in (tuning, args.seeds)[place]:
                    seen[place].append(told)
    return outcomes, [*own_standings(outcomes), *compare(*seen)] if seen[1] else []


def _print(outcomes: Sequence[Outcome]) -> None:
    table = Table("asked", "measured", "")
    for verdict in verdicts(outcomes):
        met = {True: "met", False: "NOT MET", None: "not said"}[verdict.is_met]
        table.add_row(verdict.asked, verdict.measured, met)
    Console().print(table)


def _said(args: argparse.Namespace, policy: Policy) -> Said:
    return {"seeds": args.seeds, "tuning": TUNING_SEEDS, "scale": args.scale, "policy": policy.version}


if __name__ == "__main__":
    sys.exit(main())
