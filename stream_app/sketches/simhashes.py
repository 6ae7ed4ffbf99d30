"""Keyed 64-bit SimHash: near-duplicate texts differ in few bits, unrelated ones in about half.

M. Charikar, "Similarity estimation techniques from rounding algorithms", STOC 2002. Each distinct word and each
distinct pair of neighbouring words votes once on every bit.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from stream_app.sketches.keys import Key

#: Finalizer of MurmurHash3 (A. Appleby, public domain): mixes two word hashes into the hash of their pair.
_MIX = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53))
_HALF = np.uint64(33)


def word_hashes(words: Sequence[str], key: Key) -> NDArray[np.uint64]:
    """Keyed hash of each word, in the words' order; under 1 µs per distinct word."""
    keyed = blake2b(digest_size=8, key=key.secret, person=b"word")
    digests: dict[str, bytes] = {}
    for word in words:
        if word not in digests:
            digest = keyed.copy()
            digest.update(word.encode("utf-8", "surrogatepass"))
            digests[word] = digest.digest()
    return np.frombuffer(b"".join([digests[word] for word in words]), dtype="<u8")


def simhash(hashes: NDArray[np.uint64]) -> str:
    """16 hex digits from the hashes of a text's words in their order; zeros when there are none."""
    features = np.unique(np.concatenate((hashes, neighbour_pairs(hashes))))
    votes = np.unpackbits(features.view(np.uint8).reshape(-1, 8), axis=1).sum(axis=0, dtype=np.int64)
    return np.packbits(votes * 2 > len(features)).tobytes().hex()


def neighbour_pairs(hashes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash of each pair of neighbours, order and all; one fewer than there are words."""
    left, right = hashes[:-1], hashes[1:]
    pairs = left + (right << np.uint64(1) | right >> np.uint64(63))
    for factor in _MIX:
        pairs = (pairs ^ (pairs >> _HALF)) * factor
    mixed: NDArray[np.uint64] = pairs ^ (pairs >> _HALF)
    return mixed
