"""The parts of a policy: rules of rungs and features, whom other rules hold for, lists of names, and harm budgets."""

from datetime import UTC, date, datetime
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stream_app.detection.decisions import Action, split_key
from stream_app.detection.features import CODES

Probability = Annotated[float, Field(gt=0.5, lt=1)]
Share = Annotated[float, Field(gt=0, le=1)]
#: Long enough for every rule, short enough that no sum of times overflows.
MAX_DURATION_S = 366 * 86_400
Duration = Annotated[int, Field(gt=0, le=MAX_DURATION_S)]
Rung = Literal[Action.OBSERVE, Action.THROTTLE, Action.CHALLENGE, Action.BLOCK]
Mode = Literal["shadow", "enforced"]
Floor = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Words = Annotated[str, Field(min_length=1, max_length=200)]
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=512)]], Field(max_length=10_000)]

STRICT = ConfigDict(extra="forbid", frozen=True)


def check_known(codes: object) -> None:
    """Raise ``ValueError`` for feature codes that do not exist."""
    if unknown := sorted(set(codes) - set(CODES)):  # type: ignore[call-overload]
        raise ValueError(f"unknown feature {', '.join(unknown)}; known are {', '.join(CODES)}")


class RungRule(BaseModel):
    """When a rung is entered and left.

    ``enter`` and ``leave`` are scores: with .9999, one ordinary window in 10,000 gets that far by chance. ``after_s``
    is how long the subject must have stood on a lower rung (not allow) before this one. ``ttl_s`` doubles with every
    return within a day, up to ``max_ttl_s``. A rung in shadow ``mode`` is only ever simulated.
    """

    model_config = STRICT

    enter: Probability
    leave: Probability
    ttl_s: Duration
    max_ttl_s: Duration
    after_s: Annotated[int, Field(ge=0, le=MAX_DURATION_S)] = 0
    mode: Mode = "enforced"
    reason: Words | None = None

    @model_validator(mode="after")
    def _leaves_below(self) -> Self:
        if self.leave >= self.enter:
            raise ValueError("leave must be below enter, otherwise the rung flutters")
        if self.max_ttl_s < self.ttl_s:
            raise ValueError("max_ttl_s must not be below ttl_s")
        return self


class FeatureRule(BaseModel):
    """How one feature counts: never below ``floor`` (in the feature's unit), and never beyond the rung ``up_to``.

    A ``small_floor`` is for known tenants whose usual values lie far below ``floor``. Up to a ``newcomer_floor`` one
    that is not known yet is denied nothing: what it will ordinarily do is open.
    A feature in shadow ``mode`` leads to simulated decisions only.
    """

    model_config = STRICT

    floor: Floor
    small_floor: Floor | None = None
    newcomer_floor: Floor | None = None
    up_to: Rung
    mode: Mode = "enforced"
    reason: Words | None = None

    @property
    def least_floor(self) -> float:
        """The floor of the smallest tenants."""
        return self.floor if self.small_floor is None else min(self.floor, self.small_floor)

    @property
    def largest_floor(self) -> float:
        """The floor of newcomers, for what denies."""
        return self.floor if self.newcomer_floor is None else max(self.floor, self.newcomer_floor)

    def may(self, rung: Action, simulated: bool) -> bool:
        """Whether the feature may take its subject to a rung, by itself."""
        return self.up_to.severity >= rung.severity and (simulated or self.mode == "enforced")


class RungChange(BaseModel):
    """Other scores of one rung; what is not given stays."""

    model_config = STRICT

    enter: Probability | None = None
    leave: Probability | None = None


class FeatureChange(BaseModel):
    """Other rules of one feature; what is not given stays, but a ``floor`` alone holds for all tenants."""

    model_config = STRICT

    floor: Floor | None = None
    small_floor: Floor | None = None
    newcomer_floor: Floor | None = None
    up_to: Rung | None = None
    mode: Mode | None = None


class PolicyOverride(BaseModel):
    """Other thresholds for the tenants named, or for all on the plans named; later ones win, tenants over plans."""

    model_config = STRICT

    reason: Words
    tenants: Names = []
    plans: Names = []
    rungs: dict[Rung, RungChange] = {}
    features: dict[str, FeatureChange] = {}

    @field_validator("features")
    @classmethod
    def _are_known(cls, features: dict[str, FeatureChange]) -> dict[str, FeatureChange]:
        check_known(features)
        return features

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not self.tenants and not self.plans:
            raise ValueError("tenants or plans must name somebody")
        return self


class ListEntry(BaseModel):
    """One name on a list, by its control topic key, until the beginning of a day (UTC, event time)."""

    model_config = STRICT

    subject: str
    until: date

    @field_validator("subject")
    @classmethod
    def _is_a_key(cls, subject: str) -> str:
        scope, parts = split_key(subject)
        if (scope, len(parts)) not in {("tenant", 1), ("account", 2)} or not all(parts):
            raise ValueError(f"{subject!r} must be tenant:ID or account:TENANT/ACCOUNT")
        return subject

    @property
    def until_ms(self) -> int:
        """When the entry ends, in milliseconds since 1970."""
        return int(datetime(self.until.year, self.until.month, self.until.day, tzinfo=UTC).timestamp() * 1000)


class AllowEntry(ListEntry):
    """Scores of this subject change nothing; ``purpose`` says what it does, such as contracted distillation."""

    purpose: Words


class WatchEntry(ListEntry):
    """This subject is judged more strictly; ``reason`` says why, such as an entity list."""

    reason: Words


class Watched(BaseModel):
    """How much more strictly: floors times ``floor_share``, and rungs at ``odds`` times the tail probability."""

    model_config = STRICT

    floor_share: Share = 0.5
    odds: Annotated[float, Field(ge=1, le=100)] = 10.0


class HarmBudget(BaseModel):
    """How many subjects may be newly denied in an hour: a share of the active tenants, and never fewer than a few."""

    model_config = STRICT

    share: Share
    at_least: Annotated[int, Field(ge=0, le=1_000_000)] = 0


class HarmBudgets(BaseModel):
    """The declared harm: of single subjects, and of confirmed campaigns' members."""

    model_config = STRICT

    #: A small partition's half per cent is nobody; ten wrong denials an hour are what one person can undo.
    subjects: HarmBudget = HarmBudget(share=0.005, at_least=10)
    #: A campaign is thousands of accounts at once, confirmed as one.
    campaigns: HarmBudget = HarmBudget(share=0.15, at_least=10)


class Together(BaseModel):
    """Shape features of that many different kinds, moving together, may take a subject as far as ``up_to``.

    A newcomer is observed when ``newcomer_kinds`` of them are unusual among newcomers.
    """

    model_config = STRICT

    kinds: Annotated[int, Field(ge=2, le=10)] = 3
    newcomer_kinds: Annotated[int, Field(ge=2, le=10)] = 2
    up_to: Rung


class SmallTenants(BaseModel):
    """Floors of small tenants: ``times`` their usual value, and not for rungs beyond ``up_to``."""

    model_config = STRICT

    times: Annotated[float, Field(ge=1, le=1_000)] = 4.0
    up_to: Rung = Action.OBSERVE


#: A member of an enumeration that is named costs a call.
_DENYING = frozenset(action for action in Action if action.severity >= Action.THROTTLE.severity)


class Step(NamedTuple):
    """One way up the ladder: a rung, and whether it would be simulated."""

    rung: Action
    rule: RungRule
    simulated: bool

    @property
    def rank(self) -> tuple[bool, int, bool]:
        """Order of steps: what is enforced and denies stands above everything that is only simulated."""
        return rank(self.rung, self.simulated)


def denies(rung: Action) -> bool:
    """Whether a rung takes anything away from its subject."""
    return rung in _DENYING


def rank(rung: Action, simulated: bool) -> tuple[bool, int, bool]:
    """Place of a rung, simulated or not, in the order of steps."""
    return denies(rung) and not simulated, rung.severity, not simulated


class Circumstances(NamedTuple):
    """What about a subject makes other thresholds hold: ``soft_floors`` are (feature place, value) after a release."""

    tenant_id: str
    plan: str = ""
    is_watched: bool = False
    soft_floors: tuple[tuple[int, float], ...] = ()
