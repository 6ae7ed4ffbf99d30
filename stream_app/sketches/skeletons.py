"""Skeletons: the parts of a prompt that stay when the same wrapper is filled with other material.

One prompt does not say what is wrapper and what is material, so this goes by form: quotations, code, tagged blocks,
list items, numbers, names and what follows a colon are taken for material and become slots; what is left is cut into
sentences, and those that instruct are the skeletons. Much of what is written for models has nothing else: instructions
in tags, in lists, after colons. So what instructs there comes next. Of a prompt that is JSON each string is looked at
so. A skeleton does not know its place: the same wrapper before or after the material gives the same one. Material that
is woven into a sentence without any mark stays part of it.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

import msgspec

from stream_app.sketches.words import WORD_PATTERN

Skeleton = tuple[str, ...]

SLOT = "▮"

#: The contract's limit of templates in one event, and how many of a prompt suffice: the campaign stage keeps three.
MAX_SKELETONS, _ENOUGH = 4, 3

#: A wrapper stands at the edges of a prompt; longer prompts are judged by this much of each edge.
EDGE_CHARS = 4_000

#: Shorter skeletons, such as "answer the question", are common property and would join strangers.
MIN_WORDS = 4

#: So many instructing words make a sentence an instruction; one alone occurs in any material.
MIN_CUES = 2

#: Words by which people tell a model what to do, a block a language or two: English, German, Spanish, French, Italian
#: and Portuguese, Russian, Chinese (characters, some of them Japanese).
CUES = frozenset(
    re.findall(
        r"\w+",
        """
        above act always analyse analyze answer answers assistant based below classify compare context correct correctly
        describe detail detailed evaluate explain extract final following format generate given improve include input
        instruction instructions json list must never only output passage please problem provide question rate reason
        reasoning reply respond response return rewrite sentence show solution solve step steps summarise summarize
        task text think topic translate using write you your

        antwort antworte aufgabe bearbeite begründe beispiel beschreibe bewerte bitte denke erkläre erstelle folgende
        folgenden frage gib löse schreibe schritt schritte text überlegungen übersetze verfasse

        cada contexto describe detalle ejemplo escribe evalúa explica genera instrucciones justifica paso pasos piensa
        pregunta problema razonamiento responde respuesta respuestas resuelve resume siguiente tarea texto traduce

        chaque consigne contexte décris détaille explique étape étapes exemple génère justifie pense problème question
        raisonnement rédige réfléchis réponds réponse résous résume suivant suivante tâche texte traduis écris

        compito domanda passo pensa problema ragionamento risolvi rispondi risposta scrivi seguente spiega testo traduci
        escreva explique gere passo pense pergunta problema raciocínio resolva responda resposta seguinte tarefa traduza

        вопрос все задачу задача напиши объясни ответ ответь опиши переведи подробно подумай пример реши рассуждения
        следующий следующую текст шаг шагам шагами

        请 請 答 步 骤 写 寫 译 譯 訳 释 釋 述 详 詳 细 題 题
        """,
    )
)

_NUMBERS = "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|fifty|hundred|thousand"
_ITEM = r"[\w'’-]+"

_TAGGED = re.compile(r"<(?P<tag>\w+)[^<>]*>.*?</(?P=tag)>", re.DOTALL)
_TAG = re.compile(r"</?[^\W\d][\w.:-]*(?:\s[^<>]*)?/?>")
_MATERIAL = re.compile(
    r"""
      ```.*?(?:```|\Z)
    | \"{3}.*?(?:\"{3}|\Z)
    | "[^"]*" | “[^”]*” | „[^“”]*[“”] | «[^»]*» | 「[^」]*」 | `[^`\n]+`
    | (?<!\w)['‘][^'’\n]+['’](?!\w)
    | \{[^{}]*\} | \[[^\[\]]*\]
    | https?://\S+
    """,
    re.VERBOSE | re.DOTALL,
)
_BULLET = r"^[ \t]*(?:[-*•–+]|\(?(?:\d{1,3}|[A-Za-z])[.)])[ \t]+"
_LIST_LINE = re.compile(rf"{_BULLET}\S.*$", re.MULTILINE)
_BREAK = re.compile(rf"{_BULLET}|:(?=\s)|：", re.MULTILINE)
_AFTER_COLON = re.compile(r":(?:[ \t]+\S[^\n]*|[ \t]*\n\s*[^\n]+)")
_INLINE_LIST = re.compile(rf"(?<![\w'’-]){_ITEM}(?:(?:, {_ITEM})+,? (?:and|or) {_ITEM}|(?:, {_ITEM}){{2,}})")
_NUMBER = re.compile(rf"\d[\d.,:/%-]*|\b(?:{_NUMBERS})\b")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+(?:[ -][A-Z][a-z]+)*")
_SENTENCE_END = re.compile(r"[.!?;]+(?=\s|$)|[。！？；]|\n+")
_WORD_OR_SLOT = re.compile(rf"{SLOT}|{WORD_PATTERN}")


def skeletons(text: str) -> list[Skeleton]:
    """At most four distinct skeletons of normalized text, those at its edges first.

    Sentences that instruct are preferred, and among them those that are no material by their form. A prompt without any
    (as in languages the cue words do not cover) gives its first and its last sentence.
    """
    text = _edges(_unfolded(text))
    outside = _candidates(_masked(text))
    found = _instructing(outside)
    if len(found) >= _ENOUGH:
        return found[:MAX_SKELETONS]
    inside = _candidates(_opened(text)) if _TAG.search(text) or _BREAK.search(text) else outside
    ends = outside or inside
    return _distinct(found + _instructing(inside))[:_ENOUGH] or _distinct(ends[:1] + ends[-1:])


def _candidates(text: str) -> list[Skeleton]:
    return [sentence for sentence in sentences(text) if _length(sentence) >= MIN_WORDS]


def _instructing(candidates: list[Skeleton]) -> list[Skeleton]:
    """From both ends inwards."""
    told = [sentence for sentence in candidates if len(CUES.intersection(sentence)) >= MIN_CUES]
    return _distinct(sentence for pair in zip(told, reversed(told), strict=True) for sentence in pair)


def _distinct(found: Iterable[Skeleton]) -> list[Skeleton]:
    return list(dict.fromkeys(found))


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
    """The strings of a prompt that is JSON, a line each: some of them instruct, others are material."""
    if (text.lstrip()[:1], text.rstrip()[-1:]) not in {("{", "}"), ("[", "]")}:
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
    """Without anything that looks like material."""
    for material in (_TAGGED, _MATERIAL, _LIST_LINE):
        text = material.sub(SLOT, text)
    return _without_names(_AFTER_COLON.sub(f": {SLOT}\n", text))


def _opened(text: str) -> str:
    """With what is tagged, listed or after a colon, each on lines of its own."""
    for mark, instead in ((_TAG, "\n"), (_MATERIAL, SLOT), (_BREAK, "\n")):
        text = mark.sub(instead, text)
    return _without_names(text)


def _without_names(text: str) -> str:
    for material in (_INLINE_LIST, _NAME):
        text = material.sub(SLOT, text)
    return text


def _length(sentence: Skeleton) -> int:
    return sum(word != SLOT for word in sentence)
