"""Where an account's prompts come from, and their sketches, made by the real sketch functions."""

from collections import OrderedDict
from collections.abc import Callable
from random import Random

import msgspec
from msgspec import UNSET, Struct

from stream_app.simulate.campaigns.materials import Materials
from stream_app.simulate.campaigns.wrappers import application_wrapper
from stream_app.simulate.salad import SALAD_KEY
from stream_app.sketches import sketch_prompt

#: Sketches kept of texts that come again: common questions, public test sets, class assignments.
MAX_CACHED = 50_000


class Prompt(Struct, frozen=True):
    """What is sent. ``is_common`` says that others send the same text, so that its sketch is worth keeping."""

    text: str
    system: str | None = None
    tools: tuple[str, ...] = ()
    is_common: bool = False


#: Account number and event time in milliseconds to its next new prompt.
Source = Callable[[int, float, Random], Prompt]


class Sketches:
    """Prompts to the field ``prompt`` of their events; the text goes no further.

    Costs 100 to 200 µs for a text not seen lately. Keeps at most ``MAX_CACHED`` of the common ones.
    """

    def __init__(self) -> None:
        self._systems: dict[tuple[str | None, tuple[str, ...]], str | None] = {}
        self._cached: OrderedDict[Prompt, dict[str, object]] = OrderedDict()

    def sketched(self, prompt: Prompt) -> dict[str, object]:
        if not prompt.is_common:
            return self._made(prompt)
        if prompt not in self._cached:
            self._cached[prompt] = self._made(prompt)
            if len(self._cached) > MAX_CACHED:
                self._cached.popitem(last=False)
        return self._cached[prompt]

    def _made(self, prompt: Prompt) -> dict[str, object]:
        made: dict[str, object] = msgspec.to_builtins(sketch_prompt(prompt.text, key=SALAD_KEY))
        system = self._system(prompt.system, prompt.tools)
        return made if system is None else made | {"system": system}

    def _system(self, system: str | None, tools: tuple[str, ...]) -> str | None:
        """Few systems belong to many prompts, so each is digested once."""
        if (system, tools) not in self._systems:
            digest = sketch_prompt("", system, tools, key=SALAD_KEY).system
            self._systems[system, tools] = None if digest is UNSET else digest
        return self._systems[system, tools]


def people(materials: Materials) -> Source:
    """Questions of a person, three in four with a detail of their own."""

    def source(_account: int, _time_ms: float, rng: Random) -> Prompt:
        text, is_common = materials.asked(rng)
        return Prompt(text, is_common=is_common)

    return source


def applications(materials: Materials, wrapper_of: list[int]) -> Source:
    """The account's program fills its one wrapper with ever new material."""

    def source(account: int, _time_ms: float, rng: Random) -> Prompt:
        wrapper = application_wrapper(wrapper_of[account])
        return Prompt(wrapper.filled(materials.asked(rng)[0], rng), wrapper.system, wrapper.tools)

    return source
