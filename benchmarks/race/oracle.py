"""The right decisions of job J1, worked out in plain Python without any clock, partition or watermark.

No event of the workload is late, so every window is complete when it closes; what remains is grouping and arithmetic.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import sqrt

from msgspec import Struct

from benchmarks.race.workloads import JobEvent

SIZE_MS = 60_000
STEP_MS = 10_000
WARM_UP = 10
ALPHA = 0.05
THRESHOLD = 3.0
TOLERANCE = 1e-6


class Decision(Struct, frozen=True):
    """One line of the job's output; fields beyond these are ignored."""

    tenant_id: str
    window_end_ms: int
    count: int
    tokens: int
    errors: int
    z: float


class Verdict(Struct, frozen=True):
    """How a contestant's decisions compare with the expected ones; ``wrong`` were not expected with these values."""

    expected: int
    right: int
    wrong: int
    missing: int
    repeated: int

    @property
    def is_equal(self) -> bool:
        """Whether the decisions are the expected ones, each of them once."""
        return self.right == self.expected and not (self.wrong or self.repeated)


def expected_decisions(events: Iterable[JobEvent]) -> list[Decision]:
    """All decisions, in order of tenant and window; costs some 5 s for a million events."""
    windows: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0, 0]))
    for event in events:
        of_tenant = windows[event.tenant_id]
        tokens = event.input_tokens + event.output_tokens
        is_error = event.status_code >= 400
        first_end_ms = event.time_ms // STEP_MS * STEP_MS + STEP_MS
        for end_ms in range(first_end_ms, first_end_ms + SIZE_MS, STEP_MS):
            sums = of_tenant[end_ms]
            sums[0] += 1
            sums[1] += tokens
            sums[2] += is_error
    return [decision for tenant_id in sorted(windows) for decision in _decide(tenant_id, windows[tenant_id])]


def _decide(tenant_id: str, windows: dict[int, list[int]]) -> Iterable[Decision]:
    mean = variance = 0.0
    for closed, end_ms in enumerate(sorted(windows)):
        count, tokens, errors = windows[end_ms]
        if closed >= WARM_UP:
            z = (count - mean) / sqrt(variance + 1)
            if z >= THRESHOLD:
                yield Decision(tenant_id, end_ms, count, tokens, errors, z)
        distance = count - mean
        mean += ALPHA * distance
        variance = (1 - ALPHA) * (variance + ALPHA * distance * distance)


def judge(decisions: Sequence[Decision], expected: Sequence[Decision]) -> Verdict:
    """Compare by tenant and window; z may differ by ``TOLERANCE``."""
    missing = {(decision.tenant_id, decision.window_end_ms): decision for decision in expected}
    seen: set[tuple[str, int]] = set()
    right = wrong = repeated = 0
    for decision in decisions:
        key = decision.tenant_id, decision.window_end_ms
        if key in seen:
            repeated += 1
            continue
        seen.add(key)
        wanted = missing.get(key)
        if wanted is not None and _agree(decision, wanted):
            right += 1
            del missing[key]
        else:
            wrong += 1
    return Verdict(len(expected), right, wrong, len(missing), repeated)


def _agree(decision: Decision, wanted: Decision) -> bool:
    sums = decision.count, decision.tokens, decision.errors
    return sums == (wanted.count, wanted.tokens, wanted.errors) and abs(decision.z - wanted.z) <= TOLERANCE
