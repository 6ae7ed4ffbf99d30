"""The part of a policy about values that a campaign's members share."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from stream_app.detection.decisions import Action
from stream_app.detection.rules import STRICT, Mode

#: No throttle: what one ordinary customer asks for says nothing of a card or a prefix.
LinkAction = Literal[Action.OBSERVE, Action.CHALLENGE, Action.BLOCK]


class LinkRules(BaseModel):
    """What may be decided on shared values, by scope; a scope without an action is left alone.

    ``at_least`` members of the act set must carry a value, and at most ``outsiders`` others.
    """

    model_config = STRICT

    mode: Mode = "shadow"
    payment_fp: LinkAction | None = None
    signup_fp: LinkAction | None = None
    ip_prefix: LinkAction | None = None
    #: Fewer are a family, an office or a team.
    at_least: Annotated[int, Field(ge=3, le=1_000)] = 5
    #: Two strangers may be members that have not shown themselves yet; more are people who would be harmed.
    outsiders: Annotated[int, Field(ge=0, le=10)] = 2
