"""One prompt to its sketch."""

from collections.abc import Sequence

import numpy as np
from msgspec import UNSET, Struct, UnsetType
from numpy.typing import NDArray

from stream_app.sketches.keys import Key
from stream_app.sketches.simhashes import simhash, word_hashes
from stream_app.sketches.skeletons import Skeleton, sentences, skeletons
from stream_app.sketches.words import normalized, words


class ExchangeSketch(Struct, frozen=True):
    """The prompt once more, under a key that is shared with partner providers."""

    key_id: str
    simhash: str
    templates: list[str]


class Sketch(Struct, frozen=True):
    """What of a prompt may leave the edge: field ``prompt`` of an event, all of it keyed except ``chars``.

    ``simhash`` covers the whole user prompt, ``body_simhash`` its words outside the skeletons (the whole prompt when
    there are none). ``templates`` holds up to four digests in sorted order, one per skeleton.
    """

    key_id: str
    simhash: str
    body_simhash: str
    templates: list[str]
    chars: int
    system: str | UnsetType = UNSET
    exchange: ExchangeSketch | UnsetType = UNSET


def sketch_prompt(
    text: str,
    system: str | None = None,
    tools: Sequence[str] | None = None,
    *,
    key: Key,
    exchange: Key | None = None,
) -> Sketch:
    """Sketch a user prompt; ``system`` and the names of ``tools`` go into field ``system`` alone.

    ``exchange`` is a key shared with partners: nothing can be hashed under it later, when the text is gone.
    """
    plain = normalized(text)
    all_words = words(plain)
    hashes = word_hashes(all_words, key)
    wrappers = skeletons(plain)
    return Sketch(
        key_id=key.key_id,
        simhash=simhash(hashes),
        body_simhash=simhash(hashes[_body(all_words, wrappers)]),
        templates=_templates(wrappers, key),
        chars=len(text),
        system=_system_digest(system, tools, key) if system or tools else UNSET,
        exchange=UNSET if exchange is None else _exchanged(all_words, wrappers, exchange),
    )


def _templates(wrappers: list[Skeleton], key: Key) -> list[str]:
    return sorted(key.digest(b"template", " ".join(wrapper)) for wrapper in wrappers)


def _exchanged(all_words: list[str], wrappers: list[Skeleton], key: Key) -> ExchangeSketch:
    return ExchangeSketch(key.key_id, simhash(word_hashes(all_words, key)), _templates(wrappers, key))


def _body(all_words: list[str], wrappers: list[Skeleton]) -> NDArray[np.bool_]:
    """Which words belong to the body: those no skeleton has, or all of them."""
    wrapping = {word for wrapper in wrappers for word in wrapper}
    is_body = np.array([word not in wrapping for word in all_words], dtype=np.bool_)
    return is_body if is_body.any() else ~is_body


def _system_digest(system: str | None, tools: Sequence[str] | None, key: Key) -> str:
    """Free of order, case and numbers: a date in the system prompt must not give a new digest every day."""
    rules = sorted({" ".join(sentence) for sentence in sentences(normalized(system or ""))})
    names = sorted({normalized(name).casefold() for name in tools or ()})
    return key.digest(b"system", "\n".join([*rules, "", *names]))
