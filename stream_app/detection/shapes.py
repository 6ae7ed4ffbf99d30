"""How a tenant asks, minute by minute: what optional fields tell, and the shape features made of it."""

from collections.abc import Iterable, Sequence
from zlib import crc32

from msgspec import UNSET, Struct, field
from msgspec.structs import astuple

from stream_app.detection.events import Event, Prompt
from stream_app.detection.features import CODES

#: Distinct values told apart in a minute, of each kind; exact below, and nobody ordinary comes near.
MAX_DISTINCT = 24
#: The first prompts of a minute that later ones are compared with, and the bits of a SimHash in which they may differ
#: to count as the same again (6 of 64: a changed suffix; unrelated prompts differ in 32 ± 4).
MAX_RECENT, SAME_BITS = 8, 6
#: Least output limit that a client may be said to make the most of. Of a label, a verdict or a sign of life, which end
#: after some words, it says nothing for how many of these there was room.
LONG_OUTPUT = 256
#: Scores of prompts count as far as they are above this: below, they are the noise that every classifier has.
SCORE_NOISE = 0.5


class Shape(Struct, array_like=True, gc=False):
    """What the optional fields of a minute's served requests told; a minute without any has none.

    Distinct values are CRC-32s, in dicts because garbage collection looks at every list. ``recent`` are the minute's
    first SimHashes, dropped when it closes.
    """

    capped: int = 0
    capped_output: int = 0
    max_tokens: int = 0
    reasoned: int = 0
    reasoning_tokens: int = 0
    refused: int = 0
    timed: int = 0
    latency_ms: int = 0
    logprobs: int = 0
    prompts: int = 0
    repeats: int = 0
    scored: int = 0
    jailbreak: float = 0.0
    cot_elicitation: float = 0.0
    prefixes: dict[int, None] = field(default_factory=dict)
    ja4s: dict[int, None] = field(default_factory=dict)
    templates: dict[int, None] = field(default_factory=dict)
    parameters: dict[int, None] = field(default_factory=dict)
    recent: dict[int, None] = field(default_factory=dict)

    def add_tokens(self, event: Event) -> None:
        """Count what the client set, what it took, and what was refused."""
        if (latency_ms := event.latency_ms) is not UNSET:
            self.timed += 1
            self.latency_ms += round(latency_ms)
        if (max_tokens := event.max_tokens) is not UNSET and max_tokens >= LONG_OUTPUT:
            self.capped += 1
            self.max_tokens += max_tokens
            self.capped_output += event.output_tokens
        if (reasoning_tokens := event.reasoning_tokens) is not UNSET:
            self.reasoned += 1
            self.reasoning_tokens += reasoning_tokens
        if event.logprobs is True:
            self.logprobs += 1
        if event.refused is True:
            self.refused += 1
        if event.temperature is not UNSET or event.n is not UNSET:
            _add_distinct(self.parameters, f"{event.temperature}/{event.n}")

    def add_prompt(self, prompt: Prompt) -> None:
        """Count a prompt, and whether it is nearly one of the minute's first."""
        if prompt.simhash is not UNSET:
            simhash = int(prompt.simhash, 16)
            self.prompts += 1
            recent = self.recent
            for known in recent:
                if (simhash ^ known).bit_count() <= SAME_BITS:
                    self.repeats += 1
                    break
            else:
                if len(recent) < MAX_RECENT:
                    recent[simhash] = None
        if prompt.templates is not UNSET:
            for template in prompt.templates:
                _add_distinct(self.templates, template)

    def add_scores(self, scores: dict[str, float]) -> None:
        """Count what two scores exceed the noise by, as shares of what they could."""
        self.scored += 1
        if (score := scores.get("jailbreak", 0.0)) > SCORE_NOISE:
            self.jailbreak += (score - SCORE_NOISE) / (1.0 - SCORE_NOISE)
        if (score := scores.get("cot_elicitation", 0.0)) > SCORE_NOISE:
            self.cot_elicitation += (score - SCORE_NOISE) / (1.0 - SCORE_NOISE)


def add_shape(shape: Shape | None, event: Event, is_other_client: bool) -> Shape | None:
    """Count a served request's optional fields; nothing is made for one without any.

    ``is_other_client`` is whether the client may not be among the shape's yet: most requests come from the last one.
    """
    client, prompt, scores = event.client, event.prompt, event.scores
    if (
        client is UNSET
        and prompt is UNSET
        and scores is UNSET
        and event.latency_ms is UNSET
        and event.max_tokens is UNSET
        and event.temperature is UNSET
        and event.reasoning_tokens is UNSET
        and event.logprobs is UNSET
        and event.n is UNSET
        and event.refused is UNSET
    ):
        return shape
    if shape is None:
        shape = Shape()
    shape.add_tokens(event)
    if is_other_client and client is not UNSET:
        if client.ip_prefix is not UNSET:
            _add_distinct(shape.prefixes, client.ip_prefix)
        if client.ja4 is not UNSET:
            _add_distinct(shape.ja4s, client.ja4)
    if prompt is not UNSET:
        shape.add_prompt(prompt)
    if scores is not UNSET:
        shape.add_scores(scores)
    return shape


def _add_distinct(known: dict[int, None], value: str) -> None:
    if len(known) < MAX_DISTINCT:
        known[crc32(value.encode())] = None


_PLACES = {code: place for place, code in enumerate(CODES)}


def optional_values(shapes: Iterable[Shape], requests: int) -> list[tuple[int, float]]:
    """Values of the features that rest on optional fields, over some minutes with that many served requests.

    A feature whose fields nobody sent has no value: absence is no evidence. Only of parameters it is known what it
    means: all requests have the same, the model's own.
    """
    parts = list(shapes)
    if not parts:
        return []
    columns = zip(*(astuple(shape)[: len(SUMMED)] for shape in parts), strict=True)
    values = summed_values([*map(sum, columns)], requests)
    for name, place in _DISTINCT.items():
        if distinct := {fingerprint for shape in parts for fingerprint in getattr(shape, name)}:
            values.append((place, len(distinct)))
        elif name == "parameters":
            values.append((place, 1))
    return values


def summed_values(sums: Sequence[float], requests: int) -> list[tuple[int, float]]:
    """Values of the features that rest on sums of optional fields, given in the order of ``SUMMED``."""
    total = dict(zip(SUMMED, sums, strict=True))
    found: dict[str, float] = {}
    if total["capped"] and total["max_tokens"]:
        found["output_of_max_percent_600s"] = 100.0 * total["capped_output"] / total["max_tokens"]
    if total["reasoned"]:
        found["reasoning_per_request_600s"] = total["reasoning_tokens"] / total["reasoned"]
    if total["prompts"]:
        found["repeated_prompts_percent_600s"] = 100.0 * total["repeats"] / total["prompts"]
    if total["scored"]:
        found["jailbreak_percent_600s"] = 100.0 * total["jailbreak"] / total["scored"]
        found["cot_elicitation_percent_600s"] = 100.0 * total["cot_elicitation"] / total["scored"]
    found["refused_percent_600s"] = 100.0 * total["refused"] / requests
    found["logprobs_percent_600s"] = 100.0 * total["logprobs"] / requests
    return [(_PLACES[code], value) for code, value in found.items()]


#: Fields of a shape that are sums; the others are values told apart.
SUMMED = Shape.__struct_fields__[: Shape.__struct_fields__.index("prefixes")]
_DISTINCT = {
    "prefixes": _PLACES["prefixes_600s"],
    "ja4s": _PLACES["ja4s_600s"],
    "templates": _PLACES["templates_600s"],
    "parameters": _PLACES["parameter_sets_600s"],
}
