"""A pool's likelihoods, worked out from its own values alone, are those of the whole table of links."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_app.detection.campaigns.likelihoods import Weights, fit
from stream_app.detection.campaigns.links import FLOOR, KINDS, incidence
from stream_app.detection.campaigns.ratios import ratios

KIND = next(kind for kind in KINDS if kind.name == "prefix")
Floats = NDArray[np.float64]


@st.composite
def worlds(draw: st.DrawFn) -> tuple[NDArray[np.int64], Floats, Weights]:
    """A table of values by tenant, few enough to be shared, how far each tenant belongs to a pool, and weights."""
    tenants, width = draw(st.integers(1, 14)), draw(st.integers(1, 4))
    values = st.lists(st.integers(0, 8), min_size=tenants * width, max_size=tenants * width)
    shares = st.lists(st.sampled_from([0.0, 0.0, 0.3, 0.8, 1.0]), min_size=tenants, max_size=tenants)
    weight = st.sampled_from([0.02, 0.4, 0.8, 0.995])
    table = np.array(draw(values), np.int64).reshape(tenants, width)
    return table, np.array(draw(shares)), Weights(draw(weight), draw(weight))


def expected_ratio(table: NDArray[np.int64], share: Floats, tenant: int, value: int) -> float:
    """By the definition: the share a value has among what other members carry, over that among other outsiders."""
    held, whole, held_out, whole_out = 0.0, 0.0, 0.0, 0.0
    for other, row in enumerate(table):
        carried = {int(one) for one in row if one}
        out = 1.0 - share[other]
        whole_out += out * len(carried)
        if other != tenant:
            whole += share[other] * len(carried)
            held += share[other] * (value in carried)
            held_out += out * (value in carried)
    return float(held / (whole + 1.0) / ((held_out + 0.5) / (whole_out + 1.0)))


@given(worlds())
def test_ratios_follow_the_definition_and_are_nothing_where_no_member_carries_the_value(
    world: tuple[NDArray[np.int64], Floats, Weights],
) -> None:
    table, share, _ = world
    links = incidence(table)
    found = np.zeros(len(links.rows))
    entries, values = ratios(links, share)
    found[entries] = values
    for place, (tenant, col) in enumerate(zip(links.rows, links.cols, strict=True)):
        expected = expected_ratio(table, share, int(tenant), int(links.values[col]))
        np.testing.assert_allclose(found[place], expected, rtol=1e-9, atol=1e-12)


@given(worlds())
def test_nats_of_every_tenant_follow_the_mixture(world: tuple[NDArray[np.int64], Floats, Weights]) -> None:
    table, share, weights = world
    links = incidence(table)
    nats = fit(links, KIND, share, weights).nats
    shared = {int(value) for value in links.values}
    for tenant, row in enumerate(table):
        carried = {int(one) for one in row if one}
        logs = sum(
            np.log(
                weights.outside
                + (1 - weights.outside) * (expected_ratio(table, share, tenant, one) if one in shared else 0.0)
            )
            for one in carried
        )
        mixed = np.log(weights.without + (1 - weights.without) * np.exp(logs)) if carried else 0.0
        np.testing.assert_allclose(nats[tenant], np.clip(mixed, FLOOR, KIND.cap), rtol=1e-9, atol=1e-9)
