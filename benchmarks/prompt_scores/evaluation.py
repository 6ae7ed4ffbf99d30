"""How well the scores tell prompts apart at home, on other sources, on other kinds of attack and in other languages."""

import csv
import gzip
import random
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from benchmarks.prompt_scores.corpus import TRAINABLE, Example, from_templates, with_materials
from benchmarks.prompt_scores.training import train
from stream_app.detection.series import ELEVATED
from stream_app.sketches.scores import PromptScorer
from stream_app.sketches.words import normalized, words

#: Sources in two halves: what one trains on the other tests. The two collections of jailbreaks were gathered from
#: the same web sites, so copies are taken out (``_without_copies``), and kinship is not.
HALVES = (
    ("self_reminder_itw", "oasst_en100", "selfinstruct_seed", "gsm8k_test"),
    ("self_reminder_jailbreakchat", "gptfuzzer", "arena_hard_v0.1", "selfinstruct_user_oriented", "mt_bench"),
)
HUMAN = ("oasst_en100", "arena_hard_v0.1", "selfinstruct_user_oriented")
#: Never trained on, because of their licence.
UNSEEN = ("alpaca", "codealpaca2k")
_FOLDS = 5
_WRAPPED = 150

#: A test prompt with a fifth of its runs of five words in the training set is a copy.
_SHINGLE, _COPIED_SHARE = 5, 0.2


class Row(NamedTuple):
    """One line of the table; ``None`` where a figure has no meaning. Rates are at the operating point."""

    score: str
    trained_on: str
    tested_on: str
    positives: int
    negatives: int
    auc: float | None
    recall: float | None
    false_alarms: float | None


Step = Callable[[str], None]


def evaluate(prompts: Sequence[Example], attack_log: Path, step: Step) -> list[Row]:
    """All rows; ``step`` is told what comes next. About two minutes on one core."""
    templates = from_templates()
    trainable = [example for example in prompts if example.source in TRAINABLE]
    step("at home")
    rows = _at_home(trainable)
    for ours, others in (HALVES, HALVES[::-1]):
        step(f"trained on {ours[0]} and others")
        rows += _on_other_sources(prompts, ours, others, templates)
    step("other attacks")
    rows += _on_other_attacks(trainable, templates, attack_log)
    for language in sorted({e.source for e in templates}):
        step(f"without {language}")
        rows += _on_another_language(trainable, templates, language)
    return rows


def speed_us(prompts: Sequence[Example], scorer: PromptScorer) -> tuple[float, float]:
    """Microseconds of CPU time a prompt: all, and jailbreaks, which are long."""

    def each(texts: list[str]) -> float:
        begin = time.process_time()
        for text in texts:
            scorer.score(text)
        return (time.process_time() - begin) / len(texts) * 1e6

    sample = random.Random(1).sample(list(prompts), 3_000)
    return each([e.text for e in sample]), each([e.text for e in prompts if e.jailbreak])


def training_set(trainable: Sequence[Example], templates: Sequence[Example]) -> list[Example]:
    """The sources, the templates, and reasoning templates around some ordinary questions of the sources."""
    questions = [e for e in trainable if not e.jailbreak and not e.cot_elicitation and len(e.text) < 800]
    wrapped = with_materials(random.Random(2).sample(questions, min(_WRAPPED, len(questions)))) if questions else []
    return [*trainable, *templates, *wrapped]


def _at_home(trainable: list[Example]) -> list[Row]:
    order = random.Random(3).sample(trainable, len(trainable))
    scored: list[tuple[bool, float]] = []
    for fold in range(_FOLDS):
        scorer = PromptScorer(train([e for place, e in enumerate(order) if place % _FOLDS != fold]))
        scored += [(e.jailbreak, scorer.score(e.text)["jailbreak"]) for e in order[fold::_FOLDS]]
    positives = [score for is_positive, score in scored if is_positive]
    negatives = [score for is_positive, score in scored if not is_positive]
    return [_row("jailbreak", "four fifths of all sources", "the other fifth", positives, negatives)]


def _on_other_sources(
    prompts: Sequence[Example], ours: tuple[str, ...], others: tuple[str, ...], templates: list[Example]
) -> list[Row]:
    training = [e for e in prompts if e.source in ours]
    scorer = PromptScorer(train(training_set(training, templates)))
    positives = _without_copies([e for e in prompts if e.source in others and e.jailbreak], training)
    rows = []
    for source in (*others, *UNSEEN):
        negatives = [e for e in prompts if e.source == source and not e.jailbreak]
        if not negatives:
            continue
        for name, hits in (("jailbreak", positives), ("cot_elicitation", [])):
            found = _scores(scorer, hits, name), _scores(scorer, negatives, name)
            rows.append(_row(name, f"{ours[0]} and others", source, *found))
    return rows


def _on_other_attacks(trainable: list[Example], templates: list[Example], attack_log: Path) -> list[Row]:
    """Trained on published persona jailbreaks alone, tested on what is an attack of another kind."""
    scorer = PromptScorer(train(trainable))
    human = _scores(scorer, [e for e in trainable if e.source in HUMAN], "jailbreak")
    kinds = {
        "recorded random search": recorded_attack(attack_log),
        "its goals without a suffix": sorted({text.split("\n")[0] for text in recorded_attack(attack_log)}),
        "our templates, English": [e.text for e in templates if e.source == "templates:en" and e.jailbreak],
        "our templates, other languages": [e.text for e in templates if e.source != "templates:en" and e.jailbreak],
    }
    return [
        _row("jailbreak", "sources without templates", kind, [scorer.score(text)["jailbreak"] for text in texts], human)
        for kind, texts in kinds.items()
    ]


def _on_another_language(trainable: list[Example], templates: list[Example], language: str) -> list[Row]:
    scorer = PromptScorer(train(training_set(trainable, [e for e in templates if e.source != language])))
    tested = [e for e in dict.fromkeys(templates) if e.source == language]
    rows = []
    for name in ("jailbreak", "cot_elicitation"):
        positives = _scores(scorer, [e for e in tested if getattr(e, name)], name)
        negatives = _scores(scorer, [e for e in tested if not (e.jailbreak or e.cot_elicitation)], name)
        rows.append(_row(name, "all but this language", language, positives, negatives))
    return rows


def recorded_attack(path: Path) -> list[str]:
    """Goal and first line of the suffix of every distinct request in the log."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return list(dict.fromkeys(f"{row['goal']}\n{row['adv_suffix_head']}" for row in csv.DictReader(file)))


def _scores(scorer: PromptScorer, examples: Iterable[Example], name: str) -> list[float]:
    return [scorer.score(example.text)[name] for example in examples]


def _without_copies(tested: list[Example], training: Sequence[Example]) -> list[Example]:
    known = {shingle for example in training if example.jailbreak for shingle in _shingles(example.text)}
    kept = []
    for example in tested:
        shingles = _shingles(example.text)
        if not shingles or len(shingles & known) / len(shingles) < _COPIED_SHARE:
            kept.append(example)
    return kept


def _shingles(text: str) -> set[tuple[str, ...]]:
    found = words(normalized(text))
    return set(zip(*(found[place:] for place in range(_SHINGLE)), strict=False))


def _row(score: str, trained_on: str, tested_on: str, positives: list[float], negatives: list[float]) -> Row:
    return Row(
        score,
        trained_on,
        tested_on,
        len(positives),
        len(negatives),
        _auc(positives, negatives) if positives and negatives else None,
        float(np.mean(np.array(positives) >= ELEVATED)) if positives else None,
        float(np.mean(np.array(negatives) >= ELEVATED)) if negatives else None,
    )


def _auc(positives: list[float], negatives: list[float]) -> float:
    ranks = rankdata([*positives, *negatives])
    above = ranks[: len(positives)].sum() - len(positives) * (len(positives) + 1) / 2
    return float(above / len(positives) / len(negatives))
