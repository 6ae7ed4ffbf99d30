"""Labelled prompts for training and evaluation: published sources, our own templates, and a provider's own prompts.

Published prompts are read from the folder of ``STILLWATCH_SHARED_DATA`` and never copied. Sources under a licence that
forbids commercial use are evaluated on, never trained on.
"""

import csv
import gzip
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import yaml

TEMPLATES = Path(__file__).with_name("templates.yaml")

#: MIT or Apache-2.0; of the others (Alpaca and CodeAlpaca, CC BY-NC 4.0) no weight may be learned.
JAILBREAK_SOURCES = ("self_reminder_itw", "self_reminder_jailbreakchat", "gptfuzzer")
BENIGN_SOURCES = (
    *("arena_hard_v0.1", "oasst_en100", "selfinstruct_user_oriented", "selfinstruct_seed", "mt_bench", "gsm8k_test"),
)
COT_SOURCES = ("finetune_cot_fewshot", "zero_shot_cot")
TRAINABLE = frozenset((*JAILBREAK_SOURCES, *BENIGN_SOURCES, *COT_SOURCES))

#: Wrapped copies of ordinary material per template: enough that the material averages out.
COPIES = 6


class Example(NamedTuple):
    """A prompt, where it is from (a source, or ``templates:LANGUAGE``), and what it is.

    Of an example that is ``for_cues`` only the cues are learned: there are no prompts of ordinary people in its
    language that would teach which words are harmless.
    """

    source: str
    text: str
    jailbreak: bool = False
    cot_elicitation: bool = False
    for_cues: bool = False


class OwnPrompt(msgspec.Struct, frozen=True):
    """One line of a provider's own file; a label that is absent counts as no."""

    text: str
    jailbreak: bool = False
    cot_elicitation: bool = False


def published(data: Path) -> list[Example]:
    """All published prompts, those that may not be trained on included."""
    with gzip.open(data / "prompts" / "prompts.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [
            Example(
                row["source"],
                f"{row['instruction']}\n{row['input']}" if row["input"] else row["instruction"],
                jailbreak=row["label"] == "jailbreak",
                cot_elicitation=row["label"] == "cot_template",
            )
            for row in csv.DictReader(file)
        ]


def from_templates(seed: int = 1) -> list[Example]:
    """Our templates around ordinary tasks of their language; of all languages but English only the cues are learned."""
    rng = random.Random(seed)
    examples = []
    for language, kinds in _templates().items():
        source, tasks, for_cues = f"templates:{language}", kinds["ordinary"], language != "en"
        # A task stands as often alone as it stands in wrappers; otherwise its words would seem to be the wrapper's.
        alone = COPIES * (len(kinds["jailbreak"]) + len(kinds["cot"])) // len(tasks)
        examples += [Example(source, task, for_cues=for_cues) for task in tasks for _ in range(alone)]
        for text in _filled(kinds["jailbreak"], tasks, rng):
            examples.append(Example(source, text, jailbreak=True, for_cues=for_cues))
        for text in _filled(kinds["cot"], tasks, rng):
            examples.append(Example(source, text, cot_elicitation=True, for_cues=for_cues))
    return examples


def with_materials(examples: list[Example], seed: int = 1) -> list[Example]:
    """English reasoning templates around questions of ``examples``, so that the question itself is no feature."""
    wrappers, rng = _templates()["en"]["cot"], random.Random(seed)
    return [
        Example(f"wrapped:{example.source}", rng.choice(wrappers).replace("{task}", example.text), cot_elicitation=True)
        for example in examples
    ]


def own_prompts(path: Path) -> list[Example]:
    """A provider's own prompts: JSON lines {text, jailbreak?, cot_elicitation?}; raises ``msgspec.MsgspecError``."""
    decoder = msgspec.json.Decoder(OwnPrompt)
    with path.open("rb") as file:
        prompts = [decoder.decode(line) for line in file if line.strip()]
    return [Example("own", prompt.text, prompt.jailbreak, prompt.cot_elicitation) for prompt in prompts]


def _templates() -> dict[str, dict[str, list[str]]]:
    languages: dict[str, dict[str, list[str]]] = yaml.safe_load(TEMPLATES.read_text(encoding="utf-8"))
    return languages


def _filled(templates: list[str], tasks: list[str], rng: random.Random) -> Iterator[str]:
    for template in templates:
        for task in rng.sample(tasks, COPIES):
            yield template.replace("{task}", task)
