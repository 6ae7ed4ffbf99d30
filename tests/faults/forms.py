"""How hard a run of the battery is: a few seconds for each fault, or minutes."""

import os
from typing import NamedTuple


class Form(NamedTuple):
    """``rate`` is in records a second, ``run_s`` the time between two strikes, ``cut_s`` that of an outage."""

    rounds: int
    run_s: float
    cut_s: float
    rate: float


SHORT = Form(rounds=1, run_s=2.0, cut_s=10.0, rate=800.0)
LONG = Form(rounds=8, run_s=6.0, cut_s=30.0, rate=1500.0)

IS_LONG = os.environ.get("STILLWATCH_FAULTS") == "long"
FORM = LONG if IS_LONG else SHORT
