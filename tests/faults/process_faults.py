"""What happens to workers: killed, frozen, starved, told a wrong time, crashed in the middle of a checkpoint."""

import resource
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stream_app.detection.partitions import partition_of
from tests.faults.failing_worker import CRASHED
from tests.faults.forms import Form
from tests.faults.oracles import Verdict
from tests.faults.traffic import Population
from tests.faults.trials import PARTITIONS, Trial
from tests.faults.workers import WorkerProcess

#: Longer than the session of six seconds, so that a frozen worker wakes up as a former owner.
FROZEN_S = 9.0
END_TIMEOUT_S = 30.0
#: Place in ``statm`` of the pages that ``RLIMIT_DATA`` counts; ``RLIMIT_AS`` also counts what threads only reserve.
_DATA = 5
#: A woken worker has written by then what it still holds.
WOKEN_S = 5.0
#: As many as a record may hold.
LARGE_EVENTS = 3_500
FAILING = ("-m", "tests.faults.failing_worker")


def _kill(trial: Trial, *victims: WorkerProcess) -> None:
    """Kill workers, start as many, and wait for the first decisions on what the dead ones owned."""
    owned = set().union(*(victim.owned() for victim in victims))
    since_s = time.time()
    for victim in victims:
        victim.kill()
        trial.start_worker()
    trial.watch_takeover(owned, since_s)
    trial.until_shared()


def kill(trial: Trial, form: Form) -> None:
    """kill -9, again and again."""
    for _ in range(form.rounds):
        trial.go_on(form.run_s)
        _kill(trial, trial.running()[0])


def kill_two(trial: Trial, form: Form) -> None:
    """kill -9 of two workers at once, while a third one lives."""
    for _ in range(form.rounds):
        if len(trial.running()) < 3:
            trial.start_worker()
        trial.until_shared()
        trial.go_on(form.run_s)
        _kill(trial, *trial.running()[:2])
    trial.running()[0].end()
    trial.until_shared()


def _is_any_without(workers: Sequence[WorkerProcess]) -> bool:
    """Whether one of them owns nothing."""
    return not all(worker.owned() for worker in workers)


def kill_joining(trial: Trial, form: Form) -> None:
    """kill -9 of a worker whose joining has made the others give up their partitions."""
    for _ in range(form.rounds):
        old = trial.running()
        joining = trial.start_worker()
        trial.until(partial(_is_any_without, old), "somebody hands over")
        joining.kill()
        trial.until_shared()
        trial.go_on(form.run_s)


def terminate(trial: Trial, form: Form) -> None:
    """SIGTERM: in order, and without an error."""
    for _ in range(form.rounds):
        leaving = trial.running()[0]
        code = leaving.end()
        assert code == 0, leaving.last_words()
        trial.start_worker()
        trial.until_shared()
        trial.go_on(form.run_s)


def freeze(trial: Trial, form: Form) -> None:
    """SIGSTOP for longer than the session: nothing that the woken owner still holds may be written."""
    for _ in range(form.rounds):
        verdict = wake_after_work(trial)
        assert verdict.is_exact, verdict
        trial.until_shared()
        trial.traffic.start()


def wake_after_work(trial: Trial) -> Verdict:
    """Freeze a worker, wake it when others have done all the work, and see whether it changes what they have done.

    The first verdict that is not exact, or the last one.
    """
    frozen = trial.running()[0]
    owned, since_s = frozen.owned(), time.time()
    frozen.freeze()
    trial.watch_takeover(owned, since_s + 1)
    trial.go_on(max(0.0, FROZEN_S - (time.time() - since_s)))
    trial.verdict()
    frozen.wake()
    deadline = time.monotonic() + WOKEN_S
    while (verdict := trial.judge()).is_exact and time.monotonic() < deadline:
        trial.go_on(0.1)
    return verdict


def crash_in_checkpoint(trial: Trial, form: Form, steps: Sequence[str]) -> None:
    """A crash at each of these steps of a checkpoint, each time a little later; one worker lives on."""
    trial.running()[0].end()
    for number in range(1, 1 + form.rounds):
        for step in steps:
            place = 40 * number if step == "after-some-states" else number + 2
            failing = trial.start_worker(arguments=(*FAILING, "--crash", f"{step}:{place}"))
            code = failing.wait_end()
            assert code == CRASHED, failing.last_words()
    trial.start_worker()
    trial.until_shared()


def lose_chunk(trial: Trial, form: Form) -> None:
    """Chunks that get lost between reader and partition are read again."""
    trial.running()[0].end()
    failing = trial.start_worker(arguments=(*FAILING, "--drop", "5"))
    trial.until_shared()
    trial.until(lambda: failing.rewinds() > 0, "the hole is noticed")
    trial.go_on(form.run_s)


def lose_last_chunk(trial: Trial, form: Form) -> None:
    """A lost chunk is read again although none follows."""
    trial.traffic.stop()
    trial.until(lambda: not any(worker.lag() for worker in trial.running()), "everything is read")
    trial.running()[0].end()
    failing = trial.start_worker(arguments=(*FAILING, "--drop", "1"))
    trial.until_shared()
    population = Population(seed=9)
    for number in failing.owned():
        tenant = next(name for name in iter(population.tenant, "") if partition_of(name, PARTITIONS) == number)
        trial.traffic.put(population.draw_for(tenant, 1, trial.traffic.now_ms()))
    trial.traffic.stop()
    trial.until(lambda: failing.rewinds() > 0, "the hole is noticed")


def fill_disk(trial: Trial, form: Form) -> None:
    """Not a byte more can be written to a file, neither log nor data, while partitions move."""
    trial.running()[0].limit(resource.RLIMIT_FSIZE, 0)
    full = trial.running()[0]
    trial.go_on(form.run_s)
    _kill(trial, trial.running()[1])
    full.limit(resource.RLIMIT_FSIZE, resource.RLIM_INFINITY)
    full.end()
    trial.start_worker()
    trial.until_shared()


def step_clock(trial: Trial, form: Form) -> None:
    """A worker's clock jumps an hour ahead, and an hour back."""
    trial.running()[0].end()
    ahead = trial.folder / "ahead"
    ahead.write_text("0")
    lying = trial.start_worker(arguments=(*FAILING, "--clock", str(ahead)))
    trial.until_shared()
    for seconds in ("3600", "-3600", "0") * form.rounds:
        replacement = ahead.with_suffix(".new")
        replacement.write_text(seconds)
        replacement.replace(ahead)
        trial.go_on(form.run_s)
        trial.until_deciding(lying.owned())


def starve(trial: Trial, form: Form) -> None:
    """No more memory: the youngest worker, which has no room from earlier large records, dies, and another begins."""
    for _ in range(form.rounds):
        hungry = trial.running()[-1]
        in_use = int(Path(f"/proc/{hungry.pid}/statm").read_text().split()[_DATA]) * resource.getpagesize()
        hungry.limit(resource.RLIMIT_DATA, in_use)
        population = Population(seed=8)
        deadline = time.monotonic() + END_TIMEOUT_S
        while hungry.exit_code is None and time.monotonic() < deadline:
            trial.traffic.put(population.draw_for(population.tenant(), LARGE_EVENTS, trial.traffic.now_ms()))
            trial.go_on(0.1)
        assert hungry.exit_code is not None, "a worker without memory lives on"
        trial.start_worker()
        trial.until_shared()
        trial.go_on(form.run_s)
