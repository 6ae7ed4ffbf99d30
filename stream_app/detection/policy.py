"""The policy: which scores reach which rung of the ladder, for how long, and below which size nothing matters."""

import re
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from stream_app.detection.decisions import Action
from stream_app.detection.features import CODES, FEATURES
from stream_app.detection.scorers import t_quantile

Probability = Annotated[float, Field(gt=0.5, lt=1)]
#: Long enough for every rule, short enough that no sum of times overflows.
MAX_DURATION_S = 366 * 86_400
Duration = Annotated[int, Field(gt=0, le=MAX_DURATION_S)]
Rung = Literal[Action.OBSERVE, Action.THROTTLE, Action.CHALLENGE, Action.BLOCK]

_STRICT = ConfigDict(extra="forbid", frozen=True)


class PolicyError(ValueError):
    """The policy cannot be used; the message names file, line and key of everything wrong, one line each."""


class RungRule(BaseModel):
    """When a rung is entered and left.

    ``enter`` and ``leave`` are scores: with .9999, one ordinary window in 10,000 gets that far by chance. ``after_s``
    is how long the subject must have stood on a lower rung (not allow) before this one. ``ttl_s`` doubles with every
    return within a day, up to ``max_ttl_s``.
    """

    model_config = _STRICT

    enter: Probability
    leave: Probability
    ttl_s: Duration
    max_ttl_s: Duration
    after_s: Annotated[int, Field(ge=0, le=MAX_DURATION_S)] = 0

    @model_validator(mode="after")
    def _leaves_below(self) -> Self:
        if self.leave >= self.enter:
            raise ValueError("leave must be below enter, otherwise the rung flutters")
        if self.max_ttl_s < self.ttl_s:
            raise ValueError("max_ttl_s must not be below ttl_s")
        return self


class FeatureRule(BaseModel):
    """How one feature counts: never below ``floor`` (in the feature's unit), and never beyond the rung ``up_to``."""

    model_config = _STRICT

    floor: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    up_to: Rung


class Policy(BaseModel):
    """One version of the rules; a value that never changes. Durations are seconds of event time."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    version: Annotated[str, Field(min_length=1, max_length=64)]
    mode: Literal["shadow", "enforced"] = "shadow"
    cool_down_s: Duration
    rungs: Annotated[dict[Rung, RungRule], Field(min_length=1)]
    features: dict[str, FeatureRule]
    runbook_url: Annotated[str, Field(max_length=512)] | None = None

    @field_validator("features")
    @classmethod
    def _are_known(cls, features: dict[str, FeatureRule]) -> dict[str, FeatureRule]:
        if unknown := sorted(features.keys() - set(CODES)):
            raise ValueError(f"unknown feature {', '.join(unknown)}; known are {', '.join(CODES)}")
        return features

    @field_validator("rungs")
    @classmethod
    def _climb(cls, rungs: dict[Rung, RungRule], earlier: ValidationInfo) -> dict[Rung, RungRule]:
        for (_, mild), (name, strict) in pairwise(_mildest_first(rungs)):
            if strict.enter <= mild.enter:
                raise ValueError(f"enter of {name} must be above that of the rung below it")
        for name, rule in rungs.items():
            if rule.ttl_s < 2 * earlier.data.get("cool_down_s", 0):
                raise ValueError(f"ttl_s of {name} must be at least twice cool_down_s, otherwise decisions lapse")
        return rungs

    @cached_property
    def ladder(self) -> list[tuple[Rung, RungRule]]:
        """The rungs, mildest first."""
        return _mildest_first(self.rungs)

    @cached_property
    def quantiles(self) -> dict[Action, float]:
        """Standard deviations above the mean at which each rung is entered."""
        return {name: t_quantile(rule.enter) for name, rule in self.ladder}

    @cached_property
    def floors(self) -> list[float]:
        """Floor of each feature in the order of ``FEATURES``; infinite where the policy does not use the feature."""
        return [self.features[f.code].floor if f.code in self.features else float("inf") for f in FEATURES]

    @property
    def simulated(self) -> bool:
        """Whether decisions only say what would have been done."""
        return self.mode == "shadow"

    @property
    def longest_ttl_s(self) -> int:
        """No decision of this policy outlives this."""
        return max(rule.max_ttl_s for rule in self.rungs.values())


def _mildest_first(rungs: dict[Rung, RungRule]) -> list[tuple[Rung, RungRule]]:
    return sorted(rungs.items(), key=lambda rung: rung[0].severity)


def load_policy(text: str, name: str) -> Policy:
    """Parse YAML; raises ``PolicyError`` with ``name``, line and key of everything that is wrong."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = str(getattr(error, "problem", None) or error).partition("\n")[0]
        raise PolicyError(f"{name}:{mark.line + 1 if mark else 1}: not YAML: {problem}") from error
    if not isinstance(content, dict):
        raise PolicyError(f"{name}:1: a policy is a mapping with the keys {', '.join(Policy.model_fields)}")
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise PolicyError("\n".join(_problem(name, root, dict(wrong)) for wrong in error.errors())) from error


def _problem(name: str, root: yaml.Node | None, wrong: dict[str, Any]) -> str:
    path = [str(part) for part in wrong["loc"] if part != "[key]"]
    message = re.sub(r"<Action\.\w+: ('\w+')>", r"\1", str(wrong["msg"])).removeprefix("Value error, ")
    return f"{name}:{_line_of(root, path)}: {'.'.join(path) or 'policy'}: {message}"


def _line_of(node: yaml.Node | None, path: list[str]) -> int:
    line = node.start_mark.line + 1 if node else 1
    for part in path:
        if not isinstance(node, yaml.MappingNode):
            break
        for key, value in node.value:
            if key.value == part:
                line, node = key.start_mark.line + 1, value
                break
        else:
            break
    return line
