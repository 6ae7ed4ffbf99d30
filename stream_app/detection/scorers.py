"""Per-tenant baselines, read as tail probabilities: River's online variance on a log scale, and recent counts."""

from math import comb, exp, expm1, lgamma, log1p, nextafter, sqrt
from typing import NamedTuple

from msgspec import Struct
from river.stats import Var
from scipy.special import betainc, btdtria, ndtr, ndtri, stdtr, stdtrit

#: Name and version of this scorer; part of every decision. State of another version is not read (see ``state``).
SCORER = "log_baseline"
SCORER_VERSION = "3"

#: Weight, in windows, of what is known beforehand of a tenant's variance and of its level: the level may lie
#: anywhere, three times as far from the median as the tenant varies by itself, so that one window of its own says more.
VARIANCE_WEIGHT = 8.0
LEVEL_WEIGHT = 0.1
#: Degrees of freedom of the predictive Student t: the weight of the prior variance. They stay this few however long the
#: history: with 16 or more, real clients' own surges pass for one in 10,000 (docs/detection.md).
DEGREES_OF_FREEDOM = VARIANCE_WEIGHT
#: Least standard deviation in natural log units: a perfectly steady tenant may still vary by a quarter.
MIN_LOG_SD = 0.25
#: Of few requests, two of which one is so are so alike (intraclass correlation): they come from one program, or in one
#: session. With a rate of one in a hundred, eight of ten are one chance in four thousand, two of ten one in forty.
SHARE_CORRELATION = 0.2
#: Least rate: that something never was in some hundred requests does not say more.
MIN_SHARE = 0.01
#: Least variance of counts in units of their mean: independent requests have 1, and a negative binomial needs more.
MIN_DISPERSION = 1.1


class Prior(Struct, frozen=True):
    """What is known of every tenant beforehand.

    ``median`` is a middling tenant's usual value in the feature's unit, ``log_sd`` how much one tenant varies from
    window to window, in natural log units. ``level_weight`` is the weight, in windows, of the level.
    """

    median: float
    log_sd: float
    level_weight: float = LEVEL_WEIGHT


class Recent(Struct, frozen=True):
    """How a count is judged against its recent level: that of the last ``windows`` active ones.

    ``dispersion`` is what is known of everybody beforehand: the variance in units of the level, as requests come in
    sessions; it weighs ``weight`` windows, because a few without a large session prove little. Nobody is judged before
    ``known`` windows were learned.
    """

    windows: float
    dispersion: float
    weight: float
    known: float


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


class CountExpectation(NamedTuple):
    """The next count, by a negative binomial distribution around the recent level.

    ``is_known``: enough windows are known. The variance is ``mean`` times ``dispersion``, beside which even the
    steadiest level may vary by ``MIN_LOG_SD``. The tail is read on the scale of all scores: as a normal one that lies
    as far out, with the tail of Student's t.
    """

    mean: float
    dispersion: float
    is_known: bool

    def level(self, quantile: float) -> float:
        """The count at which the score reaches the probability whose ``t_quantile`` is given."""
        size, share = self._shape()
        return float(btdtria(ndtr(-quantile), size, share))

    def score(self, value: float) -> float:
        """Probability, 0..1, that an ordinary window stays below ``value``."""
        size, share = self._shape()
        return float(stdtr(DEGREES_OF_FREEDOM, -ndtri(betainc(max(value, 1e-9), size, share))))

    def _shape(self) -> tuple[float, float]:
        """Of the negative binomial, whose upper tail from x on is the regularised incomplete beta I(share; x, size)."""
        excess = self.dispersion - 1.0 + self.mean * MIN_LOG_SD**2
        return self.mean / excess, excess / (1.0 + excess)


class ShareExpectation(NamedTuple):
    """How many of a few requests will be so: what is usual for the tenant, and what chance adds to so small a sample.

    The count is beta-binomial around the tenant's usual share. It has to be unusual both ways.
    """

    usual: Expectation
    requests: int

    def level(self, quantile: float) -> float:
        """The share at which the score reaches the probability whose ``t_quantile`` is given; its median is usual."""
        own = self.usual.level(quantile)
        if quantile <= 0.0:
            return own
        tail, least = 1.0 - float(stdtr(DEGREES_OF_FREEDOM, quantile)), self.requests + 1
        while least > 0 and self._tail(least - 1) <= tail:
            least -= 1
        return max(own, min(nextafter(100.0 * least / self.requests, 0.0), 100.0))

    def score(self, value: float) -> float:
        """Probability, 0..1, that as many ordinary requests stay below a share of ``value`` percent."""
        count = int(value * self.requests / 100.0 + 1e-9)
        return min(self.usual.score(value), 1.0 - self._tail(count))

    def _tail(self, count: int) -> float:
        """Probability of so many or more."""
        share = min(max(expm1(self.usual.mean) / 100.0, MIN_SHARE), 1.0 - MIN_SHARE)
        weight = 1.0 / SHARE_CORRELATION - 1.0
        one, other, n = share * weight, (1.0 - share) * weight, self.requests
        whole = _log_beta(one, other)
        return sum(comb(n, k) * exp(_log_beta(one + k, other + n - k) - whole) for k in range(count, n + 1))


def _log_beta(one: float, other: float) -> float:
    return lgamma(one) + lgamma(other) - lgamma(one + other)


def t_quantile(score: float) -> float:
    """How many standard deviations above the mean a score of ``score`` lies."""
    return -float(stdtrit(DEGREES_OF_FREEDOM, 1.0 - score))


#: Holds nothing from one call of ``Baseline.learn_one`` to the next.
_var = Var(ddof=0)


class Baseline(Struct, array_like=True, gc=False):
    """What one feature of one tenant usually is: mean and variance of log1p(value) with exponential forgetting.

    Weight in windows, mean, and sum of squared deviations. Until ``memory`` windows are known, all weigh the same; then
    old ones fade by 1 - 1/memory a window. All learn by one object of River's, set anew each time: a hundred thousand
    tenants have a million baselines. ``learn_one`` and ``expect`` take one to two microseconds.
    """

    weight: int | float = 0
    mean: int | float = 0
    squares: int | float = 0

    def learn_one(self, value: float, memory: float, shift: float = 0.0, share: float = 1.0) -> None:
        """Learn one closed window; ``memory`` is in windows of this feature.

        ``shift`` is what the hour of the day explains of it (``rhythms``), in natural log units; ``share`` is the
        window's weight.
        """
        weight, squares = float(self.weight), float(self.squares)
        if weight >= memory:
            keep = (memory - share) / weight
            weight *= keep
            squares *= keep
        level = log1p(value) - shift
        if not (level or self.mean or squares):  # nothing, as ever: most never err, nor use most optional fields
            self.weight = _short(weight + share)
            return
        mean = _var.mean
        mean.n, mean._mean, _var._S = weight, float(self.mean), squares
        _var.update(level, share)
        self.weight, self.mean, self.squares = _short(mean.n), mean._mean or 0, _var._S or 0

    def learn_recent(self, value: float, memory: float, recent: Recent) -> None:
        """Learn one closed window's count.

        Then ``squares`` holds squared surprises in units of the level of the moment: what a change of level costs until
        it is learned is part of what the tenant ordinarily does.
        """
        if self.weight >= memory:
            self.squares *= (memory - 1.0) / memory
        else:
            self.weight += 1
        if self.weight > 1:
            self.squares = _short(float(self.squares + (value - self.mean) ** 2 / max(self.mean, 1.0)))
        self.mean = _short(float(self.mean + (value - self.mean) / min(self.weight, recent.windows)))

    def expect_recent(self, recent: Recent) -> CountExpectation:
        """Predict the next count from the recent level and how much the tenant leaves it."""
        dispersion = (recent.weight * recent.dispersion + self.squares) / (recent.weight + self.weight)
        is_known = self.weight >= recent.known
        return CountExpectation(max(float(self.mean), 1.0), max(dispersion, MIN_DISPERSION), is_known)

    def expect(self, prior: Prior, shift: float = 0.0) -> Expectation:
        """Predict the next window: posterior of a normal-inverse-gamma prior (Murphy 2007, eq. 86-89).

        ``shift`` is what the hour of the day adds.
        """
        n, mean, squares = self.weight, self.mean, self.squares
        prior_mean = log1p(prior.median)
        level_weight = prior.level_weight + n
        surprise = (mean - prior_mean) ** 2 * prior.level_weight * n / level_weight
        variance = (squares + VARIANCE_WEIGHT * prior.log_sd**2 + surprise) / (VARIANCE_WEIGHT + n)
        return Expectation(
            mean=(prior.level_weight * prior_mean + n * mean) / level_weight + shift,
            sd=max(sqrt(variance * (1.0 + 1.0 / level_weight)), MIN_LOG_SD),
        )


def _short(number: float) -> int | float:
    """The same number in fewer encoded bytes, where it is whole."""
    return int(number) if number.is_integer() else number
