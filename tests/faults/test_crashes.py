"""Workers that are killed, ended or frozen."""

import pytest

from tests.faults.battery import MARKS, Tell, survive
from tests.faults.cases import CRASHES
from tests.faults.deployments import Deployments

pytestmark = MARKS


@pytest.mark.parametrize("name", CRASHES)
def test_the_result_is_that_of_an_undisturbed_run(name: str, deployments: Deployments, record_property: Tell) -> None:
    survive(name, CRASHES[name], deployments, record_property)
