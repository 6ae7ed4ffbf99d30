"""Prompts as gateways see them, reduced to sketches: the only place here that reads text."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from stream_app.gateways.events import as_text
from stream_app.sketches import Key, PromptScorer, sketch_prompt

#: What LiteLLM puts in the place of text when an operator has turned the logging of messages off.
REDACTED = "redacted-by-litellm"


class Prompt(Struct, frozen=True):
    """The newest message of the user, the system prompt, and the tools' names."""

    text: str
    system: str | None
    tools: list[str]


class Sketcher:
    """Makes the fields ``prompt`` and ``scores`` from a prompt; 1 ms for some 2,000 characters."""

    def __init__(self, key: Key, exchange: Key | None, scorer: PromptScorer) -> None:
        self._key = key
        self._exchange = exchange
        self._scorer = scorer

    def fields(self, prompt: Prompt | None) -> dict[str, object]:
        """Fields of an event; none without a prompt."""
        if prompt is None:
            return {}
        sketch = sketch_prompt(prompt.text, prompt.system, prompt.tools, key=self._key, exchange=self._exchange)
        return {"prompt": msgspec.to_builtins(sketch), "scores": dict(self._scorer.score(prompt.text))}


def read_prompt(messages: object, system: object = None, tools: object = None) -> Prompt | None:
    """The prompt of a request, None when there is no text of a user.

    ``messages`` is text, a list of texts, or a conversation: OpenAI's and Anthropic's with ``content``, OpenTelemetry's
    with ``parts``. ``system`` and the names of ``tools`` are what stands outside of it.
    """
    conversation = [messages] if isinstance(messages, str) else messages
    if not isinstance(conversation, Sequence):
        return None
    rules, text = _text(system), ""
    for message in conversation:
        if isinstance(message, str):
            text = message
        elif isinstance(message, Mapping):
            said = _text(message.get("content") or message.get("parts"))
            if message.get("role") in {"system", "developer"}:
                rules = f"{rules}\n{said}" if rules else said
            elif message.get("role") == "user" and said:
                text = said
    if not text or text == REDACTED:
        return None
    return Prompt(text, rules or None, tool_names(tools))


def tool_names(tools: object) -> list[str]:
    """Names of the tools a request offers, in whatever shape they are described."""
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        return []
    described = [tool.get("function", tool) for tool in tools if isinstance(tool, Mapping)]
    names = [as_text(tool.get("name")) for tool in described if isinstance(tool, Mapping)]
    return [name for name in names if name]


def _text(content: object) -> str:
    """Text of a message: as it is, or of the parts that are text, and of no others."""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence):
        return ""
    found = []
    for piece in content:
        if isinstance(piece, str):
            found.append(piece)
        elif isinstance(piece, Mapping) and piece.get("type", "text") in {"text", "input_text"}:
            found.append(as_text(piece.get("text")) or as_text(piece.get("content")) or "")
    return "\n".join(filter(None, found))
