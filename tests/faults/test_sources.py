"""What gateways send, and a broker that goes away or refuses."""

import pytest

from tests.faults.battery import MARKS, Tell, survive
from tests.faults.cases import SOURCES
from tests.faults.deployments import Deployments

pytestmark = MARKS


@pytest.mark.parametrize("name", SOURCES)
def test_the_result_is_that_of_an_undisturbed_run(name: str, deployments: Deployments, record_property: Tell) -> None:
    survive(name, SOURCES[name], deployments, record_property)
