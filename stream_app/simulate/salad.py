"""Word salad: prompts without meaning, so that the streams carry sketches made by the real sketch functions."""

import numpy as np

from stream_app.sketches import Key, Sketch, sketch_prompt

#: Not a secret: it keys made-up text only, and every stream must come out the same everywhere.
SALAD_KEY = Key("simulated", bytes(range(32)))

#: Bodies sketched per wrapper. A sketch costs some 300 µs, an event may cost 30: so requests share a few.
BODIES_PER_WRAPPER = 6

WRAPPER_WORDS = 9
BODY_WORDS = 30

_VERBS = ("explain", "summarize", "translate", "rewrite", "classify", "describe", "evaluate", "compare")
_SYLLABLES = ("ba", "ce", "di", "fo", "gu", "ha", "ki", "lo", "mu", "na", "pe", "ri", "so", "ta", "ve", "zu")


def sketch_pool(seed: np.random.SeedSequence) -> list[Sketch]:
    """Sketches of one wrapper filled with several bodies, all under one system prompt."""
    rng = np.random.default_rng(seed)
    verb = _VERBS[rng.integers(len(_VERBS))]
    wrapper = f"Please {verb} the following text with {salad(rng, WRAPPER_WORDS)}"
    system = f"You are {salad(rng, WRAPPER_WORDS)}"
    return [
        sketch_prompt(f"{wrapper}: {salad(rng, BODY_WORDS)}", system, key=SALAD_KEY) for _ in range(BODIES_PER_WRAPPER)
    ]


def salad(rng: np.random.Generator, words: int) -> str:
    """Made-up words, as many as asked for."""
    picks = rng.integers(len(_SYLLABLES), size=(words, 3)).tolist()
    return " ".join("".join(_SYLLABLES[syllable] for syllable in word) for word in picks)
