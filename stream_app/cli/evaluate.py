"""``stillwatch evaluate``: what a detector reported, scored against a stream's labels."""

import sys
from pathlib import Path

import click
import orjson
from msgspec import to_builtins
from rich.console import Console
from rich.table import Table

from stream_app.evaluation import Decision, Label, Report, Scores
from stream_app.evaluation import evaluate as scored
from stream_app.evaluation.records import UnreadableError, read_lines, read_scenario
from stream_app.evaluation.scores import CampaignScore, SetScore

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("folder", metavar="DIR", type=FILE)
@click.option("--decisions", type=FILE, help="Decisions of the run, as `replay` writes them.")
@click.option("--campaigns", type=FILE, help="Campaigns of the run, as `replay` writes them.")
@click.option("--json", "as_json", is_flag=True, help="Write the scores as one JSON object.")
def evaluate(folder: Path, decisions: Path | None, campaigns: Path | None, *, as_json: bool) -> None:
    """Score decisions and campaigns against the labels of a stream.

    DIR holds labels.jsonl and scenario.json, as `generate` writes them.
    """
    if decisions is None and campaigns is None:
        raise click.UsageError("nothing to score: give --decisions, --campaigns or both")
    console = Console(stderr=True)
    try:
        with console.status("reading", spinner="dots"):
            scores = scored(
                read_lines(folder / "labels.jsonl", Label),
                read_scenario(folder / "scenario.json"),
                read_lines(campaigns, Report) if campaigns else (),
                read_lines(decisions, Decision) if decisions else (),
            )
    except UnreadableError as error:
        click.echo(str(error), err=True)
        sys.exit(1 if error.is_content else 2)
    if as_json:
        click.echo(orjson.dumps(to_builtins(scores)))
    else:
        _show(scores)


def _show(scores: Scores) -> None:
    console = Console(markup=False, highlight=False, soft_wrap=True)
    run = f"{scores.scenario} seed {scores.seed} scale {scores.scale:g}"
    counts = f"{scores.false} false, {scores.fragmented} fragmented, {scores.merged} merged"
    others = f"{scores.allowed} under contract, {scores.cohorts} cohorts"
    found = f"{scores.found} of {scores.campaigns} campaigns found"
    console.print(f"{run}: {found}, {counts}, {others}")
    for score in scores.per_campaign:
        found = (
            f"found as {', '.join(score.campaign_ids)} ({', '.join(score.kinds)})" if score.is_found else "not found"
        )
        console.print(f"\n{score.campaign}, {score.accounts:,} accounts: {found}")
        console.print(_campaign_table(score))
        console.print("; ".join(_told(score)))
    harm = scores.harm
    console.print(
        f"\nbenign tenants: {harm.touched} of {harm.benign_tenants:,} touched "
        f"({harm.touched_per_100k:.1f} per 100,000): "
        f"{harm.throttled} throttled, {harm.challenged} challenged, {harm.blocked} blocked; "
        f"{harm.by_campaigns} of them by campaigns, {harm.allow_listed_touched} allow-listed",
    )
    for subject in scores.subjects:
        seen = "not denied" if subject.delay_s is None else f"denied {subject.delay_s:,.1f} s after its onset"
        console.print(f"{subject.name} {subject.tenant_id}: {seen}")


def _campaign_table(score: CampaignScore) -> Table:
    table = Table("set", "accounts", "recall", "precision")
    for name, of_set in (("member", score.member), ("act", score.act), ("block", score.block)):
        table.add_row(name, *_cells(of_set))
    return table


def _told(score: CampaignScore) -> list[str]:
    delays = {
        "first alert, after the first extraction": score.delay_s,
        "after the 5,000th": score.delay_counted_s,
        "first alarm of any kind": score.alarm_delay_s,
    }
    told = [f"{name}: {delay / 60:,.0f} min" for name, delay in delays.items() if delay is not None]
    told.append(f"denied {score.denied_recall:.1%}, blocked {score.blocked_recall:.1%}")
    shares = {"members in time": score.in_time_recall, "heirs linked": score.heirs_recall}
    return told + [f"{name} {share:.1%}" for name, share in shares.items() if share is not None]


def _cells(of_set: SetScore) -> tuple[str, str, str]:
    precision = "-" if of_set.precision is None else f"{of_set.precision:.2%}"
    return f"{of_set.accounts:,}", f"{of_set.recall:.2%}", precision
