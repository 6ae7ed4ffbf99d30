"""Skeletons: the parts of a prompt that stay when the same wrapper is filled with other material.

One prompt does not say what is wrapper and what is material, so this goes by form: quotations, code, tagged blocks,
list items, numbers, names and what follows a colon become slots; what is left is cut into sentences, and those that
instruct are the skeletons. Of a prompt that is a JSON object each string is looked at so. A skeleton does not know its
place: the same wrapper before or after the material gives the same one. Material that is woven into a sentence without
any mark stays part of it.
"""

import re
from collections.abc import Iterator
from itertools import groupby

import msgspec

from stream_app.sketches.words import WORD_PATTERN

Skeleton = tuple[str, ...]

SLOT = "▮"

#: The contract's limit of templates in one event.
MAX_SKELETONS = 4

#: A wrapper stands at the edges of a prompt; longer prompts are judged by this much of each edge.
EDGE_CHARS = 4_000

#: Shorter skeletons, such as "answer the question", are common property and would join strangers.
MIN_WORDS = 4

#: So many instructing words make a sentence an instruction; one alone occurs in any material.
MIN_CUES = 2

CUES = frozenset(
    re.findall(
        r"\w+",
        """
        above act always analyse analyze answer answers assistant based below classify compare context correct correctly
        describe detail detailed evaluate explain extract final following format generate given improve include input
        instruction instructions json list must never only output passage please problem provide question rate reason
        reasoning reply respond response return rewrite sentence show solution solve step steps summarise summarize
        task text think topic translate using write you your
        """,
    )
)

_NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|fifty|hundred|thousand"
_ITEM = r"[\w'’-]+"

_MATERIAL = re.compile(
    r"""
      ```.*?(?:```|\Z)
    | \"{3}.*?(?:\"{3}|\Z)
    | <(?P<tag>\w+)[^<>]*>.*?</(?P=tag)>
    | "[^"]*" | “[^”]*” | „[^“”]*[“”] | «[^»]*» | 「[^」]*」 | `[^`\n]+`
    | (?<!\w)['‘][^'’\n]+['’](?!\w)
    | \{[^{}]*\} | \[[^\[\]]*\]
    | https?://\S+
    """,
    re.VERBOSE | re.DOTALL,
)
_LIST_LINE = re.compile(r"^[ \t]*(?:[-*•–+]|\(?(?:\d{1,3}|[A-Za-z])[.)])[ \t]+\S.*$", re.MULTILINE)
_AFTER_COLON = re.compile(r":(?:[ \t]+\S[^\n]*|[ \t]*\n\s*[^\n]+)")
_INLINE_LIST = re.compile(rf"(?<![\w'’-]){_ITEM}(?:(?:, {_ITEM})+,? (?:and|or) {_ITEM}|(?:, {_ITEM}){{2,}})")
_NUMBER = re.compile(rf"\d[\d.,:/%-]*|\b(?:{_NUMBERS})\b")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+(?:[ -][A-Z][a-z]+)*")
_SENTENCE_END = re.compile(r"[.!?;]+(?=\s|$)|[。！？；]|\n+")
_WORD_OR_SLOT = re.compile(rf"{SLOT}|{WORD_PATTERN}")


def skeletons(text: str) -> list[Skeleton]:
    """At most four distinct skeletons of normalized text, those at its edges first.

    Sentences that instruct are preferred; a prompt without any (as in languages the cue words do not cover) gives its
    first and its last sentence.
    """
    told = sentences(_masked(_edges(_unfolded(text))))
    candidates = [sentence for sentence in told if _length(sentence) >= MIN_WORDS]
    instructing = [sentence for sentence in candidates if len(CUES.intersection(sentence)) >= MIN_CUES]
    chosen = instructing or candidates[:1] + candidates[-1:]
    inwards = [sentence for pair in zip(chosen, reversed(chosen), strict=True) for sentence in pair]
    return list(dict.fromkeys(inwards))[:MAX_SKELETONS]


def sentences(text: str) -> list[Skeleton]:
    """Case-folded words of every sentence or line that has any; a run of slots between two words is one slot."""
    parts = (_words_and_slots(part) for part in _SENTENCE_END.split(mask_numbers(text)))
    return [part for part in parts if part]


def _words_and_slots(sentence: str) -> Skeleton:
    found = [word for word, _ in groupby(_WORD_OR_SLOT.findall(sentence))]
    return tuple(found[found[:1] == [SLOT] : len(found) - (found[-1:] == [SLOT])])


def mask_numbers(text: str) -> str:
    """Case-folded, digits and number words as slots."""
    return _NUMBER.sub(SLOT, text.casefold())


def _unfolded(text: str) -> str:
    """The strings of a prompt that is one JSON object, a line each: some of them instruct, others are material."""
    if not (text.lstrip().startswith("{") and text.rstrip().endswith("}")):
        return text
    try:
        return "\n".join(_strings(msgspec.json.decode(text)))
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):  # the last of a lone surrogate
        return text


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def _edges(text: str) -> str:
    if len(text) <= 2 * EDGE_CHARS:
        return text
    return f"{text[:EDGE_CHARS]}\n{text[-EDGE_CHARS:]}"


def _masked(text: str) -> str:
    for material in (_MATERIAL, _LIST_LINE):
        text = material.sub(SLOT, text)
    text = _AFTER_COLON.sub(f": {SLOT}\n", text)
    for material in (_INLINE_LIST, _NAME):
        text = material.sub(SLOT, text)
    return text


def _length(sentence: Skeleton) -> int:
    return sum(word != SLOT for word in sentence)
