"""Per-tenant baselines: River's online variance on a log scale, read as a tail probability."""

from math import expm1, log1p, sqrt
from typing import NamedTuple

from msgspec import Struct
from river.stats import Var
from scipy.special import stdtr, stdtrit

#: Name and version of this scorer; part of every decision. State of another version is not read (see ``state``).
SCORER = "log_baseline"
SCORER_VERSION = "1"

#: Weight, in windows, of what is known beforehand of a tenant's variance and of its level: the level may lie
#: anywhere, three times as far from the median as the tenant varies by itself, so that one window of its own says more.
VARIANCE_WEIGHT = 8.0
LEVEL_WEIGHT = 0.1
#: Degrees of freedom of the predictive Student t: the weight of the prior variance. They stay this few however long the
#: history: with 16 or more, real clients' own surges pass for one in 10,000 (docs/detection.md).
DEGREES_OF_FREEDOM = VARIANCE_WEIGHT
#: Least standard deviation in natural log units: a perfectly steady tenant may still vary by a quarter.
MIN_LOG_SD = 0.25


class Prior(Struct, frozen=True):
    """What is known of every tenant beforehand.

    ``median`` is a middling tenant's usual value in the feature's unit, ``log_sd`` how much one tenant varies from
    window to window, in natural log units.
    """

    median: float
    log_sd: float


class Expectation(NamedTuple):
    """Location and scale of the next value on the log1p scale."""

    mean: float
    sd: float

    def level(self, quantile: float) -> float:
        """The value at which the score reaches the probability whose ``t_quantile`` is given."""
        return expm1(min(self.mean + quantile * self.sd, 700.0))

    def score(self, value: float) -> float:
        """Probability, 0..1, that an ordinary window stays below ``value``."""
        return float(stdtr(DEGREES_OF_FREEDOM, (log1p(value) - self.mean) / self.sd))


def t_quantile(score: float) -> float:
    """How many standard deviations above the mean a score of ``score`` lies."""
    return -float(stdtrit(DEGREES_OF_FREEDOM, 1.0 - score))


class Baseline:
    """What one feature of one tenant usually is: mean and variance of log1p(value) with exponential forgetting.

    Until ``memory`` windows are known, all weigh the same; then old ones fade by 1 - 1/memory a window. Three floats
    when encoded; ``learn_one`` takes about a microsecond, ``expect`` two.
    """

    __slots__ = ("_var",)

    def __init__(self, weight: float = 0.0, mean: float = 0.0, squares: float = 0.0) -> None:
        self._var = Var(ddof=0)
        self._var.mean.n = weight
        self._var.mean._mean = mean
        self._var._S = squares

    def learn_one(self, value: float, memory: float) -> None:
        """Learn one closed window; ``memory`` is in windows of this feature."""
        var = self._var
        if var.mean.n >= memory:
            keep = (memory - 1.0) / var.mean.n
            var.mean.n *= keep
            var._S *= keep
        var.update(log1p(value))

    def expect(self, prior: Prior) -> Expectation:
        """Predict the next window: posterior of a normal-inverse-gamma prior (Murphy 2007, eq. 86-89)."""
        n, mean, squares = self.to_tuple()
        prior_mean = log1p(prior.median)
        level_weight = LEVEL_WEIGHT + n
        surprise = (mean - prior_mean) ** 2 * LEVEL_WEIGHT * n / level_weight
        variance = (squares + VARIANCE_WEIGHT * prior.log_sd**2 + surprise) / (VARIANCE_WEIGHT + n)
        return Expectation(
            mean=(LEVEL_WEIGHT * prior_mean + n * mean) / level_weight,
            sd=max(sqrt(variance * (1.0 + 1.0 / level_weight)), MIN_LOG_SD),
        )

    def to_tuple(self) -> tuple[float, float, float]:
        """Weight in windows, mean, and sum of squared deviations: the whole state, as ``__init__`` takes it."""
        return float(self._var.mean.n), float(self._var.mean._mean), float(self._var._S)
