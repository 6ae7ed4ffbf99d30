"""Wrappers: the fixed words around a prompt's material, drawn from phrases so that no two seeds share them."""

from pathlib import Path
from random import Random
from typing import Final

import msgspec
from msgspec import Struct

from stream_app.simulate.campaigns.phrases import passage, spoken

#: Chance that a wrapper stands on one side of the material only, and that a request carries the family's system prompt.
ONE_SIDED_SHARE = 0.5
SYSTEM_SHARE = 0.7


class Wrapper(Struct, frozen=True):
    """Words before and after the material, and what the request carries beside them."""

    before: str
    after: str
    system: str | None = None
    tools: tuple[str, ...] = ()
    answer_sentences: int = 0

    def filled(self, material: str, rng: Random) -> str:
        """The whole prompt."""
        if self.answer_sentences:
            answer = passage(rng, rng.randint(1, self.answer_sentences))
            material = f"Question: {material}\nAnswer: {answer}"
        return "\n".join(part for part in (self.before, material, self.after) if part)


class Phrases(Struct, frozen=True):
    """What wrappers of one kind are made of; see ``wrappers.yaml``."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    systems: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    answer_sentences: int = 0


class _Phrasebook(Struct, frozen=True, forbid_unknown_fields=True):
    applications: Phrases
    families: dict[str, Phrases]


_BOOK: Final = msgspec.yaml.decode(Path(__file__).with_name("wrappers.yaml").read_bytes(), type=_Phrasebook)

#: Honest programs, and the families of distillation: what the queue wants to hear.
APPLICATIONS = _BOOK.applications
FAMILIES = _BOOK.families


def drawn_wrapper(phrases: Phrases, rng: Random) -> Wrapper:
    """A wrapper of that kind; two draws rarely agree."""
    before, after = spoken(rng.choice(phrases.before), rng), spoken(rng.choice(phrases.after), rng)
    if before and after and rng.random() < ONE_SIDED_SHARE:
        before, after = rng.choice(((before, ""), ("", after)))
    system = spoken(rng.choice(phrases.systems), rng) if phrases.systems and rng.random() < SYSTEM_SHARE else ""
    tools = tuple(rng.sample(phrases.tools, rng.randint(2, len(phrases.tools)))) if phrases.tools else ()
    return Wrapper(before, after, system or None, tools, phrases.answer_sentences)


def application_wrapper(number: int) -> Wrapper:
    """The wrapper of the made-up application ``number``, the same in every stream."""
    return drawn_wrapper(APPLICATIONS, Random(number))
