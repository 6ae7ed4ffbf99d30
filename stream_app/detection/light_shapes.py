"""How a light tenant asks: shapes over its last ten requests or so, however long they took.

A ten-minute window of fewer than ten requests says nothing. For a tenant that is so light, blocks of ten minutes are
gathered until ten requests are together, a day at most::

    gathered     |-- 5 requests --|- 6 -|      the newest that make ten with what is open; older ones are dropped
    open block                          |- 3 -|  + the minutes of its own block so far

They are judged while requests come, and for as long as the ten took after the last: whoever pauses for longer is
silent. They are learned once per ten requests.
"""

from collections.abc import Sequence
from operator import add

from msgspec import Struct, field
from msgspec.structs import astuple

from stream_app.detection.features import ASKING, CODES, MIN_SHAPE_REQUESTS
from stream_app.detection.shapes import SUMMED, Shape, summed_values
from stream_app.detection.windows import LONG_MINUTES, Windows, block_end

#: Requests that are further apart than a day say nothing together.
_MAX_MINUTES = 1440
#: Gathered parts smaller than this are made one with the next: three of them at most.
_MIN_PART = 5
#: Sums that mean nothing beyond a window of ten minutes: prompts are compared within a minute, latency with others'.
_LEFT_OUT = tuple(SUMMED.index(name) for name in ("timed", "latency_ms", "prompts", "repeats"))
_MASSES = SUMMED.index("jailbreak"), SUMMED.index("cot_elicitation")
_INPUT_PER_REQUEST, _OUTPUT_PER_REQUEST, _OUTPUT_PER_INPUT = (
    CODES.index(f"{name}_600s") for name in ("input_per_request", "output_per_request", "output_per_input_percent")
)
#: Values told apart, and the features that count them. Ten requests from as many networks are a key in many hands,
#: however long they took.
_DISTINCT = {
    name: CODES.index(f"{code}_600s")
    for name, code in (("parameters", "parameter_sets"), ("prefixes", "prefixes"), ("ja4s", "ja4s"))
}
#: The features that have a value over such a window: what they say does not depend on how long it took.
LIGHT_PLACES = ASKING - {CODES.index("repeated_prompts_percent_600s")} | set(_DISTINCT.values())


def window_requests(is_watched: bool) -> int:
    """How many requests a window should hold: of who stands on a rung twice as many, so that chance releases nobody."""
    return MIN_SHAPE_REQUESTS * (2 if is_watched else 1)


class Part(Struct, array_like=True, gc=False):
    """What some requests told, in the minutes from ``first`` to ``last``; some 50 bytes.

    ``sums`` are those of ``Shape``, none if no optional field was there; distinct values are CRC-32s, in order.
    """

    first: int
    last: int
    requests: int
    input_tokens: int
    output_tokens: int
    sums: list[int | float] = field(default_factory=list)
    parameters: dict[int, None] = field(default_factory=dict)
    prefixes: dict[int, None] = field(default_factory=dict)
    ja4s: dict[int, None] = field(default_factory=dict)


class LightWindow(Struct, array_like=True, gc=False):
    """A window that was judged: its requests, and the minutes from the first to the last of them."""

    requests: int
    minutes: int


class LightShapes(Struct, array_like=True, gc=False):
    """What is gathered of one light tenant; some 150 bytes.

    ``unlearned`` counts requests since shapes were learned last. ``judged`` is the window behind the values that were
    judged last, if it was one of these.
    """

    parts: list[Part] = field(default_factory=list)
    unlearned: int = 0
    judged: LightWindow | None = None

    def is_due(self, new: Part) -> bool:
        """Whether ten requests are together, with those of a block, since shapes were learned last."""
        return self.unlearned + new.requests >= MIN_SHAPE_REQUESTS

    def gather(self, new: Part, minute: int, is_watched: bool) -> None:
        """Take in the block that ends with a closed minute.

        One which holds enough by itself begins anew; of who ``is_watched`` it is kept as if it just held enough, so
        that there is no time in which nothing can be said.
        """
        most = window_requests(is_watched)
        self.unlearned = 0 if self.is_due(new) else self.unlearned + new.requests
        if new.requests >= most:
            self.parts = [_scaled(new, most)] if is_watched else []
            return
        if self.parts and self.parts[-1].requests < _MIN_PART:
            new = _merged([self.parts.pop(), new])
        self.parts = [part for part in self.parts if part.first > minute - _MAX_MINUTES]
        self.parts.append(new)
        while sum(part.requests for part in self.parts[1:]) >= most:
            del self.parts[0]


def light_values(
    light: LightShapes, new: Part | None, minute: int, least: int, wanted: int
) -> tuple[LightWindow | None, list[tuple[int, float]]]:
    """The window of ``wanted`` requests that ends with a minute, and its values; nothing with less than ``least``.

    ``new`` is what the minute's block has told up to it.
    """
    chosen = [new] if new else []
    requests = new.requests if new else 0
    for part in reversed(light.parts):
        if requests >= wanted or part.first <= minute - _MAX_MINUTES:
            break
        requests += part.requests
        chosen.append(part)
    if requests < least:
        return None, []
    first, last = chosen[-1].first, chosen[0].last
    window = LightWindow(requests, max(last - first + 1, LONG_MINUTES))
    return (window, _values(_merged(chosen[::-1]))) if minute - last < window.minutes else (None, [])


def _values(total: Part) -> list[tuple[int, float]]:
    values = [
        (_INPUT_PER_REQUEST, total.input_tokens / total.requests),
        (_OUTPUT_PER_REQUEST, total.output_tokens / total.requests),
    ]
    if total.input_tokens:
        values.append((_OUTPUT_PER_INPUT, 100.0 * total.output_tokens / total.input_tokens))
    if not total.sums:
        return values
    for name, place in _DISTINCT.items():
        if count := len(getattr(total, name)) or int(name == "parameters"):  # none set: the model's own
            values.append((place, count))
    return values + summed_values(total.sums, total.requests)


def _block_start(minute: int) -> int:
    return block_end(minute) - LONG_MINUTES + 1


def open_part(windows: Windows, minute: int) -> Part | None:
    """What the block of a minute has told up to it; ``None`` if nothing was served."""
    first = _block_start(minute)
    active = [index for index in range(first, minute + 1) if index in windows.minutes]
    parts = [windows.minutes[index] for index in active]
    if minute <= windows.closed_minute:
        requests, input_tokens, output_tokens = 0, 0, 0
        for part in parts:
            requests += part.requests
            input_tokens += part.input_tokens
            output_tokens += part.output_tokens
    else:
        requests, input_tokens, output_tokens, _, _ = windows.sum_from(first, minute)
    if not requests:
        return None
    shapes = [part.shape for part in parts if part.shape is not None]
    new = Part(active[0], active[-1], requests, input_tokens, output_tokens, _sums(shapes))
    _tell_apart(new, shapes)
    return new


def _tell_apart(part: Part, others: Sequence[Shape | Part]) -> None:
    """Give a part the distinct values of others."""
    for name in _DISTINCT:
        if values := {value for other in others for value in getattr(other, name)}:
            setattr(part, name, dict.fromkeys(sorted(values)))


def _sums(shapes: Sequence[Shape]) -> list[int | float]:
    if not shapes:
        return []
    sums: list[int | float] = list(astuple(shapes[0])[: len(SUMMED)])
    for shape in shapes[1:]:
        sums = list(map(add, sums, astuple(shape)))
    for place in _LEFT_OUT:
        sums[place] = 0
    return _short(sums)


def _merged(parts: Sequence[Part]) -> Part:
    total, *others = parts
    if not others:
        return total
    total = Part(total.first, parts[-1].last, total.requests, total.input_tokens, total.output_tokens, total.sums)
    for part in others:
        total.requests += part.requests
        total.input_tokens += part.input_tokens
        total.output_tokens += part.output_tokens
        if total.sums and part.sums:
            total.sums = list(map(add, total.sums, part.sums))
        else:
            total.sums = total.sums or part.sums
    _short(total.sums)
    _tell_apart(total, parts)
    return total


def _scaled(part: Part, most: int) -> Part:
    """The same shape as if it had been so many requests."""
    return Part(
        part.first,
        part.last,
        most,
        part.input_tokens * most // part.requests,
        part.output_tokens * most // part.requests,
        _short([value * most // part.requests for value in part.sums]),
        *(dict.fromkeys(list(getattr(part, name))[:most]) for name in _DISTINCT),
    )


def _short(sums: list[int | float]) -> list[int | float]:
    """The same sums in fewer encoded bytes: the masses of scores are nothing for most."""
    if sums:
        for place in _MASSES:
            if float(sums[place]).is_integer():
                sums[place] = int(sums[place])
    return sums
