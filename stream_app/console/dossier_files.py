"""A campaign's dossier as a file, as ``stillwatch campaigns dossier`` writes it."""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog
from aiohttp import web

from stream_app.adapters.decision_log import DecisionLogError, LogRecord, read_records
from stream_app.adapters.recorded_events import OnProgress, RecordsGoneError
from stream_app.console.extracts import Extract, traffic_of
from stream_app.console.guards import need
from stream_app.console.people import Role
from stream_app.console.rendering import DESK
from stream_app.dossiers.chains import Entry
from stream_app.dossiers.contents import Sources, compose
from stream_app.dossiers.forms import FORMS
from stream_app.dossiers.redaction import Pseudonyms, redact
from stream_app.dossiers.seals import seal
from stream_app.dossiers.selections import decisions_in, is_entry_of, names_any
from stream_app.plots.loads import Load
from stream_app.settings import Settings
from stream_app.signatures import KeyFileError, load_signer
from stream_app.topology import TopicName

#: Reading the logs takes a second for some 100,000 records; who waits longer is better served by the command.
_MOST_S = 120.0
_LOOK_S = 0.1
_TYPES = {"json": "application/json", "html": "text/html", "pdf": "application/pdf"}
#: Records of a log between two steps of progress.
_PROGRESS_RECORDS = 5_000

_log = structlog.get_logger()


async def dossier_file(request: web.Request) -> web.Response:
    """A dossier in the form that is asked for: full, or redacted for readers outside."""
    person = need(request, Role.ANALYST)
    desk, form = request.app[DESK], request.query.get("form", "html")
    if form not in FORMS:
        raise web.HTTPBadRequest(text=f"a dossier has the forms {', '.join(FORMS)}")
    campaign = desk.view.campaigns.find(request.query.get("id", ""))
    if campaign is None:
        raise web.HTTPNotFound(text="No such campaign is on the campaigns topic.")
    name = campaign["campaign_id"]
    document = await _read(
        desk.extracts.ask(f"dossier {name}", partial(_look_up, desk.settings, campaign, desk.view.campaigns.suspects()))
    )
    is_redacted = request.query.get("redacted") == "yes"
    try:
        content = await asyncio.to_thread(_made, document, form, desk.settings, is_redacted=is_redacted)
    except KeyFileError as error:
        raise web.HTTPServiceUnavailable(text=f"The dossier cannot be signed: {error}.") from error
    _log.info("dossier downloaded", campaign=name, form=form, redacted=is_redacted, by=person.name)
    # Who gets the redacted form is not to learn the campaign's id from the file's name.
    file = f"dossier-redacted.{form}" if is_redacted else f"{re.sub(r'[^A-Za-z0-9._-]', '_', name)}.{form}"
    return web.Response(
        body=content,
        content_type=_TYPES[form],
        headers={"Content-Disposition": f'attachment; filename="{file}"'},
    )


def document_of(
    campaign: Mapping[str, Any],
    records: Iterable[tuple[TopicName, LogRecord]],
    load: Load | None,
    notes: list[str],
    made_at: datetime,
) -> dict[str, Any]:
    """The dossier's document, from all records of the campaign log and the decision log."""
    ids = {campaign["campaign_id"], *campaign["aliases"]}
    entries = [
        Entry(record.place, record.key or b"", record.value)
        for name, record in records
        if (is_entry_of(record.key, ids) if name is TopicName.CAMPAIGN_LOG else names_any(record.value, ids))
    ]
    whole = {"pooled": [], **campaign}
    return compose(Sources(whole, decisions_in(entries, ids), entries, load, notes), made_at)


async def _read(extract: Extract[dict[str, Any]]) -> dict[str, Any]:
    for _ in range(round(_MOST_S / _LOOK_S)):
        if extract.result is not None:
            return extract.result
        if extract.problem:
            raise web.HTTPServiceUnavailable(text=f"The dossier cannot be made: {extract.problem}.")
        await asyncio.sleep(_LOOK_S)
    raise web.HTTPServiceUnavailable(text="The logs take long to read: use stillwatch campaigns dossier.")


def _look_up(
    settings: Settings, campaign: Mapping[str, Any], suspects: set[str], on_progress: OnProgress
) -> dict[str, Any]:
    notes: list[str] = []
    try:
        load = traffic_of(settings, campaign, suspects, on_progress).load
    except RecordsGoneError as error:
        load = None
        notes.append(f"Its load is left out: {error}.")
    try:
        return document_of(campaign, _records(settings, on_progress), load, notes, datetime.now(UTC))
    except DecisionLogError as error:
        raise RecordsGoneError(str(error)) from error


def _records(settings: Settings, on_progress: OnProgress) -> Iterator[tuple[TopicName, LogRecord]]:
    count = 0
    for name in (TopicName.CAMPAIGN_LOG, TopicName.DECISION_LOG):
        for record in read_records(settings, name):
            count += 1
            if count % _PROGRESS_RECORDS == 0:
                on_progress(count, count)
            yield name, record


def _made(document: dict[str, Any], form: str, settings: Settings, *, is_redacted: bool) -> bytes:
    signer = load_signer(settings.signing_key) if settings.signing_key else None
    told = redact(document, Pseudonyms(os.urandom(32))) if is_redacted else document
    return FORMS[form](seal(told, signer))
