"""The switch that people hold over all limiters: whether decisions are obeyed at all."""

import msgspec
from msgspec import Struct

from stream_app.detection.operators import Enforcement, RecordType, parse_operator


class _Kind(Struct, frozen=True):
    """What a record is about; of the others, policies above all, no more is looked at."""

    type: str


_kind = msgspec.json.Decoder(_Kind)


def read_switch(value: bytes | None) -> Enforcement | None:
    """What a record of the operator topic says of enforcement: nothing, as most; never raises.

    One that workers refuse changes nothing here either.
    """
    try:
        is_meant = _kind.decode(value or b"").type == RecordType.ENFORCEMENT
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    instruction = parse_operator(value) if is_meant else None
    return instruction if isinstance(instruction, Enforcement) else None
