"""``stillwatch allow``, ``override``, ``release`` and ``watch``: overrule the detector on one subject."""

from collections.abc import Callable
from datetime import UTC, datetime

import click

from stream_app.cli.explanations import refuse
from stream_app.cli.operator_records import Order, ends_after, orders, write
from stream_app.detection.decisions import Action
from stream_app.detection.operators import RecordType

_subject = click.argument("subject", metavar="SUBJECT")
_rate = click.IntRange(min=0)


def _lasting(*, required: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    decorate: Callable[[Callable[..., None]], Callable[..., None]] = click.option(
        "--for",
        "expires_at",
        metavar="TIME",
        required=required,
        callback=ends_after,
        help="How long, such as 30m, 2h or 7d: nothing is forced for ever.",
    )
    return decorate


@click.command()
@_subject
@_lasting()
@click.option("--purpose", metavar="TEXT", help="What it does, such as contracted distillation; decisions name it.")
@orders
def allow(subject: str, *, expires_at: datetime, purpose: str | None, order: Order) -> None:
    """Let SUBJECT pass whatever its scores say: tenant:ID or account:TENANT/ACCOUNT, percent-encoded."""
    body = {"purpose": purpose} if purpose else None
    write(order, RecordType.ALLOW, _release_of(subject), subject=subject, expires_at=expires_at, body=body)


@click.command()
@_subject
@_lasting()
@click.option("--action", required=True, type=click.Choice([a.value for a in Action]), help="What it is held at.")
@click.option("--requests-per-minute", type=_rate, help="What a throttled subject may still ask.")
@click.option("--tokens-per-minute", type=_rate, help="What it may still use.")
@orders
def override(
    subject: str,
    *,
    expires_at: datetime,
    action: str,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    order: Order,
) -> None:
    """Hold SUBJECT at one action, whatever its scores say."""
    rates = {"requests_per_minute": requests_per_minute, "tokens_per_minute": tokens_per_minute}
    limit = {name: rate for name, rate in rates.items() if rate is not None}
    if bool(limit) != (action == Action.THROTTLE):
        refuse("a throttle, and nothing else, takes --requests-per-minute or --tokens-per-minute or both")
    body = {"action": action} | ({"limit": limit} if limit else {})
    write(order, RecordType.OVERRIDE, _release_of(subject), subject=subject, expires_at=expires_at, body=body)


@click.command()
@_subject
@orders
def release(subject: str, *, order: Order) -> None:
    """End what holds of SUBJECT, by a person's word or the detector's; it is judged anew from then on.

    A value that a campaign shares (payment_fp:…, signup_fp:…, ip_prefix:…) is left alone for 30 days.
    """

    def undo(_: str) -> str:
        return f"nothing brings back what held before; to hold it: stillwatch override {subject} --action …"

    write(order, RecordType.RELEASE, undo, subject=subject)


@click.command()
@_subject
@_lasting(required=False)
@click.option("--end", is_flag=True, help="Take a watch back instead.")
@orders
def watch(subject: str, *, expires_at: datetime | None, end: bool, order: Order) -> None:
    """Judge SUBJECT strictly, as the policy says of the watchlist."""
    if end == (expires_at is not None):
        refuse("a watch takes either --for TIME or --end")

    def undo(record_id: str) -> str:
        how = "--for TIME" if end else "--end"
        return f"stillwatch watch {subject} {how} --undoes {record_id} --reason …"

    # the word to end a watch is one that has ended already
    write(order, RecordType.WATCH, undo, subject=subject, expires_at=expires_at or datetime.now(UTC))


def _release_of(subject: str) -> Callable[[str], str]:
    return lambda record_id: f"stillwatch release {subject} --undoes {record_id} --reason …"
