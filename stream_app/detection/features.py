"""What is measured of a tenant in a window: one table with unit, window, counter and what is usual at first."""

from enum import IntEnum

from msgspec import Struct

from stream_app.detection.hours import SPANS
from stream_app.detection.scorers import Prior, Recent


class Counter(IntEnum):
    """Sums which every pane keeps; the value is the place in ``windows.Totals``."""

    REQUESTS = 0
    INPUT_TOKENS = 1
    OUTPUT_TOKENS = 2
    ERRORS = 3


class Feature(Struct, frozen=True):
    """One measured quantity; higher is worse for all of them.

    A feature with a ``counter`` is a sum over its window and is also scored early, at the very event that trips it; the
    others are ratios and counts of distinct values, scored when a minute closes. ``memory`` is how many windows of
    history weigh: about a day of activity. Shapes of different ``kind`` say different things of a client; several of
    them that move together weigh more than one (``policy.Together``). Nothing of its prior counts for a
    feature that is judged against its ``recent`` level.
    """

    code: str
    unit: str
    window_s: int
    prior: Prior
    memory: float
    counter: Counter | None = None
    kind: str = ""
    recent: Recent | None = None


#: Windows of history per feature: a day of active minutes, or of active ten minutes; two weeks of quarters of a day
#: and of days.
_MINUTES = 720.0
_TEN_MINUTES = 144.0
_QUARTERS, _DAYS = 56.0, 14.0


def _sums(name: str, unit: str, counter: Counter, per_minute: float) -> list[Feature]:
    return [
        Feature(f"{name}_60s", unit, 60, Prior(per_minute, 1.0), _MINUTES, counter),
        Feature(f"{name}_600s", unit, 600, Prior(per_minute * 5, 1.0), _TEN_MINUTES, counter),
    ]


def _shape(name: str, unit: str, median: float, log_sd: float = 0.5, kind: str = "") -> Feature:
    return Feature(f"{name}_600s", unit, 600, Prior(median, log_sd), _TEN_MINUTES, kind=kind)


#: Seven in an hour reach one in a thousand, sixteen one in ten thousand.
_NO_HABIT = Prior(0.05, 0.4, level_weight=8.0)
#: Some are refused now and then, some a third of the time: that nearly all is refused is nobody's beginning.
_FEW_REFUSALS = Prior(1.0, 0.7, level_weight=2.0)
#: One or two settings, for nearly everybody: nobody tunes by hand through a dozen, and the first sweep is no habit.
_FEW_SETTINGS = Prior(2.0, 0.3, level_weight=8.0)
_NO_PRIOR = Prior(0.0, 1.0)
#: Half an hour, known after an hour. An hour, known after three: counts of ten minutes come by changes of pace as well
#: as in sessions, and clients differ so much (their variance is 1 to 120 times the level) that two hours' are believed.
_LAST_MINUTES, _LAST_BLOCKS = Recent(30.0, 5.0, 60.0, 60.0), Recent(6.0, 10.0, 12.0, 18.0)
#: Three days of quarters in which something was asked, known after three; a week of days, known after two. Quarters of
#: light made-up tenants varied by 2 to 40 times their level, the middle one by 9 at ten requests, by 21 at thirty.
_LAST_QUARTERS, _LAST_DAYS = Recent(12.0, 15.0, 8.0, 3.0), Recent(7.0, 25.0, 4.0, 2.0)

#: Order is part of the encoded state: append only. The priors' medians describe a middling API customer in a minute in
#: which it is active at all; volumes vary by a factor of e from window to window until a tenant has shown otherwise
#: (with .8, one of 65 real clients was throttled for a surge of its own), ratios by half of that on the log scale.
#: ``requests_10s`` is judged against the busiest ten seconds of each minute, so that a client which always works in
#: bursts is not a surprise. Ratios are in percent because the scale is log1p.
FEATURES = (
    Feature("requests_10s", "requests", 10, Prior(3.0, 1.0), _MINUTES, Counter.REQUESTS),
    *_sums("requests", "requests", Counter.REQUESTS, 5.0),
    *_sums("input_tokens", "tokens", Counter.INPUT_TOKENS, 5_000.0),
    *_sums("output_tokens", "tokens", Counter.OUTPUT_TOKENS, 1_500.0),
    *_sums("errors", "requests", Counter.ERRORS, 0.2),
    _shape("input_per_request", "tokens per request", 1_000.0, 0.5),
    _shape("output_per_request", "tokens per request", 300.0, 0.5, "output"),
    # Errors come in bursts: a test run in which most requests fail is no surprise until blocks without have been seen.
    _shape("errors_percent", "percent", 2.0, 1.0),
    _shape("accounts", "accounts", 2.0, 0.5),
    _shape("model_shift_percent", "percent", 10.0, 0.5),
    # Of all others' failures and latency, because an outage is nobody's doing (``services``).
    _shape("provider_errors_percent", "percent", 1.0),
    _shape("latency_percent", "percent of others'", 100.0),
    # What optional fields tell (``shapes``); most of it is nothing for most tenants.
    _shape("output_per_input_percent", "percent", 50.0, 0.7, "output"),
    _shape("output_of_max_percent", "percent", 20.0, 0.7, "output"),
    _shape("reasoning_per_request", "tokens per request", 200.0, 0.7, "output"),
    Feature("refused_percent_600s", "percent", 600, _FEW_REFUSALS, _TEN_MINUTES, kind="refusals"),
    _shape("prefixes", "prefixes", 2.0),
    _shape("ja4s", "fingerprints", 2.0),
    _shape("templates", "templates", 5.0),
    Feature("parameter_sets_600s", "combinations", 600, _FEW_SETTINGS, _TEN_MINUTES, kind="parameters"),
    _shape("logprobs_percent", "percent", 1.0, 0.7, "logprobs"),
    _shape("repeated_prompts_percent", "percent", 10.0, 0.7, "prompts"),
    _shape("jailbreak_percent", "percent", 1.0, 0.7, "jailbreak"),
    _shape("cot_elicitation_percent", "percent", 1.0, 0.7, "elicitation"),
    # Requests against the same weekdays a week before; what is usual is the population's growth (``growths``).
    Feature("growth_percent_7d", "percent of a week before", 7 * 86_400, Prior(100.0, 0.15), 0.0),
    # Of one account (``series``), never learned: an attack is nobody's habit, so that all levels lie near none.
    Feature("attacks_3600s", "prompts", 3_600, _NO_HABIT, 0.0),
    Feature("refused_retries_3600s", "prompts", 3_600, _NO_HABIT, 0.0),
    # Against the level of the last half hour of activity (``CountExpectation``): five times as much as then may be
    # ordinary for the day, and still worth a look. Of the tenant, and of its busiest account where there are several.
    Feature("surge_60s", "requests", 60, _NO_PRIOR, _MINUTES, Counter.REQUESTS, recent=_LAST_MINUTES),
    Feature("account_surge_60s", "requests", 60, _NO_PRIOR, _MINUTES, recent=_LAST_MINUTES),
    # What is too little to tell in a minute adds up in ten.
    Feature("surge_600s", "requests", 600, _NO_PRIOR, _TEN_MINUTES, Counter.REQUESTS, recent=_LAST_BLOCKS),
    Feature("account_surge_600s", "requests", 600, _NO_PRIOR, _TEN_MINUTES, recent=_LAST_BLOCKS),
    # A burst of a few minutes that sessions of one could be, and that ten dilute.
    Feature("surge_180s", "requests", 180, _NO_PRIOR, _MINUTES, Counter.REQUESTS, recent=_LAST_MINUTES),
    # What is too little to tell in ten minutes, and lasts (``hours``).
    Feature("surge_21600s", "requests", 21_600, _NO_PRIOR, _QUARTERS, recent=_LAST_QUARTERS),
    Feature("surge_86400s", "requests", 86_400, _NO_PRIOR, _DAYS, recent=_LAST_DAYS),
)

CODES = tuple(feature.code for feature in FEATURES)
#: Loads have the day's rhythm: the place in ``rhythms.Shifts`` for each feature.
SHIFTS = tuple(
    (0 if f.window_s <= 60 else 1) if f.counter not in {None, Counter.ERRORS} and not f.recent else 2 for f in FEATURES
)
SUMS = tuple(index for index, feature in enumerate(FEATURES) if feature.counter is not None)
#: Requests of a tenant's busiest account; the value is how many minutes they are over.
ACCOUNT_SURGES = {index: f.window_s // 60 for index, f in enumerate(FEATURES) if f.code.startswith("account_surge")}
#: Requests that add up over hours, in the order of ``hours.SPANS``.
LASTING = tuple(CODES.index(f"surge_{span * 3_600}s") for span in SPANS)
GROWTH = CODES.index("growth_percent_7d")
#: How a client asks. What it sends is no kind of its own: a longer conversation moves it, and what it gets, together.
ASKING = frozenset(i for i, f in enumerate(FEATURES) if f.kind or f.code == "input_per_request_600s")
#: Shares of requests: of a few requests, how many of them is the question (``scorers.ShareExpectation``).
SHARES = frozenset(
    CODES.index(f"{name}_percent_600s") for name in ("refused", "logprobs", "jailbreak", "cot_elicitation")
)
#: Features learned when a minute closes (of three minutes, whenever the last was active), and once every ten minutes.
PER_MINUTE = tuple(index for index, feature in enumerate(FEATURES) if feature.window_s <= 180)
PER_TEN_MINUTES = tuple(index for index, feature in enumerate(FEATURES) if feature.window_s == 600)
#: Shapes are judged every so many minutes, twice in the window that they are over; every minute while on a rung.
SHAPE_MINUTES = 5
#: Ratios over fewer requests than this say nothing and are neither scored nor learned.
MIN_SHAPE_REQUESTS = 10
