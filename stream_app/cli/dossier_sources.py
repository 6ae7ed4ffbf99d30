"""What ``stillwatch campaigns dossier`` looks up: all records about a campaign, their places, and the load."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from stream_app.adapters.decision_log import DecisionLogError, LogRecord, read_records
from stream_app.cli.campaign_plots import decisions_file, load_of
from stream_app.cli.explanations import reading
from stream_app.dossiers.chains import Entry
from stream_app.dossiers.contents import Sources
from stream_app.dossiers.selections import decisions_in, is_entry_of, names_any
from stream_app.settings import load_settings
from stream_app.topology import TopicName

#: Records between two steps of the progress shown: each costs as much as some twenty records.
_PROGRESS_RECORDS = 5_000


def look_up(campaign: dict[str, Any], folder: Path | None) -> Sources:
    """Everything about a campaign: from Kafka, or from a replay's files."""
    notes: list[str] = []
    ids = {campaign["campaign_id"], *campaign["aliases"]}
    entries = list(log_entries(ids, folder, notes))
    load = load_of(campaign, folder, notes)
    return Sources(campaign, decisions_in(entries, ids), entries, load, notes)


def log_entries(ids: set[str], folder: Path | None, notes: list[str]) -> Iterator[Entry]:
    """Records of the campaign log, then of the decision log, that are about a campaign of these ids."""
    if folder is not None:
        yield from _file_entries(ids, folder)
        return
    settings = load_settings()
    for name in (TopicName.CAMPAIGN_LOG, TopicName.DECISION_LOG):
        try:
            with reading(name.value) as on_progress:
                for count, record in enumerate(read_records(settings, name), 1):
                    if count % _PROGRESS_RECORDS == 0:
                        on_progress(count, count)
                    if _is_about(name, record, ids):
                        yield Entry(record.place, record.key or b"", record.value)
        except DecisionLogError as error:
            if name is TopicName.CAMPAIGN_LOG:
                raise click.ClickException(str(error)) from error
            notes.append(f"Decisions are left out: {error}.")


def _is_about(name: TopicName, record: LogRecord, ids: set[str]) -> bool:
    return is_entry_of(record.key, ids) if name is TopicName.CAMPAIGN_LOG else names_any(record.value, ids)


def _file_entries(ids: set[str], folder: Path) -> Iterator[Entry]:
    campaigns = folder / "campaigns.jsonl" if folder.is_dir() else folder
    for path in (campaigns, decisions_file(folder)):
        if path is None or not path.exists():
            continue
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            if names_any(line, ids):
                yield Entry(f"{path.name}, line {number}", b"", line)
