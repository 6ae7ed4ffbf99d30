"""The table of faults: what is done, to which kind of deployment."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from tests.faults import broker_faults, input_faults, process_faults
from tests.faults.failing_worker import STEPS
from tests.faults.forms import Form
from tests.faults.trials import Trial

#: One broker; one broker behind a bad network; three brokers.
Setting = Literal["plain", "proxied", "replicated"]


class Fault(NamedTuple):
    """``strike`` hurts a trial that works, and returns when it works again, or should."""

    strike: Callable[[Trial, Form], None]
    setting: Setting = "plain"
    is_long: bool = False


# In this order one deployment meets one fault of a table after the other, as long as its verdict is exact.

CRASHES = {
    "kill": Fault(process_faults.kill),
    "kill-two": Fault(process_faults.kill_two),
    "kill-joining": Fault(process_faults.kill_joining),
    "terminate": Fault(process_faults.terminate),
    "freeze": Fault(process_faults.freeze),
}
MISHAPS = {
    "lose-chunk": Fault(process_faults.lose_chunk),
    "lose-last-chunk": Fault(process_faults.lose_last_chunk),
    "crash-in-checkpoint": Fault(partial(process_faults.crash_in_checkpoint, steps=tuple(STEPS))),
    **{
        f"crash-{step}": Fault(partial(process_faults.crash_in_checkpoint, steps=(step,)), is_long=True)
        for step in STEPS
    },
    "fill-disk": Fault(process_faults.fill_disk),
    "step-clock": Fault(process_faults.step_clock),
    "starve": Fault(process_faults.starve),
}
SOURCES = {
    "run-ahead": Fault(input_faults.run_ahead),
    "compress": Fault(input_faults.compress),
    "transact": Fault(input_faults.transact),
    "refuse-large": Fault(broker_faults.refuse_large_records),
    "restart-broker": Fault(broker_faults.restart_broker),
    "kill-broker": Fault(broker_faults.kill_broker),
    "outrun": Fault(input_faults.outrun),
}
NETWORKS = {
    "slow-network": Fault(broker_faults.slow_network, "proxied"),
    "narrow-network": Fault(broker_faults.narrow_network, "proxied"),
    "reset-connections": Fault(broker_faults.reset_connections, "proxied"),
    "cut-network": Fault(broker_faults.cut_network, "proxied"),
    "kill-leader": Fault(broker_faults.kill_leader, "replicated"),
    "lack-replicas": Fault(broker_faults.lack_replicas, "replicated"),
}
