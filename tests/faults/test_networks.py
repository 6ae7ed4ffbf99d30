"""Bad networks, and a broker of three that is lost."""

import pytest

from tests.faults.battery import MARKS, Tell, survive
from tests.faults.cases import NETWORKS
from tests.faults.deployments import Deployments

pytestmark = MARKS


@pytest.mark.parametrize("name", NETWORKS)
def test_the_result_is_that_of_an_undisturbed_run(name: str, deployments: Deployments, record_property: Tell) -> None:
    survive(name, NETWORKS[name], deployments, record_property)
