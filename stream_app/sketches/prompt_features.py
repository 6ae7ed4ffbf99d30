"""Hashed features of one prompt's text, the same in training and at the edge.

Features: distinct words and distinct pairs of neighbouring words (in scripts without spaces, characters and pairs of
characters), hashed into a fixed number of buckets, and the cues. No feature can be turned back into text: countless
words and pairs share each bucket.
"""

from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from stream_app.sketches.cues import CUE_NAMES, find_cues
from stream_app.sketches.simhashes import neighbour_pairs
from stream_app.sketches.words import normalized, words

#: Weights per score: 64 KiB in half precision, so that two scores stay small beside any program.
BUCKETS = 1 << 15
SIZE = BUCKETS + len(CUE_NAMES)

#: What instructs stands at a prompt's edges; of longer prompts so much of each edge is read, which bounds the cost.
EDGE_CHARS = 4_000


class Features(NamedTuple):
    """Places of a prompt's features among ``SIZE`` weights, and the one value that its word features have.

    Word features share a length of one, whatever the prompt's length; a cue has the value one for itself.
    """

    places: NDArray[np.int64]
    word_value: float
    cues: list[int]


def prompt_features(text: str) -> Features:
    """Features of any text; one without words has no word features."""
    plain = normalized(text if len(text) <= 2 * EDGE_CHARS else f"{text[:EDGE_CHARS]}\n{text[-EDGE_CHARS:]}")
    text_words = words(plain)
    distinct = {word: crc32(word.encode("utf-8", "surrogatepass")) for word in set(text_words)}
    hashes = np.array([distinct[word] for word in text_words], dtype=np.uint64)
    features = np.unique(np.concatenate((hashes, neighbour_pairs(hashes))) % np.uint64(BUCKETS)).astype(np.int64)
    cues = [BUCKETS + place for place in find_cues(plain, text_words)]
    return Features(features, 1.0 / max(1.0, float(len(features))) ** 0.5, cues)
