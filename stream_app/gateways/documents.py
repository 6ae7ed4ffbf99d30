"""JSON objects, and those that gateways write inside of text."""

from collections.abc import Mapping

import msgspec

Record = Mapping[str, object]


def read_json(value: object) -> object:
    """What text holds as JSON, anything else as it is; None when the text is no JSON."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None
