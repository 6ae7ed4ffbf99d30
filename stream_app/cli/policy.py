"""``stillwatch policy``: which policy holds, whether a file is one, and putting one in force."""

import logging
import sys
from pathlib import Path

import click
import orjson
from rich.console import Console

from stream_app.adapters.decision_log import DecisionLogError
from stream_app.adapters.operator_topic import WrittenRecord, read_operator_records
from stream_app.cli.explanations import refuse
from stream_app.cli.operator_records import Order, orders, settings_or_refuse, write
from stream_app.detection.operators import RecordType, SetPolicy
from stream_app.detection.policy import Policy, PolicyError, load_policy
from stream_app.policies import DEFAULT_POLICY
from stream_app.settings import Settings


@click.group()
def policy() -> None:
    """Look at the policy in force, try a file, and put one in force."""
    # kafka-python logs every attempt of what is told once, at the end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@policy.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Say whether FILE is a policy; exit 1 and a line for everything that is wrong if it is not."""
    try:
        found = load_policy(_text(file), str(file))
    except PolicyError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    click.echo(f"ok: {_named(found)}")


@policy.command()
@click.option("--offset", type=click.IntRange(min=0), help="The one written at this offset of the operator topic.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object: text, version, and who set it.")
def show(*, offset: int | None, as_json: bool) -> None:
    """Write the policy in force: the newest on the operator topic, or else the file of the settings."""
    settings = settings_or_refuse()
    policies = _written(settings)
    if offset is not None:
        policies = [one for one in policies if one.offset == offset]
        if not policies:
            raise click.ClickException(f"there is no policy at offset {offset} of the operator topic")
    text, found, origin = _newest(policies, settings)
    if as_json:
        click.echo(orjson.dumps({"version": found.version, "mode": found.mode, "origin": origin, "text": text}))
        return
    click.echo(f"{_named(found)}: {origin}", err=True)
    click.echo(text, nl=not text.endswith("\n"))


@policy.command("set")
@click.argument("file", type=click.Path(path_type=Path))
@orders
def set_policy(file: Path, *, order: Order) -> None:
    """Put FILE in force, in every worker and after every restart."""
    text = _text(file)
    try:
        found = load_policy(text, str(file))
    except PolicyError as error:
        refuse("\n".join(f"not written: {line}" for line in str(error).splitlines()))
    before = _written(settings_or_refuse())

    def undo(record_id: str) -> str:
        if not before:
            return f"stillwatch policy set FILE --undoes {record_id} --reason …, with the file that held so far"
        kept = f"stillwatch policy show --offset {before[-1].offset} > before.yaml"
        return f"{kept} && stillwatch policy set before.yaml --undoes {record_id} --reason …"

    write(order, RecordType.POLICY, undo, what=f"{found.version} ({found.mode})", body={"yaml": text})


def _written(settings: Settings) -> list[WrittenRecord]:
    """The valid policies on the operator topic, oldest first."""
    try:
        with Console(stderr=True).status("reading operator records"):
            return [one for one in read_operator_records(settings) if isinstance(one.instruction, SetPolicy)]
    except DecisionLogError as error:
        raise click.ClickException(str(error)) from error


def _newest(policies: list[WrittenRecord], settings: Settings) -> tuple[str, Policy, str]:
    """Text, policy, and where it comes from."""
    if policies and isinstance(newest := policies[-1].instruction, SetPolicy):
        record = newest.record
        text = str((record.body or {})["yaml"])
        origin = f"set by {record.by} at {record.at:%Y-%m-%d %H:%M:%S} ({record.reason}), offset {policies[-1].offset}"
        return text, newest.policy, origin
    path = settings.policy or DEFAULT_POLICY
    text = _text(path)
    try:
        return text, load_policy(text, str(path)), f"{path}, because the operator topic has none"
    except PolicyError as error:
        raise click.ClickException(str(error)) from error


def _named(found: Policy) -> str:
    return f"policy {found.version}, {found.mode}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        refuse(f"{path}: not a UTF-8 text file")
    except OSError as error:
        refuse(f"{path}: {error.strerror or error}")
