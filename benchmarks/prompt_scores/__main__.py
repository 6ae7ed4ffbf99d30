"""``python -m benchmarks.prompt_scores train|evaluate``: make the weights of the prompt scores, and measure them."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec
import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from benchmarks.prompt_scores.corpus import TRAINABLE, Example, from_templates, own_prompts, published
from benchmarks.prompt_scores.evaluation import Row, evaluate, speed_us, training_set
from benchmarks.prompt_scores.training import PASSES, train
from stream_app.sketches.scores import PromptScorer
from stream_app.sketches.weights import SCORE_NAMES, write_weights

#: Beside the clone, as the tests expect it.
_BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"
_COLUMNS = (SpinnerColumn(), TextColumn("{task.description}"))
_HEADER = (
    "| Score | Trained on | Tested on | Prompts + / - | AUC | Recall | False alarms |\n|---|---|---|---|---|---|---|"
)


@click.group()
def main() -> None:
    """Train and evaluate the prompt scores of `stillwatch sketch`."""


@main.command(name="train")
@click.option(
    "--own", type=click.Path(path_type=Path, dir_okay=False), help="JSON lines {text, jailbreak?, cot_elicitation?}."
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
def train_command(own: Path | None, out: Path) -> None:
    """Train on the published prompts that may be trained on, the templates, and your own prompts."""
    sources = _published()
    if not sources:
        click.echo("no published prompts (STILLWATCH_SHARED_DATA): templates and own prompts only", err=True)
    examples = training_set([e for e in sources if e.source in TRAINABLE], from_templates())
    examples += _own(own) if own else []
    with Progress(*_COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task(f"learning {len(examples)} prompts, {PASSES} passes, {len(SCORE_NAMES)} scores")
        weights = train(examples, step=lambda: progress.advance(task))
    write_weights(out, weights)
    click.echo(f"{out}: {out.stat().st_size} bytes from {len(examples)} prompts of {len(weights.trained_on)} sources")


@main.command(name="evaluate")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
def evaluate_command(as_json: bool) -> None:
    """Measure scores that were trained on some sources on others; the shipped weights only for speed."""
    prompts = _published()
    if not prompts:
        raise click.ClickException("no published prompts: set STILLWATCH_SHARED_DATA to their folder")
    with Progress(*_COLUMNS, console=Console(stderr=True)) as progress:
        task = progress.add_task("")
        log = _data() / "attack" / "adaptive_jailbreak_gpt4.csv.gz"
        rows = evaluate(prompts, log, lambda name: progress.update(task, description=name))
    all_us, jailbreak_us = speed_us(prompts, PromptScorer.load())
    if as_json:
        result = {"rows": [row._asdict() for row in rows], "us_per_prompt": all_us, "us_per_jailbreak": jailbreak_us}
        sys.stdout.buffer.write(orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        return
    click.echo("\n".join([_HEADER, *map(_line, rows)]))
    click.echo(f"\nµs of CPU a prompt: {all_us:.0f}; a jailbreak: {jailbreak_us:.0f}")


def _data() -> Path:
    return Path(os.environ.get("STILLWATCH_SHARED_DATA") or _BESIDE)


def _published() -> list[Example]:
    return published(_data()) if (_data() / "prompts" / "prompts.csv.gz").is_file() else []


def _own(path: Path) -> Sequence[Example]:
    try:
        return own_prompts(path)
    except (OSError, msgspec.MsgspecError) as error:
        raise click.ClickException(f"{path}: {error}") from error


def _line(row: Row) -> str:
    auc, recall, alarms = (
        "-" if value is None else f"{value:.{digits}f}"
        for value, digits in ((row.auc, 3), (row.recall, 2), (row.false_alarms, 4))
    )
    return (
        f"| {row.score} | {row.trained_on} | {row.tested_on} | {row.positives} / {row.negatives} "
        f"| {auc} | {recall} | {alarms} |"
    )


if __name__ == "__main__":
    main()
