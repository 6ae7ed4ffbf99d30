"""``stillwatch policy what-if``: what another policy would have done with the same history."""

import time
from pathlib import Path
from typing import Any

import click
import orjson
from msgspec import to_builtins
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stream_app.cli.explanations import refuse
from stream_app.cli.histories import open_history
from stream_app.cli.policy import policy
from stream_app.detection.decisions import Action
from stream_app.detection.policy import Policy, PolicyError, load_policy
from stream_app.evaluation.records import Label, read_lines
from stream_app.evaluation.records import UnreadableError as UnreadableLabelsError
from stream_app.quantities import duration
from stream_app.reports.what_if import WhatIf, figures, notes, render, since, told_subjects, verdict
from stream_app.stories import headline, subject_name
from stream_app.what_if.comparisons import Labels, SubjectChange, compare
from stream_app.what_if.courses import SubjectCourse
from stream_app.what_if.processes import LostProcessError, run_both

PAGE, RESULT = "what-if.html", "what-if.json"
#: Subjects in the terminal's table; the page and the JSON file have more.
_MAX_ROWS = 30


@policy.command("what-if")
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--old", type=click.Path(path_type=Path), help="Policy to compare with; the one in force unless given.")
@click.option(
    "--against",
    required=True,
    multiple=True,
    metavar="EVENTS",
    help="File of events, may be given several times; or kafka://BROKER/?hours=24 (or kafka:// alone).",
)
@click.option("--labels", type=click.Path(path_type=Path), help="Labels of accounts (labels.jsonl): who is benign.")
@click.option("--out", type=click.Path(path_type=Path), help=f"Folder for {PAGE} and {RESULT}; made when missing.")
def what_if(*, new: Path, old: Path | None, against: tuple[str, ...], labels: Path | None, out: Path | None) -> None:
    """Run policy NEW and the old one over the same history, and tell who would be treated differently."""
    if out and out.exists() and not out.is_dir():
        refuse(f"{out}: not a folder")
    new_policy, old_policy = _policy(new), _policy(old) if old else None
    truth = _labels(labels) if labels else None
    began_s = time.perf_counter()
    with open_history(against, "deciding twice") as history:
        before_policy = old_policy or history.told.policy
        try:
            before, after = run_both(
                before_policy,
                new_policy,
                history.values,
                partitions=history.partitions,
                operator_lines=history.told.lines,
            )
        except LostProcessError as error:
            raise click.ClickException(str(error)) from error
    comparison = compare((before_policy, before), (new_policy, after), truth)
    took_s = time.perf_counter() - began_s
    told = WhatIf(history.name, before_policy, new_policy, before, after, comparison, round(took_s, 1))
    _show(told)
    if out:
        _write(told, out)


def _policy(path: Path) -> Policy:
    try:
        return load_policy(path.read_text(encoding="utf-8"), str(path))
    except PolicyError as error:
        refuse(str(error))
    except UnicodeDecodeError:
        refuse(f"{path}: not a UTF-8 text file")
    except OSError as error:
        refuse(f"{path}: {error.strerror or error}")


def _labels(path: Path) -> Labels:
    try:
        labels = list(read_lines(path, Label))
    except UnreadableLabelsError as error:
        refuse(str(error))
    campaign = frozenset(label.tenant_id for label in labels if label.role != "benign")
    return Labels(frozenset(label.tenant_id for label in labels) - campaign, campaign)


def _show(told: WhatIf) -> None:
    console, comparison = Console(soft_wrap=False), told.comparison
    console.print(escape(verdict(told)), highlight=False)
    table = Table("", escape(told.old.version), escape(told.new.version), box=None, pad_edge=False)
    for name, before, after in figures(comparison):
        table.add_row(name, before, after)
    console.print(table)
    if changed := told_subjects(comparison):
        subjects = Table("subject", "change", "old", "new", "since when, how long", "because", box=None, pad_edge=False)
        for one in changed[:_MAX_ROWS]:
            subjects.add_row(*_row(told, one))
        console.print(subjects)
        if len(changed) > _MAX_ROWS:
            console.print(f"{len(changed) - _MAX_ROWS:,} more: --out writes them all", highlight=False)
    for campaign in comparison.campaigns:
        found = campaign.campaign
        console.print(
            f"campaign {escape(found.campaign_id)} ({found.status}), {len(found.members):,} members: "
            f"{campaign.old_denied:,} denied by the old policy, {campaign.new_denied:,} by the new",
            highlight=False,
        )
    for note in notes(told):
        console.print(escape(note), style="dim", highlight=False)
    events = told.after.summary.events
    ratio = comparison.history_s / told.took_s if told.took_s else 0.0
    console.print(
        f"{events:,} events, {duration(comparison.history_s)} of history, by both policies in {told.took_s} s: "
        f"{ratio:,.0f} times real time",
        style="dim",
        highlight=False,
    )


def _row(told: WhatIf, one: SubjectChange) -> tuple[str, ...]:
    name, truth = subject_name(one.cause), told.comparison.truth_of(one.tenant_id)
    shown = f"{name} ({truth})" if truth else name
    because = headline(one.cause).removeprefix(f"{name}: ")
    course = one.new if one.new and one.new.is_denied else one.old
    return tuple(map(escape, (shown, one.change, _action(one.old), _action(one.new), since(course), because)))


def _action(course: SubjectCourse | None) -> str:
    return course.action if course else Action.ALLOW


def _write(told: WhatIf, out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / RESULT).write_bytes(orjson.dumps(_plain(told), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        (out / PAGE).write_text(render(told), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write to {out}: {error.strerror or error}") from error
    click.echo(out / PAGE)


def _plain(told: WhatIf) -> dict[str, Any]:
    comparison = told.comparison
    return {
        "history": told.source,
        "history_s": round(comparison.history_s, 3),
        "took_s": told.took_s,
        "events": told.after.summary.events,
        "policies": {"old": told.old.version, "new": told.new.version},
        "verdict": verdict(told),
        "figures": list(figures(comparison)),
        "notes": notes(told),
        "old": to_builtins(comparison.old),
        "new": to_builtins(comparison.new),
        "changes": {kind.value: count for kind, count in comparison.counts().items()},
        "subjects": [
            {
                "subject": one.key,
                "tenant_id": one.tenant_id,
                "change": one.change,
                "old": _fate(one.old),
                "new": _fate(one.new),
                "decision": to_builtins(one.cause),
            }
            for one in comparison.subjects
        ],
        "campaigns": [
            {
                "campaign_id": one.campaign.campaign_id,
                "status": one.campaign.status,
                "members": len(one.campaign.members),
                "old_denied": one.old_denied,
                "new_denied": one.new_denied,
            }
            for one in comparison.campaigns
        ],
        "rules": [{"rule": name, "old": before, "new": after} for name, before, after in comparison.rules],
    }


def _fate(course: SubjectCourse | None) -> dict[str, Any]:
    if course is None:
        return {"action": "allow", "denied_s": 0.0}
    return {"action": course.action, "since": course.strictest.issued_at, "denied_s": round(course.denied_s, 1)}
