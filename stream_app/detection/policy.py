"""The policy: which scores reach which rung of the ladder, for how long, and below which size nothing matters."""

from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from stream_app.detection.decisions import Action, split_key
from stream_app.detection.features import CODES, FEATURES
from stream_app.detection.link_rules import LinkRules
from stream_app.detection.problems import problem
from stream_app.detection.reaches import Reach, reach_of
from stream_app.detection.rules import (
    AllowEntry,
    Circumstances,
    Duration,
    FeatureRule,
    HarmBudgets,
    PolicyOverride,
    Rung,
    RungRule,
    SmallTenants,
    Step,
    Together,
    Watched,
    WatchEntry,
    check_known,
)
from stream_app.detection.scorers import t_quantile

#: Policies made for particular subjects that are kept; beyond that all are made anew.
_MAX_VARIANTS = 1_024
#: A floor that was agreed on holds for small tenants and newcomers as well.
_PLAIN_FLOOR = {"small_floor": None, "newcomer_floor": None}


class PolicyError(ValueError):
    """The policy cannot be used; the message names file, line and key of everything wrong, one line each."""


class Policy(BaseModel):
    """One version of the rules; a value that never changes. Durations are seconds of event time."""

    model_config = ConfigDict(extra="forbid", frozen=True, ignored_types=(cached_property,))

    version: Annotated[str, Field(min_length=1, max_length=64)]
    mode: Literal["shadow", "enforced"] = "shadow"
    cool_down_s: Duration
    rungs: Annotated[dict[Rung, RungRule], Field(min_length=1)]
    features: dict[str, FeatureRule]
    together: Together | None = None
    small_tenants: SmallTenants = SmallTenants()
    soft_start_s: Duration = 3_600
    overrides: Annotated[list[PolicyOverride], Field(max_length=1_000)] = []
    allow_list: Annotated[list[AllowEntry], Field(max_length=10_000)] = []
    watchlist: Annotated[list[WatchEntry], Field(max_length=10_000)] = []
    watched: Watched = Watched()
    harm_budgets: HarmBudgets = HarmBudgets()
    links: LinkRules | None = None
    runbook_url: Annotated[str, Field(max_length=512)] | None = None

    @field_validator("features")
    @classmethod
    def _are_known(cls, features: dict[str, FeatureRule]) -> dict[str, FeatureRule]:
        check_known(features)
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

    @cached_property
    def small_floors(self) -> list[float]:
        """The least floor of each feature, for the smallest of tenants, in the order of ``FEATURES``."""
        return [self.features[f.code].least_floor if f.code in self.features else float("inf") for f in FEATURES]

    @cached_property
    def newcomer_floors(self) -> list[float]:
        """Below these a tenant that is not known is denied nothing, in the order of ``FEATURES``."""
        return [self.features[f.code].largest_floor if f.code in self.features else float("inf") for f in FEATURES]

    @cached_property
    def without_small_floors(self) -> "Policy":
        """The policy while everybody is busy: a small tenant's excess says nothing then."""
        content = self.model_dump()
        for rule in content["features"].values():
            rule["small_floor"] = None
        return Policy.model_validate(content | {"overrides": []})

    @cached_property
    def steps(self) -> list[Step]:
        """All ways up, lowest first; a rung may be there twice, simulated and enforced."""
        steps = []
        for rung, rule in self.ladder:
            is_enforced = self.mode == "enforced" and rule.mode == "enforced"
            if is_enforced:
                steps.append(Step(rung, rule, False))
            if not is_enforced or any(rule.mode == "shadow" for rule in self.features.values()):
                steps.append(Step(rung, rule, True))
        return sorted(steps, key=lambda step: step.rank)

    @cached_property
    def reach(self) -> Reach:
        """What a subject on no rung may reach."""
        return reach_of(self.features, self.floors, self.steps)

    @property
    def simulated(self) -> bool:
        """Whether decisions only say what would have been done."""
        return self.mode == "shadow"

    @property
    def longest_ttl_s(self) -> int:
        """No decision of this policy outlives this."""
        return max(rule.max_ttl_s for rule in self.rungs.values())

    @cached_property
    def allowed(self) -> dict[str, AllowEntry]:
        """Entries of the allow-list by subject."""
        return {entry.subject: entry for entry in self.allow_list}

    @cached_property
    def allowed_accounts(self) -> dict[str, list[tuple[str, int]]]:
        """Accounts on the allow-list and when their entries end, by tenant."""
        found: dict[str, list[tuple[str, int]]] = {}
        for entry in self.allow_list:
            scope, parts = split_key(entry.subject)
            if scope == "account":
                found.setdefault(parts[0], []).append((parts[1], entry.until_ms))
        return found

    @cached_property
    def watching(self) -> dict[str, WatchEntry]:
        """Entries of the watchlist by subject."""
        return {entry.subject: entry for entry in self.watchlist}

    @cached_property
    def variants(self) -> dict[object, "Policy"]:
        """Policies already made for particular subjects, a memory that changes nothing."""
        return {}

    @cached_property
    def _overrides_of(self) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
        """Places of the overrides by tenant and by plan."""
        tenants: dict[str, list[int]] = {}
        plans: dict[str, list[int]] = {}
        for place, override in enumerate(self.overrides):
            for name in override.tenants:
                tenants.setdefault(name, []).append(place)
            for name in override.plans:
                plans.setdefault(name, []).append(place)
        return tenants, plans

    def under(self, found: Circumstances) -> "Policy":
        """The policy as it holds for one subject; mostly this one, else made once and remembered."""
        tenants, plans = self._overrides_of
        places = (*plans.get(found.plan, ()), *tenants.get(found.tenant_id, ()))
        if not places and not found.is_watched and not found.soft_floors:
            return self
        key = (places, found.is_watched, found.soft_floors)
        variant = self.variants.get(key)
        if variant is None:
            if len(self.variants) >= _MAX_VARIANTS:
                self.variants.clear()
            variant = self.variants[key] = self._variant(places, found)
        return variant

    def _variant(self, places: tuple[int, ...], found: Circumstances) -> "Policy":
        content = self.model_dump()
        for override in (self.overrides[place] for place in places):
            changes = override.model_dump(exclude_none=True)
            for part in ("rungs", "features"):
                for name, change in changes[part].items():
                    if name in content[part]:
                        content[part][name] |= _PLAIN_FLOOR | change if "floor" in change else change
        if found.is_watched:
            self._make_strict(content)
        for index, value in found.soft_floors:
            rule = content["features"].get(CODES[index])
            if rule is not None:
                rule["floor"] = max(rule["floor"], value)
                if rule["small_floor"] is not None:
                    rule["small_floor"] = max(rule["small_floor"], value)
        return Policy.model_validate(content | {"overrides": []})

    def _make_strict(self, content: dict[str, Any]) -> None:
        for rule in content["features"].values():
            rule["floor"] *= self.watched.floor_share
            rule["newcomer_floor"] = None
            if rule["small_floor"] is not None:
                rule["small_floor"] *= self.watched.floor_share
        for rule in content["rungs"].values():
            for bar in ("enter", "leave"):
                rule[bar] = max(1.0 - (1.0 - rule[bar]) * self.watched.odds, _least_score(rule[bar]))

    @model_validator(mode="after")
    def _overrides_make_policies(self) -> Self:
        for place, override in enumerate(self.overrides):
            try:
                self._variant((place,), Circumstances(""))
            except ValidationError as error:
                wrong = error.errors()[0]
                key = ".".join(str(part) for part in wrong["loc"] if part != "[key]")
                message = str(wrong["msg"]).removeprefix("Value error, ")
                raise ValueError(f"overrides.{place} ({override.reason}): {key}: {message}") from None
        return self


def _mildest_first(rungs: dict[Rung, RungRule]) -> list[tuple[Rung, RungRule]]:
    return sorted(rungs.items(), key=lambda rung: rung[0].severity)


def _least_score(score: float) -> float:
    """Stricter treatment leaves a score's order among the others: never below half the way from an even chance."""
    return 0.5 + (score - 0.5) / 2


def load_policy(text: str, name: str) -> Policy:
    """Parse YAML; raises ``PolicyError`` with ``name``, line and key of everything that is wrong."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        found = str(getattr(error, "problem", None) or error).partition("\n")[0]
        raise PolicyError(f"{name}:{mark.line + 1 if mark else 1}: not YAML: {found}") from error
    if not isinstance(content, dict):
        raise PolicyError(f"{name}:1: a policy is a mapping with the keys {', '.join(Policy.model_fields)}")
    try:
        return Policy.model_validate(content)
    except ValidationError as error:
        raise PolicyError("\n".join(problem(name, root, dict(wrong)) for wrong in error.errors())) from error
