"""``stillwatch enforcement``: whether limiters obey decisions at all."""

import logging

import click
import orjson
from rich.console import Console

from stream_app.adapters.decision_log import DecisionLogError
from stream_app.adapters.operator_topic import read_operator_records
from stream_app.cli.operator_records import Order, orders, settings_or_refuse, write
from stream_app.detection.operators import Enforcement, RecordType


@click.group()
def enforcement() -> None:
    """Switch all limiters off and on; they obey even when no worker runs, and judging goes on."""
    # kafka-python logs every attempt of what is told once, at the end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@enforcement.command()
@orders
def off(*, order: Order) -> None:
    """Let every request pass, whatever has been decided, until it is switched on again."""
    _switch(order, is_enforced=False)


@enforcement.command()
@orders
def on(*, order: Order) -> None:
    """Obey decisions again: those that hold by now."""
    _switch(order, is_enforced=True)


@enforcement.command()
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object.")
def show(*, as_json: bool) -> None:
    """Say whether decisions are obeyed, and who switched last."""
    settings = settings_or_refuse()
    newest: Enforcement | None = None
    try:
        with Console(stderr=True).status("reading operator records"):
            for one in read_operator_records(settings):
                newest = one.instruction if isinstance(one.instruction, Enforcement) else newest
    except DecisionLogError as error:
        raise click.ClickException(str(error)) from error
    is_enforced = newest is None or newest.is_enforced
    if as_json:
        by, reason, at = (newest.record.by, newest.record.reason, newest.record.at) if newest else (None, None, None)
        click.echo(orjson.dumps({"enforced": is_enforced, "by": by, "reason": reason, "at": at}))
        return
    record = None if newest is None else newest.record
    who = f"by {record.by} at {record.at:%Y-%m-%d %H:%M:%S}: {record.reason}" if record else "nobody ever switched it"
    click.echo(f"enforcement is {'on' if is_enforced else 'off'} ({who})")


def _switch(order: Order, *, is_enforced: bool) -> None:
    wanted, opposite = ("on", "off") if is_enforced else ("off", "on")

    def undo(record_id: str) -> str:
        return f"stillwatch enforcement {opposite} --undoes {record_id} --reason …"

    write(order, RecordType.ENFORCEMENT, undo, what=wanted, body={"enforced": is_enforced})
