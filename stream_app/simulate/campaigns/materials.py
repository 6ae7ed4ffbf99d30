"""Texts that prompts are made of: published prompts where the data folder is at hand, else made-up ones.

Streams are the same for the same seed *and* the same texts, so a stream's ``scenario.json`` names their origin.
"""

import csv
import gzip
import os
from functools import cache
from pathlib import Path
from random import Random

from msgspec import Struct

from stream_app.simulate.campaigns.phrases import detail, instruction

#: Longer prompts are cut: a sketch's cost grows with the text, and these streams are about who shares what.
MAX_CHARS = 1_200

#: Made-up instructions, as many as the published ones in order of size.
GENERATED_COUNT = 16_000

#: Share of people's prompts that others send word for word: a guess; it also spares sketches.
COMMON_SHARE = 0.25

#: Published labels that people ask of their own accord or that data sets are made of; jailbreaks are left out.
_ASKED = ("distill", "distill_seed", "benign_human")
#: Public test sets that anybody runs: the same prompts in every tenant.
_PUBLIC_SETS = ("gsm8k_test", "mt_bench", "arena_hard_v0.1")


class Materials(Struct, frozen=True):
    """Texts by whose they are.

    ``people`` and ``queues`` share no text and come from the same sources, so that neither side has topics of its own.
    ``public_sets`` are evaluation sets, each in its published order.
    """

    origin: str
    people: list[str]
    queues: list[str]
    public_sets: list[list[str]]

    def asked(self, rng: Random) -> tuple[str, bool]:
        """What a person asks, and whether others ask it in the same words; three in four add a detail of their own."""
        text = rng.choice(self.people)
        is_common = rng.random() < COMMON_SHARE
        return (text if is_common else f"{text} {detail(rng)}"), is_common

    def queued(self, number: int, order: list[int]) -> str:
        """Material of the work queue's item ``number``: each text once, then again with ever new details."""
        round_number, place = divmod(number, len(order))
        text = self.queues[order[place]]
        return f"{text} {detail(Random(number))}" if round_number else text


def data_folder() -> Path:
    """``STILLWATCH_SHARED_DATA``, or ``shared/data`` beside the project; it need not exist."""
    named = os.environ.get("STILLWATCH_SHARED_DATA")
    return Path(named) if named else Path(__file__).resolve().parents[4] / "shared" / "data"


@cache
def load_materials(folder: Path) -> Materials:
    """Published texts of the folder, or made-up ones when it has none; the same on every call."""
    path = folder / "prompts" / "prompts.csv.gz"
    return _published(path) if path.is_file() else _generated()


def _published(path: Path) -> Materials:
    texts: list[str] = []
    public: dict[str, list[str]] = {name: [] for name in _PUBLIC_SETS}
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            text = f"{row['instruction']}\n{row['input']}".strip()[:MAX_CHARS]
            if row["source"] in public:
                public[row["source"]].append(text)
            if row["label"] in _ASKED:
                texts.append(text)
    return _split("published", texts, list(public.values()))


def _generated() -> Materials:
    rng = Random(1)
    texts = [instruction(rng) for _ in range(GENERATED_COUNT)]
    public = [[instruction(rng) for _ in range(size)] for size in (1_300, 160, 500)]
    return _split("generated", texts, public)


def _split(origin: str, texts: list[str], public_sets: list[list[str]]) -> Materials:
    distinct = list(dict.fromkeys(texts))
    Random(2).shuffle(distinct)
    return Materials(origin, distinct[::2], distinct[1::2], public_sets)
