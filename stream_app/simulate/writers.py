"""A planned stream to the three files other programs read."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson

from stream_app.simulate.streams import Stream

#: Bytes held back before each write.
BUFFER_BYTES = 1 << 20


def write_scenario(plan: Stream, folder: Path) -> Iterator[int]:
    """Write ``events.jsonl``, ``labels.jsonl`` and ``scenario.json``; gives the number of events so far, after each.

    Files of the same names are replaced. Raises ``OSError`` where the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    yield from _write_lines(folder / "events.jsonl", plan.events())
    for _ in _write_lines(folder / "labels.jsonl", plan.labels()):
        pass
    (folder / "scenario.json").write_bytes(orjson.dumps(plan.scenario(), option=orjson.OPT_APPEND_NEWLINE))


def _write_lines(path: Path, lines: Iterable[dict[str, object]]) -> Iterator[int]:
    with path.open("wb", buffering=BUFFER_BYTES) as file:
        for number, line in enumerate(lines, start=1):
            file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
            yield number
