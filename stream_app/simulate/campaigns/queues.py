"""A campaign's work queue: distinct materials under a few wrappers, each prompt once."""

from collections import deque
from collections.abc import Sequence
from random import Random

from stream_app.simulate.campaigns.materials import Materials
from stream_app.simulate.campaigns.prompts import Prompt
from stream_app.simulate.campaigns.wrappers import FAMILIES, Wrapper, drawn_wrapper

#: Items that may be tried again, on whichever account comes next.
RECENT_ITEMS = 300


class Queue:
    """Hands out items in order; the seed draws the wrappers, their order and how often an item is tried again.

    Wrappers come one after the other in runs, or mixed. ``paraphrase`` is the share of items that get a wrapper of
    their own, never used before. A cell of accounts may have wrappers that no other has.
    """

    def __init__(self, family: str, materials: Materials, seed: int, paraphrase: float = 0.0) -> None:
        rng = Random(seed)
        self._phrases = FAMILIES[family]
        self._materials = materials
        self._rng = rng
        self._paraphrase = paraphrase
        self.wrappers = self._drawn_wrappers(rng)
        self._seed = seed
        self._cells: dict[int, list[Wrapper]] = {}
        self._run = rng.choice((1, 1, 200, 1_500))
        self._retry_share = rng.uniform(0.0, 0.06)
        self._order = list(range(len(materials.queues)))
        if rng.random() < 0.6:
            rng.shuffle(self._order)
        self._recent: deque[Prompt] = deque(maxlen=RECENT_ITEMS)
        self._next = 0

    def next_item(self, cell: int | None = None) -> Prompt:
        """The next prompt to send, or now and then one that failed before; under the wrappers of a ``cell``, if any."""
        rng = self._rng
        if self._recent and rng.random() < self._retry_share:
            return rng.choice(self._recent)
        wrapper = self._wrapper(self.wrappers if cell is None else self._wrappers_of(cell))
        text = wrapper.filled(self._materials.queued(self._next, self._order), rng)
        self._next += 1
        prompt = Prompt(text, wrapper.system, wrapper.tools)
        self._recent.append(prompt)
        return prompt

    def old_item(self) -> Prompt:
        """One of the items sent lately, by an heir that takes over unfinished work."""
        return self._rng.choice(self._recent) if self._recent else self.next_item()

    def _wrapper(self, wrappers: Sequence[Wrapper]) -> Wrapper:
        if self._paraphrase and self._rng.random() < self._paraphrase:
            return drawn_wrapper(self._phrases, self._rng)
        if self._run == 1:
            return self._rng.choice(wrappers)
        return wrappers[self._next // self._run % len(wrappers)]

    def _wrappers_of(self, cell: int) -> list[Wrapper]:
        if cell not in self._cells:
            self._cells[cell] = self._drawn_wrappers(Random(f"{self._seed} {cell}"))
        return self._cells[cell]

    def _drawn_wrappers(self, rng: Random) -> list[Wrapper]:
        return [drawn_wrapper(self._phrases, rng) for _ in range(rng.randint(2, 7))]
