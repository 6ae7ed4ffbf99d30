"""What each safeguard is good for: without it, the same faults do lose something, and the oracles see it."""

from tests.faults.battery import MARKS, Tell, strike
from tests.faults.deployments import Deployments
from tests.faults.failing_worker import CRASHED
from tests.faults.forms import FORM
from tests.faults.process_faults import FAILING, wake_after_work

pytestmark = MARKS


def test_without_the_chain_check_a_lost_chunk_is_lost(deployments: Deployments, record_property: Tell) -> None:
    trial = deployments.fresh()

    def fault() -> None:
        trial.traffic.start()
        trial.start_worker(arguments=(*FAILING, "--drop", "5", "--without", "chain-check"))
        trial.until_shared()
        trial.go_on(FORM.run_s)

    assert strike("without chain-check", deployments, trial, fault, record_property).lost > 0


def test_without_one_transaction_a_crash_loses_events(deployments: Deployments, record_property: Tell) -> None:
    trial = deployments.fresh()

    def fault() -> None:
        trial.traffic.start()
        failing = trial.start_worker(
            arguments=(*FAILING, "--crash", "before-transaction:3", "--without", "one-transaction")
        )
        assert failing.wait_end() == CRASHED, failing.last_words()
        trial.start_worker()
        trial.until_shared()

    assert strike("without one-transaction", deployments, trial, fault, record_property).lost > 0


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
