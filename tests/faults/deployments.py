"""The deployments of a run of the battery, one after the other, and what came of each fault."""

import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

from tests.brokers import NoRealBrokerError
from tests.faults.cases import Setting
from tests.faults.clusters import Cluster, running_cluster
from tests.faults.forms import FORM, IS_LONG
from tests.faults.oracles import Verdict
from tests.faults.proxies import NoProxyError, running_proxy
from tests.faults.trials import Takeover, Trial

#: Windows hold ten minutes of event time, and a trial begins with some of the past.
MAX_AGE_S = 100.0


def row_of(case: str, verdict: Verdict, takeovers: Sequence[Takeover], took_s: float) -> list[str]:
    """A line of the table at the end."""
    waits = [f"{max(times):.1f}" for times in zip(*takeovers, strict=True)] or ["", ""]
    differing = verdict.missing + verdict.extra + verdict.differing + verdict.letters
    counts = (verdict.events, verdict.decisions, verdict.lost, verdict.double, verdict.wrong)
    states = verdict.states + verdict.positions
    return [case, *map(str, (*counts, states, differing)), *waits, f"{took_s:.0f}"]


class Deployments:
    """One trial at a time; it meets fault after fault while it is exact and young."""

    def __init__(self, folders: Callable[[], Path]) -> None:
        self._folders = folders
        self._brokers = ExitStack()
        self._cluster: Cluster | None = None
        self._size = 0
        self._open = ExitStack()
        self._trial: Trial | None = None
        self._setting: Setting = "plain"
        self._began_s = 0.0
        self._count = 0

    def running(self, setting: Setting) -> Trial:
        """A deployment with two workers and traffic: the one that is there, or a new one."""
        is_young = time.monotonic() - self._began_s < MAX_AGE_S and not IS_LONG
        if self._trial is not None and self._setting == setting and is_young:
            self._trial.traffic.start()
            return self._trial
        trial = self.fresh(setting)
        trial.start_workers(2)
        trial.traffic.start()
        trial.until_shared()
        return trial

    def fresh(self, setting: Setting = "plain") -> Trial:
        """A deployment without workers and traffic."""
        self.discard()
        try:
            cluster = self._cluster_of(3 if setting == "replicated" else 1)
            proxy = self._open.enter_context(running_proxy(cluster)) if setting == "proxied" else None
        except (NoRealBrokerError, NoProxyError) as error:
            lack(str(error))
        self._count += 1
        prefix = f"faults-{uuid.uuid4().hex[:8]}"
        trial = Trial(cluster, prefix, self._folders(), seed=self._count, rate=FORM.rate, proxy=proxy)
        self._trial = self._open.enter_context(trial)
        self._setting, self._began_s = setting, time.monotonic()
        return trial

    def discard(self) -> None:
        """End the deployment: the next fault gets a new one."""
        self._trial = None
        self._open.close()

    def close(self) -> None:
        """End everything."""
        self.discard()
        self._brokers.close()

    def _cluster_of(self, size: int) -> Cluster:
        if self._cluster is None or self._size != size:
            self._brokers.close()
            self._cluster = self._brokers.enter_context(running_cluster(size))
            self._size = size
        return self._cluster


def lack(reason: str) -> NoReturn:
    """Skip for want of a program; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
