"""What a person's release of a subject covers: what was seen of it, and the same pace kept up."""

from math import exp

from stream_app.detection.features import CODES, FEATURES, SUMS, Counter
from stream_app.detection.ladder import Standing
from stream_app.detection.scorers import MIN_LOG_SD
from stream_app.detection.state import TenantState

#: Even a steady pace varies by so much from window to window, and twice as much within ten seconds.
_VARIES = exp(MIN_LOG_SD)
_REQUESTS_60S = CODES.index("requests_60s")


def released_floors(state: TenantState, standing: Standing) -> dict[int, float]:
    """Values by feature place up to which nothing counts against a subject after its release.

    Whoever released five hundred requests a minute has released ten minutes of them, and the tokens that they carry,
    although the long windows were not full by then, and little may have been served.
    """
    floors = dict(standing.seen)
    windows = state.windows
    totals = windows.sum_long(max(windows.minutes, default=0))
    pace = standing.seen.get(_REQUESTS_60S, 0.0) * _VARIES
    for index in SUMS:
        feature = FEATURES[index]
        if feature.counter is None or feature.counter is Counter.ERRORS:
            continue
        carried = totals[feature.counter] / max(totals[Counter.REQUESTS], 1)
        of_pace = pace * feature.window_s / 60 * (carried if feature.counter is not Counter.REQUESTS else 1.0)
        floors[index] = max(floors.get(index, 0.0), of_pace if feature.window_s > 10 else 2.0 * of_pace)
    return {index: floor for index, floor in floors.items() if floor}
