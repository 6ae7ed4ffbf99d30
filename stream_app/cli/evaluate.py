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
    console = Console()
    run = f"{scores.scenario} seed {scores.seed} scale {scores.scale:g}"
    counts = f"{scores.false} false, {scores.fragmented} fragmented, {scores.merged} merged"
    others = f"{scores.allowed} under contract, {scores.cohorts} cohorts"
    found = f"{scores.found} of {scores.campaigns} campaigns found"
    console.print(f"{run}: {found}, {counts}, {others}", highlight=False)
    for score in scores.per_campaign:
        console.print(_campaign_table(score))
    harm = scores.harm
    table = Table(title=f"benign tenants ({harm.benign_tenants:,})", title_justify="left")
    for name in (
        "throttled",
        "challenged",
        "blocked",
        "touched",
        "by campaigns",
        "touched per 100,000",
        "allow-listed",
    ):
        table.add_column(name, justify="right")
    tenants = (harm.throttled, harm.challenged, harm.blocked, harm.touched, harm.by_campaigns)
    table.add_row(*map(str, tenants), f"{harm.touched_per_100k:.1f}", str(harm.allow_listed_touched))
    console.print(table)
    for subject in scores.subjects:
        seen = "not denied" if subject.delay_s is None else f"denied {subject.delay_s:,.1f} s after its onset"
        console.print(f"{subject.name} {subject.tenant_id}: {seen}", highlight=False)


def _campaign_table(score: CampaignScore) -> Table:
    found = f"found as {', '.join(score.campaign_ids)} ({', '.join(score.kinds)})" if score.is_found else "not found"
    title = f"{score.campaign}, {score.accounts:,} accounts: {found}"
    table = Table(title=title, title_justify="left")
    for name in ("set", "accounts", "recall", "precision"):
        table.add_column(name, justify="left" if name == "set" else "right")
    for name, of_set in (("member", score.member), ("act", score.act), ("block", score.block)):
        table.add_row(name, *_cells(of_set))
    delays = {
        "after the first extraction": score.delay_s,
        "after the 5,000th": score.delay_counted_s,
        "first alarm of any kind": score.alarm_delay_s,
    }
    told = [f"{delay / 60:,.0f} min {name}" for name, delay in delays.items() if delay is not None]
    told.append(f"denied {score.denied_recall:.1%}, blocked {score.blocked_recall:.1%}")
    shares = {"members in time": score.in_time_recall, "heirs linked": score.heirs_recall}
    told += [f"{name} {share:.1%}" for name, share in shares.items() if share is not None]
    table.caption = "; ".join(told)
    table.caption_justify = "left"
    return table


def _cells(of_set: SetScore) -> tuple[str, str, str]:
    precision = "-" if of_set.precision is None else f"{of_set.precision:.2%}"
    return f"{of_set.accounts:,}", f"{of_set.recall:.2%}", precision
