"""Labelled streams of made-up API requests, the same for the same seed."""

from collections.abc import Callable
from datetime import datetime

from stream_app.simulate.population import Population, plan_population, population

#: Scenario name to its plan: seed, scale and the event time of the last event.
SCENARIOS: dict[str, Callable[[int, float, datetime], Population]] = {"population": plan_population}

__all__ = ["SCENARIOS", "Population", "plan_population", "population"]
