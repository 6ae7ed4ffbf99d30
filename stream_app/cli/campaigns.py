"""``stillwatch campaigns``: what was found to be one operation, who belongs to it, and why."""

import logging
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import orjson
from rich.console import Console

from stream_app.adapters.campaign_topic import read_campaigns
from stream_app.adapters.decision_log import DecisionLogError
from stream_app.cli.campaign_plots import draw_campaign
from stream_app.cli.dossier import make_dossier
from stream_app.cli.explanations import SUFFIXES, refuse
from stream_app.cli.operator_records import Order, ends_after, orders, write
from stream_app.detection.operators import RecordType
from stream_app.dossiers.forms import FORMS
from stream_app.reports.dossiers import headline, story
from stream_app.reports.feedback import line, progress
from stream_app.settings import SettingsError, load_settings

CAMPAIGNS = "campaigns.jsonl"
#: Members shown by ``show``; all of them are in the JSON.
SHOWN_MEMBERS = 20


@click.group()
def campaigns() -> None:
    """Read what was found to be one operation, by the workers or by a replay, and judge it."""
    # kafka-python logs every attempt of what is told once, at the end.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


_from = click.option(
    "--from",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Output folder of a replay, or its campaigns.jsonl, instead of the campaigns topic on Kafka.",
)
_plot = click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw its load, growth, decisions and shared values, as .png or .svg.",
)
_json = click.option("--json", "as_json", is_flag=True, help="Write JSON instead of text.")


@campaigns.command("list")
@_from
@_json
def list_campaigns(*, folder: Path | None, as_json: bool) -> None:
    """List campaigns, the confirmed first."""
    found = sorted(_readable(folder), key=lambda one: (one["status"] != "confirmed", one["first_alert_time"]))
    for campaign in found:
        brief = {key: value for key, value in campaign.items() if key not in {"members", "values"}}
        brief["member_count"] = len(campaign["members"])
        click.echo(orjson.dumps(brief) if as_json else headline(campaign))


@campaigns.command()
@click.argument("campaign_id", metavar="ID")
@_from
@_json
@_plot
def show(*, campaign_id: str, folder: Path | None, as_json: bool, plot: Path | None) -> None:
    """Tell what a campaign's members share, and who they are."""
    _check(plot)
    campaign = _find(folder, campaign_id)
    click.echo(orjson.dumps(campaign) if as_json else story(campaign, SHOWN_MEMBERS))
    _draw(campaign, folder, plot)


@campaigns.command("dossier")
@click.argument("campaign_id", metavar="ID")
@_from
@_plot
@click.option("--format", "form", type=click.Choice(["text", *FORMS]), default="text", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--redacted", "is_redacted", is_flag=True, help="For readers outside: no customer can be told from it.")
@click.option("--sign", "key", metavar="KEY", type=click.Path(path_type=Path), help="Private key to sign it with.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False), help="Instead of the output.")
def write_dossier(
    *,
    campaign_id: str,
    folder: Path | None,
    plot: Path | None,
    form: str,
    as_json: bool,
    is_redacted: bool,
    key: Path | None,
    out: Path | None,
) -> None:
    """Tell everything: members with their evidence, decisions and their effect, and where all of it lies in the logs.

    As JSON, HTML or PDF it is sealed: stillwatch dossier verify says whether it was changed.
    """
    _check(plot)
    form = "json" if as_json else form
    if form == "text" and (is_redacted or key):
        refuse("--redacted and --sign need --format json, html or pdf")
    campaign = _find(folder, campaign_id)
    if form == "text":
        made = f"{story(campaign, len(campaign['members']))}\n".encode()
    else:
        made = FORMS[form](make_dossier(campaign, folder, key, is_redacted=is_redacted))
    _put(made, out)
    _draw(campaign, folder, plot)


def _put(made: bytes, out: Path | None) -> None:
    if out is None:
        click.echo(made, nl=not made.endswith(b"\n"))
        return
    try:
        out.write_bytes(made)
    except OSError as error:
        raise click.ClickException(f"cannot write {out}: {error.strerror or error}") from error
    click.echo(f"{out}", err=True)


@campaigns.command()
@click.argument("campaign_id", metavar="ID")
@orders
def confirm(campaign_id: str, *, order: Order) -> None:
    """Say that a person has looked, and that the campaign is one operation."""
    _judge(campaign_id, RecordType.CONFIRM, "dismiss", order)


@campaigns.command()
@click.argument("campaign_id", metavar="ID")
@click.option("--for", "expires_at", metavar="TIME", callback=ends_after, help="How long, such as 7d; else for ever.")
@orders
def dismiss(campaign_id: str, *, expires_at: datetime | None, order: Order) -> None:
    """Say that a person has looked, and that there is nothing to it."""
    _judge(campaign_id, RecordType.DISMISS, "confirm", order, expires_at)


@campaigns.command()
@_from
@_json
def feedback(*, folder: Path | None, as_json: bool) -> None:
    """Tell what people said of campaigns, in order, and how well that was foreseen."""
    for judged in progress(_readable(folder)):
        click.echo(orjson.dumps(judged) if as_json else line(judged))


def _judge(campaign_id: str, kind: RecordType, opposite: str, order: Order, expires_at: datetime | None = None) -> None:
    current: str = _find(None, campaign_id)["campaign_id"]

    def undo(record_id: str) -> str:
        return f"stillwatch campaigns {opposite} {current} --undoes {record_id} --reason …"

    write(order, kind, undo, subject=f"campaign:{quote(current, safe='')}", expires_at=expires_at)


def _check(plot: Path | None) -> None:
    if plot is not None and plot.suffix.lower() not in SUFFIXES:
        refuse(f"{plot}: a plot is written to a file that ends in {' or '.join(SUFFIXES)}")


def _draw(campaign: dict[str, Any], folder: Path | None, plot: Path | None) -> None:
    if plot is not None:
        draw_campaign(campaign, folder, plot)
        click.echo(f"{plot}", err=True)


def _find(folder: Path | None, campaign_id: str) -> dict[str, Any]:
    for campaign in _readable(folder):
        if campaign_id in {campaign["campaign_id"], *campaign["aliases"]}:
            return campaign
    raise click.ClickException(f"no campaign {campaign_id!r} in {folder or 'the campaigns topic'}")


def find_campaigns(folder: Path | None) -> list[dict[str, Any]]:
    """All campaigns of a replay's folder, or of the campaigns topic; ends the command when they cannot be read."""
    return _readable(folder)


def _readable(folder: Path | None) -> list[dict[str, Any]]:
    if folder is not None:
        return _read(folder)
    try:
        with Console(stderr=True).status("reading campaigns"):
            return read_campaigns(load_settings())
    except SettingsError as error:
        refuse(str(error))
    except DecisionLogError as error:
        raise click.ClickException(str(error)) from error


def _read(folder: Path) -> list[dict[str, Any]]:
    path = folder / CAMPAIGNS if folder.is_dir() else folder
    found: list[dict[str, Any]] = []
    try:
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            campaign = orjson.loads(line)
            if not isinstance(campaign, dict) or not {"campaign_id", "members", "evidence"} <= campaign.keys():
                raise click.ClickException(f"{path}:{number}: not a campaign of a replay")
            found.append(campaign)
    except orjson.JSONDecodeError as error:
        raise click.ClickException(f"{path}: not JSON lines: {error}") from error
    except OSError as error:
        refuse(f"{path}: {error.strerror or error}")
    return found
