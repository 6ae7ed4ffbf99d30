"""``stillwatch indicators``: tell partner providers of campaigns, take in what they tell, and see what is held."""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
import orjson
from rich.console import Console

from stream_app.adapters.decision_log import DecisionLogError
from stream_app.adapters.operator_topic import new_record, read_operator_records
from stream_app.cli.campaigns import find_campaigns
from stream_app.cli.explanations import refuse
from stream_app.cli.operator_records import Order, orders, settings_or_refuse, write
from stream_app.detection.operators import Learn, RecordType, parse_operator
from stream_app.sharing.bundles import (
    MAX_VALID_DAYS,
    VALID_DAYS,
    NothingToShareError,
    Terms,
    Tlp,
    bundle_of,
)
from stream_app.sharing.readings import MAX_BYTES, BundleRefusedError, Reading, read_bundle, refuse_older
from stream_app.sharing.unions import Union, unions
from stream_app.signatures import KeyFileError, Purpose, load_signer, load_verifier

_file = click.Path(path_type=Path, dir_okay=False)
_trusted = click.option(
    "--trusted", multiple=True, type=_file, metavar="FILE", help="Public key of a partner, in PEM; may be repeated."
)


@click.group()
def indicators() -> None:
    """Exchange keyed indicators of campaigns with partner providers."""
    # kafka-python logs every attempt of what is told once, at the end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@indicators.command("export")
@click.argument("campaign_ids", metavar="[ID]…", nargs=-1)
@click.option("--from", "folder", metavar="DIR", type=click.Path(path_type=Path), help="Output of a replay, not Kafka.")
@click.option("--candidates", is_flag=True, help="Also what is not confirmed, but listed for a person.")
@click.option("--provider", required=True, metavar="NAME", help="Who tells, as partners know you.")
@click.option("--tlp", type=click.Choice([one.value for one in Tlp]), default=Tlp.AMBER.value, show_default=True)
@click.option(
    "--valid-days", type=click.IntRange(1, MAX_VALID_DAYS), default=VALID_DAYS, show_default=True, help="How long."
)
@click.option("--at", metavar="TIME", help="When it is told, RFC 3339; now unless given.")
@click.option("--signing-key", required=True, type=_file, help="Our private key, in PEM.")
@click.option("--out", required=True, type=_file, help="The bundle; its signature goes to the same name with .sig.")
def export_bundle(
    *,
    campaign_ids: tuple[str, ...],
    folder: Path | None,
    candidates: bool,
    provider: str,
    tlp: str,
    valid_days: int,
    at: str | None,
    signing_key: Path,
    out: Path,
) -> None:
    """Write a signed STIX 2.1 bundle of these campaigns, or of all that are confirmed."""
    try:
        signer = load_signer(signing_key)
    except KeyFileError as error:
        refuse(str(error))
    found = _chosen(find_campaigns(folder), campaign_ids, with_candidates=candidates)
    try:
        content = bundle_of(found, Terms(provider, _time(at), valid_days, Tlp(tlp)))
        out.write_bytes(content)
        _signature_of(out).write_text(f"{signer.sign(content, Purpose.INDICATORS)}\n", encoding="ascii")
    except NothingToShareError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror or error}") from error
    click.echo(f"{out}: {len(content):,} bytes, TLP {tlp}, signed by {signer.key_id} in {_signature_of(out)}")


@indicators.command("import")
@click.argument("file", type=_file)
@_trusted
@click.option("--to", "line", type=_file, help="Append the operator record to this file instead, for replay.")
@orders
def import_bundle(*, file: Path, trusted: tuple[Path, ...], line: Path | None, order: Order) -> None:
    """Check a partner's bundle and tell the campaign stage; it raises priors, and nobody is acted on for it."""
    reading = _checked(file, trusted)
    try:
        refuse_older(reading, (told.indicators for told in (_learned() if line is None else _learned_from(line))))
    except BundleRefusedError as error:
        raise click.ClickException(f"{file} is refused: {error}") from error
    if line is None:
        what = f"of {reading.indicators.partner}"
        write(order, RecordType.INDICATORS, _undo, what=what, expires_at=reading.valid_until, body=reading.body())
        return
    record = new_record(
        RecordType.INDICATORS,
        by=order.by,
        reason=order.reason,
        expires_at=reading.valid_until,
        body=reading.body(),
    )
    try:
        with line.open("ab") as kept:
            kept.write(msgspec.json.encode(record) + b"\n")
    except OSError as error:
        raise click.ClickException(f"{line}: {error.strerror or error}") from error
    click.echo(f"{line}: indicators of {reading.indicators.partner}")


@indicators.command("list")
@click.argument("files", metavar="[FILE]…", nargs=-1, type=_file)
@_trusted
@click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")
def list_indicators(*, files: tuple[Path, ...], trusted: tuple[Path, ...], as_json: bool) -> None:
    """List what partners told and still holds; with FILEs, what these bundles tell together, without taking it in."""
    if not files:
        for told in _held():
            click.echo(orjson.dumps(_plain(told)) if as_json else _line(told))
        return
    for union in unions(_checked(file, trusted) for file in files):
        click.echo(orjson.dumps(_plain_union(union)) if as_json else _union_line(union))


def _chosen(
    found: list[dict[str, Any]], campaign_ids: tuple[str, ...], *, with_candidates: bool
) -> Iterable[dict[str, Any]]:
    statuses = {"confirmed", "candidate"} if with_candidates else {"confirmed"}
    if not campaign_ids:
        return [campaign for campaign in found if campaign["status"] in statuses]
    by_id = {name: one for one in found for name in (one["campaign_id"], *one["aliases"])}
    if missing := [name for name in campaign_ids if name not in by_id]:
        raise click.ClickException(f"no campaign {missing[0]!r}")
    chosen = {by_id[name]["campaign_id"]: by_id[name] for name in campaign_ids}
    if others := [one for one in chosen.values() if one["status"] not in statuses]:
        refuse(f"campaign {others[0]['campaign_id']} is {others[0]['status']}: see --candidates for what may be told")
    return chosen.values()


def _checked(file: Path, trusted: tuple[Path, ...]) -> Reading:
    if not trusted:
        refuse("name the public keys of partners with --trusted: nothing else is believed")
    try:
        verifier = load_verifier(*trusted)
        with file.open("rb") as content:
            bundle = content.read(MAX_BYTES + 1)
        signature = _signature_of(file).read_text(encoding="ascii", errors="replace")
        return read_bundle(bundle, signature, verifier, datetime.now(UTC))
    except KeyFileError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"{error.filename}: {error.strerror or error}")
    except BundleRefusedError as error:
        raise click.ClickException(f"{file} is refused: {error}") from error


def _held() -> list[Learn]:
    """The newest of every partner, unless it has ended."""
    newest: dict[str, Learn] = {}
    for told in _learned():
        known = newest.get(told.indicators.partner)
        if known is None or known.indicators.told_ms <= told.indicators.told_ms:
            newest[told.indicators.partner] = told
    now_ms = datetime.now(UTC).timestamp() * 1000
    return [told for told in newest.values() if told.indicators.expires_ms > now_ms]


def _learned() -> list[Learn]:
    """All that was ever imported; the operator topic is kept for ever."""
    settings = settings_or_refuse()
    try:
        with Console(stderr=True).status("reading operator records"):
            instructions = [written.instruction for written in read_operator_records(settings)]
    except DecisionLogError as error:
        raise click.ClickException(str(error)) from error
    return [told for told in instructions if isinstance(told, Learn)]


def _learned_from(line: Path) -> list[Learn]:
    """What the file of operator records holds already, if there is one."""
    try:
        instructions = [parse_operator(value) for value in line.read_bytes().splitlines()] if line.exists() else []
    except OSError as error:
        raise click.ClickException(f"{line}: {error.strerror or error}") from error
    return [told for told in instructions if isinstance(told, Learn)]


def _plain(told: Learn) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(told.record)
    return plain


def _line(told: Learn) -> str:
    one, bundle = told.indicators, (told.record.body or {})["bundle"]
    until = datetime.fromtimestamp(one.expires_ms / 1000, UTC)
    members = ", ".join(f"{part.members:,}" for part in one.parts)
    return (
        f"{one.partner}  {bundle.get('provider', '')}  TLP {bundle.get('tlp', '?')}  until {until:%Y-%m-%d %H:%M} UTC  "
        f"{len(one.parts)} parts of {members} members  exchange key {one.key_id}"
    )


def _plain_union(union: Union) -> dict[str, Any]:
    parts = [
        {"provider": one.provider, "part_id": one.part.part_id, "members": one.part.members} for one in union.parts
    ]
    providers = sorted({one.provider for one in union.parts})
    return {"members": union.members, "providers": providers, "parts": parts, "common": union.common}


def _union_line(union: Union) -> str:
    parts = " + ".join(f"{one.part.members:,} at {one.provider}" for one in union.parts)
    common = ", ".join(f"{count} {kind}" for kind, count in union.common.items()) or "nothing"
    return f"{union.members:,} members: {parts}; in common: {common}"


def _undo(_record_id: str) -> str:
    return "import a newer bundle of the same partner, which replaces this one, or wait for its end"


def _signature_of(file: Path) -> Path:
    return file.with_name(f"{file.name}.sig")


def _time(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        refuse(f"--at {text!r}: expected RFC 3339 with an offset, such as 2026-03-02T09:00:00Z")
    return at
