"""What a limiter answers."""

from msgspec import Struct

from stream_app.detection.decisions import Action


class Allowance(Struct, frozen=True):
    """The answer to one check.

    ``action``, ``reason_code`` and ``decision_id`` are those of the decision that spoke; without one they are allow,
    ``no_decision`` and None. ``simulated``: the decision was made in shadow mode, so the request is allowed
    although ``action`` may say otherwise. A denial with action challenge may be lifted by the gateway's own challenge.
    ``retry_after_s`` is 0 when allowed. A request of more tokens than a throttle gives in a minute never fits: it is
    told to wait for the end of the decision, while smaller ones may pass before.
    """

    allowed: bool
    action: Action
    reason_code: str
    decision_id: str | None = None
    retry_after_s: int = 0
    simulated: bool = False
