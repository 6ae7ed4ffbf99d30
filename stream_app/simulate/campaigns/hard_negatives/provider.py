"""What the provider does to everybody at once: an outage, a new model."""

import numpy as np

from stream_app.simulate.campaigns.accounts import DAY_MS, MINUTE_MS
from stream_app.simulate.campaigns.drafts import Draft, Interruption
from stream_app.simulate.campaigns.hard_negatives.sizes import within

ADOPTERS = 0.25


def outage(draft: Draft) -> None:
    """Half an hour or two of errors; then everybody comes back within minutes."""
    begin_ms = within(draft, 0.3, 0.9)
    draft.interruptions.append(Interruption(begin_ms, begin_ms + draft.rng.uniform(20, 120) * MINUTE_MS))


def model_launch(draft: Draft) -> None:
    """A quarter of the tenants moves part of its traffic to the new model, most of them within two days."""
    population, rng = draft.population, draft.rng
    launch_ms = within(draft, 0.3, 0.6)
    rows = np.flatnonzero(rng.random(len(population)) < ADOPTERS)
    population.adopts_ms[rows] = launch_ms + rng.exponential(DAY_MS, len(rows))
    population.adopts_share[rows] = rng.beta(1.5, 2.0, len(rows))
