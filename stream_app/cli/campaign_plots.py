"""What ``stillwatch campaigns`` looks up for a picture: what was decided for the campaign, and its members' load."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import Struct

from stream_app.adapters.decision_log import DecisionLogError, Unreadable, read_file, read_topic
from stream_app.adapters.recorded_events import RecordsGoneError, find_signals, read_span
from stream_app.cli.explanations import reading, write_drawing
from stream_app.plots.campaigns import CampaignPlot, compose_campaign
from stream_app.plots.loads import Actions, Load, LoadCount
from stream_app.plots.times import MINUTE_S, epoch_s
from stream_app.reports.dossiers import counterfactual, headline
from stream_app.settings import load_settings

#: How long before the first alert the load is shown from; what members do before they extract is ordinary.
_BEFORE_S = 2 * 86_400


class _Tokens(Struct):
    """What is read of a signal's profile."""

    tokens: int = 0


class _Stamp(Struct):
    """What is read of a signal."""

    tenant_id: str
    pane_end_ms: int
    requests: int
    profile: _Tokens


_stamp = msgspec.json.Decoder(_Stamp)


def draw_campaign(campaign: dict[str, Any], folder: Path | None, plot: Path) -> None:
    """Write the picture of a campaign, with progress on a terminal; what cannot be looked up, it says."""
    notes: list[str] = []
    actions = _actions(campaign, decisions_file(folder), notes)
    load = load_of(campaign, folder, notes)
    would = [f"The verdict would fall if {line}." for line in counterfactual(campaign)]
    drawing = compose_campaign(headline(campaign), would, CampaignPlot(campaign, load, actions), notes)
    write_drawing(drawing, plot)


def load_of(campaign: dict[str, Any], folder: Path | None, notes: list[str]) -> Load | None:
    """Its members' load, by what was signalled or by a replay; what cannot be looked up, ``notes`` say."""
    return _signalled_load(campaign, notes) if folder is None else _replayed_load(campaign, notes)


def decisions_file(folder: Path | None) -> Path | None:
    """The decisions of a replay, or none: those on Kafka."""
    return folder and (folder if folder.is_dir() else folder.parent) / "decisions.jsonl"


def _actions(campaign: dict[str, Any], file: Path | None, notes: list[str]) -> Actions:
    """What was decided under the campaign's ids; a repeat after a crash is the same decision."""
    ids, seen = {campaign["campaign_id"], *campaign["aliases"]}, set()
    actions = Actions()
    try:
        for one in read_file(file) if file else read_topic(load_settings()):
            if not isinstance(one, Unreadable) and one.campaign_id in ids and one.decision_id not in seen:
                seen.add(one.decision_id)
                actions.add(one)
    except DecisionLogError as error:
        notes.append(f"Decisions are left out: {error}.")
    return actions


def _replayed_load(campaign: dict[str, Any], notes: list[str]) -> Load | None:
    try:
        load = msgspec.convert(campaign.get("load"), Load | None)
    except msgspec.ValidationError as error:
        raise click.ClickException(f"the load of {campaign['campaign_id']} cannot be read: {error}") from error
    if load is None:
        notes.append("Its load is not there: only a replay of this version or later writes it.")
    return load


def _signalled_load(campaign: dict[str, Any], notes: list[str]) -> Load | None:
    """The load by what tenants signalled, in steps of five minutes at least."""
    settings, since_s = load_settings(), epoch_s(campaign["first_alert_time"]) - _BEFORE_S
    count, tenants = LoadCount([campaign]), set[str]()
    try:
        span = find_signals(settings, round(since_s * 1000))
        with reading("signals") as on_progress:
            for signal in _stamps(read_span(settings, span, "", on_progress)):
                tenants.add(signal.tenant_id)
                # the last pane counted ends there
                minute = (signal.pane_end_ms - 1) // (MINUTE_S * 1000)
                count.add(signal.tenant_id, minute, signal.requests, signal.profile.tokens)
    except RecordsGoneError as error:
        notes.append(f"Its load is left out: {error}.")
        return None
    notes.append(
        f"Load by what the tenant stage signalled, topic {span.topic}, offsets {span.first} to {span.end - 1}."
    )
    return count.load_of(campaign, len(tenants))


def _stamps(values: Iterable[bytes]) -> Iterable[_Stamp]:
    for value in values:
        try:
            yield _stamp.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue  # the campaign stage has dead-lettered it
