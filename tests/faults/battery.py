"""Whatever happens to workers, brokers and networks, the result is that of one undisturbed run.

Most of a fault is waiting: for sessions to end, for windows to close. So the test files run side by side (pytest-xdist,
``--dist loadfile``), each on brokers of its own; within a file one fault follows another.
"""

import time
from collections.abc import Callable

import pytest

from tests.faults.cases import Fault
from tests.faults.deployments import Deployments, row_of
from tests.faults.forms import FORM, IS_LONG
from tests.faults.oracles import Verdict
from tests.faults.trials import Trial

MARKS = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.slow]
#: Tells the report of a test something: a line of the table.
Tell = Callable[[str, object], None]


def strike(name: str, deployments: Deployments, trial: Trial, fault: Callable[[], None], tell: Tell) -> Verdict:
    """Let a fault happen, and judge what came of it; a deployment that is not exact meets no further fault."""
    began_s, takeovers = time.monotonic(), len(trial.takeovers)
    is_exact = False
    try:
        fault()
        verdict = trial.verdict()
        is_exact = verdict.is_exact
    finally:
        if not is_exact:
            print(trial.last_words())
            deployments.discard()
    tell("row", row_of(name, verdict, trial.takeovers[takeovers:], time.monotonic() - began_s))
    return verdict


def survive(name: str, fault: Fault, deployments: Deployments, tell: Tell) -> None:
    """The result of a deployment that a fault has met is that of an undisturbed run."""
    if fault.is_long and not IS_LONG:
        pytest.skip("long form only")
    trial = deployments.running(fault.setting)
    verdict = strike(name, deployments, trial, lambda: fault.strike(trial, FORM), tell)
    assert verdict.events > 0
    assert verdict.decisions > 0
    assert verdict.is_exact, verdict
