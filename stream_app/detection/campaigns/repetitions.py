"""Verdicts as the tenant stage reads them, each of them once."""

import msgspec

from stream_app.detection.decode import Rejected, RejectReason
from stream_app.detection.effects import EmitVerdict
from stream_app.detection.operators import Ignored, Instruction

_decoder = msgspec.json.Decoder(EmitVerdict)


class VerdictReader:
    """Understands the records of the verdicts topic, to be shown in order.

    The campaign stage writes its verdicts again when it has crashed before its checkpoint; they bear the same places
    in the signals, and are passed over.
    """

    def __init__(self) -> None:
        self._newest = (-1, -1)

    def parse(self, value: bytes) -> Instruction | Rejected:
        """The verdict, unless it is a repetition; never raises."""
        try:
            told = _decoder.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Rejected(RejectReason.INVALID, str(error) or "nested too deeply")
        place = (told.offset, told.number)
        if place <= self._newest:
            return Ignored()
        self._newest = place
        return told.verdict
