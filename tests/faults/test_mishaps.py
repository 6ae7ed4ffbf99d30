"""Workers that lose a chunk, crash in a checkpoint, have no disk, no memory or a wrong clock."""

import pytest

from tests.faults.battery import MARKS, Tell, survive
from tests.faults.cases import MISHAPS
from tests.faults.deployments import Deployments

pytestmark = MARKS


@pytest.mark.parametrize("name", MISHAPS)
def test_the_result_is_that_of_an_undisturbed_run(name: str, deployments: Deployments, record_property: Tell) -> None:
    survive(name, MISHAPS[name], deployments, record_property)
