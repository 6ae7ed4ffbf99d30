"""``stillwatch generate``: labelled streams for tests, demos and measurements."""

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from stream_app.simulate import SCENARIOS
from stream_app.simulate.writers import write_scenario

#: A Monday afternoon; fixed, so that the same seed gives the same files on any day.
DEFAULT_END = "2025-06-02T15:00:00Z"

#: A thousand times the default is fifty million events.
MAX_SCALE = 1_000

#: Events between two updates of the progress line.
PROGRESS_STEP = 1_000


def _finite(_context: click.Context, _option: click.Parameter, scale: float) -> float:
    if not 0 < scale <= MAX_SCALE:
        raise click.BadParameter(f"{scale} is not above 0 and at most {MAX_SCALE}")
    return scale


@click.command()
@click.argument("scenario", type=click.Choice(sorted(SCENARIOS)))
@click.option("--seed", type=click.IntRange(min=0), required=True, help="The same seed gives the same files.")
@click.option("--scale", type=float, callback=_finite, default=1.0, show_default=True, help="Multiplies the tenants.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the files.")
@click.option(
    "--end",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    default=DEFAULT_END,
    show_default=True,
    help="Event time of the last event, in UTC.",
)
def generate(scenario: str, seed: int, scale: float, out: Path, end: datetime) -> None:
    """Write a labelled stream: events.jsonl, labels.jsonl and scenario.json."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed} events"), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(scenario, total=None)
        plan = SCENARIOS[scenario](seed, scale, end.replace(tzinfo=UTC))
        written = 0
        try:
            for written in write_scenario(plan, out):
                if written % PROGRESS_STEP == 0:
                    progress.update(task, completed=written)
        except OSError as error:
            raise click.ClickException(f"cannot write to {out}: {error.strerror}") from error
    click.echo(f"{out}: {written} events from {len(plan.tenants)} tenants")
