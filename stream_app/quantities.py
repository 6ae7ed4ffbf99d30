"""Numbers, durations, times and scores in words."""

from datetime import datetime

from msgspec import UNSET, UnsetType

_UNITS_S = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
#: Below this score a rarity in words would sound more certain than it is.
_TELLING_SCORE = 0.9
#: Scores are rounded to nine decimals in a decision; beyond that nothing can be told apart.
RAREST = 1_000_000_000


def rarity(score: float) -> str:
    """A score in words: how few ordinary windows of the subject get that far."""
    if score < _TELLING_SCORE:
        return f"score {score:.2f}"
    windows = min(1 / (1 - score), RAREST) if score < 1 else RAREST
    if windows >= RAREST:
        return "fewer than one ordinary window in a billion gets that far"
    return f"one ordinary window in {float(f'{windows:.2g}'):,.0f} gets that far"


def how_rare(score: float, compared_with: str | UnsetType) -> str:
    """The same, or how few of those whom the subject was compared with."""
    return rarity(score) if compared_with is UNSET else f"{1 - score:.1%} of them get as far"


def number(value: float) -> str:
    """A measured value: whole from 100 on, else to one decimal if that is not zero."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}".removesuffix(".0")


def duration(seconds: float) -> str:
    """Seconds in the two largest units: ``15 min``, ``1 h 30 min``; up to two minutes in seconds alone."""
    left = round(seconds)
    if left <= 120:
        return f"{left} s"
    parts = []
    for size, unit in _UNITS_S:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])


def clock(time: str) -> str:
    """RFC 3339 in UTC as ``2025-06-02 14:58:10 UTC``."""
    return datetime.fromisoformat(time).strftime("%Y-%m-%d %H:%M:%S UTC")


def printable(text: str) -> str:
    """Text with nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
