"""Strangers behind one address: a campus, mobile carriers."""

import numpy as np

from stream_app.simulate.campaigns.attributes import networks_of
from stream_app.simulate.campaigns.drafts import Draft
from stream_app.simulate.campaigns.hard_negatives.sizes import instances, some_of


def campus_nat(draft: Draft) -> None:
    """Students and staff of all years, each with their own work, behind three networks."""
    for _ in range(instances(draft, 0.5)):
        _behind(draft, "campus_nat", share=0.004, networks=3)


def mobile_nat(draft: Draft) -> None:
    """A carrier's customers, now on this of its networks, now on that."""
    for _ in range(instances(draft, 0.3)):
        _behind(draft, "mobile_nat", share=0.02, networks=12)


def _behind(draft: Draft, family: str, share: float, networks: int) -> None:
    rows, rng = some_of(draft, family, share), draft.rng
    shared = networks_of(rng, 1) + np.arange(networks)
    draft.population.networks[rows, :2] = rng.choice(shared, (len(rows), 2))
    draft.population.network_count[rows] = np.maximum(draft.population.network_count[rows], 2)
