"""Whatever happens to workers, brokers and networks, the result is that of one undisturbed run."""

import time
from collections.abc import Callable

import pytest

from tests.faults.cases import FAULTS
from tests.faults.deployments import ROWS, Deployments, Row
from tests.faults.failing_worker import CRASHED
from tests.faults.forms import FORM, IS_LONG
from tests.faults.oracles import Verdict
from tests.faults.process_faults import FAILING, wake_after_work
from tests.faults.trials import Trial

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.slow]


def strike(name: str, deployments: Deployments, trial: Trial, fault: Callable[[], None]) -> Verdict:
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
    ROWS.append(Row(name, verdict, trial.takeovers[takeovers:], time.monotonic() - began_s))
    return verdict


@pytest.mark.parametrize("name", FAULTS)
def test_the_result_is_that_of_an_undisturbed_run(name: str, deployments: Deployments) -> None:
    fault = FAULTS[name]
    if fault.is_long and not IS_LONG:
        pytest.skip("long form only")
    trial = deployments.running(fault.setting)
    verdict = strike(name, deployments, trial, lambda: fault.strike(trial, FORM))
    assert verdict.events > 0
    assert verdict.decisions > 0
    assert verdict.is_exact, verdict


def test_without_the_chain_check_a_lost_chunk_is_lost(deployments: Deployments) -> None:
    trial = deployments.fresh()

    def fault() -> None:
        trial.traffic.start()
        trial.start_worker(arguments=(*FAILING, "--drop", "5", "--without", "chain-check"))
        trial.until_shared()
        trial.go_on(FORM.run_s)

    assert strike("without chain-check", deployments, trial, fault).lost > 0


def test_without_one_transaction_a_crash_loses_events(deployments: Deployments) -> None:
    trial = deployments.fresh()

    def fault() -> None:
        trial.traffic.start()
        failing = trial.start_worker(
            arguments=(*FAILING, "--crash", "before-transaction:3", "--without", "one-transaction")
        )
        assert failing.wait_end() == CRASHED, failing.last_words()
        trial.start_worker()
        trial.until_shared()

    assert strike("without one-transaction", deployments, trial, fault).lost > 0


def test_without_the_fence_a_woken_owner_overwrites_states(deployments: Deployments) -> None:
    trial = deployments.fresh()
    trial.traffic.start()
    for _ in range(2):
        trial.start_worker(arguments=(*FAILING, "--without", "fence"))
    trial.until_shared()
    trial.go_on(FORM.run_s)
    try:
        assert not wake_after_work(trial).is_exact
    finally:
        deployments.discard()
