"""``stillwatch forget``: erase a tenant."""

import click

from stream_app.cli.operator_records import Order, orders, write
from stream_app.detection.decisions import Subject
from stream_app.detection.operators import RecordType


@click.command()
@click.argument("tenant_id", metavar="TENANT")
@click.option("--yes", "is_sure", is_flag=True, help="Do not ask.")
@orders
def forget(tenant_id: str, *, is_sure: bool, order: Order) -> None:
    """Erase everything remembered of TENANT (its id): state, decisions, membership; readers leave its past out.

    A tenant that still sends requests begins anew. What was written before it goes when its topic's retention is over.
    """
    if not is_sure:
        click.confirm(f"erase tenant {tenant_id!r}, for good?", abort=True, err=True)
    write(order, RecordType.FORGET, lambda _: "nothing brings it back", subject=Subject(tenant_id).key)
