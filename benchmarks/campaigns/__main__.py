"""Campaigns: ``python -m benchmarks.campaigns [--size large] [--rows TEXT ...] [--seeds N ...] [--out FOLDER]``.

Labelled streams are judged by the whole product under the default policy, enforced, and by rivals. One process a
stream; what is done goes to campaigns.jsonl at once, and is not done again for the same version of the core, so that a
run may be broken off and taken up. The page is drawn from what is there, and says what is missing.
Whoever changes the detector looks at the tuning seeds only.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from benchmarks.campaigns.outcomes import Outcome, outcomes
from benchmarks.campaigns.plans import REPORTED_SEEDS, SIZES, TABLES, TUNING_SEEDS, Plan, plans_at
from benchmarks.campaigns.results import page, write

OUT = Path("out/campaigns")
FILE = "campaigns.jsonl"
SHORT_ROWS = "regimes/half, mix 10"

Job = tuple[Plan, int]


def main() -> int:
    """Run; exit status 1 when a stream failed or the results have a bad line, 2: bad arguments, 130: broken off."""
    args = _arguments()
    console = Console(stderr=True)
    args.out.mkdir(parents=True, exist_ok=True)
    path, commit = args.out / FILE, core_commit()
    try:
        known = read(path)
    except msgspec.MsgspecError as error:
        console.print(f"{path}: {error}", markup=False, soft_wrap=True)
        return 1
    done = {(one.plan, one.seed) for one in known if one.size == args.size and one.commit == commit}
    jobs = [
        (plan, seed)
        for plan in plans_at(SIZES[args.size])
        for seed in args.seeds
        if any(text in plan.key for text in args.rows) and (plan.key, seed) not in done
    ]
    try:
        failed = [] if args.draw else _run(jobs, args, commit, path, console)
    except KeyboardInterrupt:
        return 130
    for message in failed:
        console.print(message, markup=False, soft_wrap=True)
    told = [one for one in read(path) if one.size == args.size and one.seed in args.seeds]
    write(args.out, told, args.size, args.seeds)
    Console(soft_wrap=True, markup=False, highlight=False).print(page(told, args.size, args.seeds))
    return 1 if failed else 0


def read(path: Path) -> list[Outcome]:
    """Lines of a file of results, none when there is no file; raises ``MsgspecError`` at a bad one."""
    if not path.exists():
        return []
    return msgspec.json.Decoder(Outcome).decode_lines(path.read_bytes())


def core_commit() -> str:
    """The last change of the detection core: results of another one are not these."""
    root = Path(__file__).parents[2]
    told = subprocess.run(
        ["git", "log", "-1", "--format=%h", "--", "stream_app/detection"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    return told.stdout.strip() or "unknown"


def _run(jobs: Sequence[Job], args: argparse.Namespace, commit: str, path: Path, console: Console) -> list[str]:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    failed = []
    pool = ProcessPoolExecutor(args.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with pool, Progress(*columns, console=console, refresh_per_second=1) as bars, path.open("ab") as file:
        task = bars.add_task("streams", total=len(jobs))
        running: dict[Future[list[Outcome]], Job] = {
            pool.submit(outcomes, plan, seed, args.size, commit, rivals=plan.has_rivals and not args.no_rivals): (
                plan,
                seed,
            )
            for plan, seed in jobs
        }
        try:
            for plan, seed, told in _finished(running):
                bars.update(task, advance=1, description=f"{plan.key}, seed {seed}")
                if isinstance(told, str):
                    failed.append(told)
                else:
                    file.write(msgspec.json.Encoder().encode_lines(told))
                    file.flush()
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return failed


def _finished(running: dict[Future[list[Outcome]], Job]) -> Iterator[tuple[Plan, int, list[Outcome] | str]]:
    for future in as_completed(running):
        plan, seed = running[future]
        error = future.exception()
        yield plan, seed, future.result() if error is None else f"{plan.key}, seed {seed}: {error!r}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.campaigns", description="What is found of campaigns.")
    parser.add_argument(
        "--size",
        choices=SIZES,
        default="small",
        help="medium: ten minutes a stream; large: hours",
    )
    parser.add_argument(
        "--rows", nargs="+", default=[""], metavar="TEXT", help=f"those of which it is part, as regimes/half; {TABLES}"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, metavar="N", help=f"default: {REPORTED_SEEDS} (tuning: {TUNING_SEEDS})"
    )
    parser.add_argument(
        "--short", action="store_true", help="some five minutes: the plainest rows on the first tuning seed"
    )
    parser.add_argument("--draw", action="store_true", help="no new streams: the page from the results that are there")
    parser.add_argument("--no-rivals", action="store_true", help="the product alone")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="streams at a time (default: 1)")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help=f"default: {OUT}")
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")
    for text in args.rows:
        if not any(text in plan.key for plan in plans_at(SIZES[args.size])):
            parser.error(f"--rows {text!r}: no row of size {args.size} has this in its name")
    if args.short:
        args.rows = [SHORT_ROWS]
        args.seeds = args.seeds or TUNING_SEEDS[:1]
    args.seeds = tuple(args.seeds or REPORTED_SEEDS)
    return args


if __name__ == "__main__":
    sys.exit(main())
