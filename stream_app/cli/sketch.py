"""``stillwatch sketch``: prompts in, keyed sketches out; for gateways that cannot call Python."""

import sys
from pathlib import Path

import click
import msgspec
import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from stream_app.sketches import Key, KeyFileError, PromptScorer, WeightsError, load_key, sketch_prompt
from stream_app.sketches.weights import SHIPPED


class PromptLine(msgspec.Struct, frozen=True):
    """One line of standard input; other fields are ignored."""

    ref: str | int
    text: str
    system: str | None = None


_decoder = msgspec.json.Decoder(PromptLine)


@click.command()
@click.option(
    "--key-file",
    envvar="STILLWATCH_SKETCH_KEY_FILE",
    type=click.Path(path_type=Path),
    help="File of one line key_id:hex-secret, readable by its owner only.  [env: STILLWATCH_SKETCH_KEY_FILE]",
)
@click.option(
    "--exchange-key-file",
    envvar="STILLWATCH_EXCHANGE_KEY_FILE",
    type=click.Path(path_type=Path),
    help="Key shared with partner providers, for a second sketch under it.  [env: STILLWATCH_EXCHANGE_KEY_FILE]",
)
@click.option(
    "--weights",
    envvar="STILLWATCH_SKETCH_WEIGHTS",
    type=click.Path(path_type=Path),
    default=SHIPPED,
    show_default="those that come with the program",
    help="Weights of the scores, trained on your own prompts.  [env: STILLWATCH_SKETCH_WEIGHTS]",
)
def sketch(key_file: Path | None, exchange_key_file: Path | None, weights: Path) -> None:
    """Sketch prompts: JSON lines {ref, text, system?} on standard input, one sketch per line on standard output."""
    if key_file is None:
        raise click.UsageError("no key: give --key-file or set STILLWATCH_SKETCH_KEY_FILE")
    try:
        key, scorer = load_key(key_file), PromptScorer.load(weights)
        exchange = load_key(exchange_key_file) if exchange_key_file else None
    except (KeyFileError, WeightsError) as error:
        raise click.ClickException(str(error)) from error
    if _sketch_lines(key, exchange, scorer):
        sys.exit(1)


def _sketch_lines(key: Key, exchange: Key | None, scorer: PromptScorer) -> int:
    """Copy standard input to standard output as sketches; returns the number of bad lines."""
    bad_lines = 0
    console = Console(stderr=True)
    is_shown = console.is_terminal and not sys.stdout.isatty()
    columns = (SpinnerColumn(), TextColumn("{task.completed} prompts"))
    with Progress(*columns, console=console, disable=not is_shown) as progress:
        task = progress.add_task("sketch", total=None)
        for number, line in enumerate(sys.stdin.buffer, start=1):
            if not line.strip():
                continue
            try:
                output = _sketched(line, key, exchange, scorer)
            except (msgspec.MsgspecError, UnicodeError) as error:
                bad_lines += 1
                click.echo(f"line {number}: {error}", err=True)
            else:
                sys.stdout.buffer.write(output)
                sys.stdout.buffer.flush()
            progress.advance(task)
    return bad_lines


def _sketched(line: bytes, key: Key, exchange: Key | None, scorer: PromptScorer) -> bytes:
    prompt = _decoder.decode(line)
    fields = msgspec.to_builtins(sketch_prompt(prompt.text, prompt.system, key=key, exchange=exchange))
    scores = {"scores": scorer.score(prompt.text)}
    return orjson.dumps({"ref": prompt.ref} | fields | scores, option=orjson.OPT_APPEND_NEWLINE)
