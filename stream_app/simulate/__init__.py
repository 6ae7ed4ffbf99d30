"""Labelled streams of made-up API requests, the same for the same seed."""

from collections.abc import Callable, Mapping
from datetime import datetime

from stream_app.simulate import campaigns
from stream_app.simulate.population import Population, plan_population, population
from stream_app.simulate.streams import Stream

#: Scenario name to its plan: seed, scale and the event time of the last event.
SCENARIOS: Mapping[str, Callable[[int, float, datetime], Stream]] = {
    "population": plan_population,
    **campaigns.SCENARIOS,
}

__all__ = ["SCENARIOS", "Population", "Stream", "plan_population", "population"]
