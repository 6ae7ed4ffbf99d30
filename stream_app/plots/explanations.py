"""The picture of one decision: its features' series, and on what they rest."""

from collections.abc import Iterable, Sequence

from msgspec import UNSET, Struct

from stream_app.detection.decisions import Decision
from stream_app.detection.operators import OperatorWord
from stream_app.detection.policy import Policy
from stream_app.plots.panels import Moment, Panel, limit_of
from stream_app.plots.pictures import Picture
from stream_app.plots.times import MINUTE_S, bins_of, clock_at, epoch_s, mark_of
from stream_app.plots.tracks import Tracer, account_of, plotted_codes
from stream_app.quantities import clock, number, printable
from stream_app.stories import headline, otherwise, shares, track_title

#: Minutes shown before and after the decision: enough to see what is usual, and what became of it.
_BEFORE_MIN, _AFTER_MIN = 120, 30
#: A rebuilt expectation that is this near to the recorded one is called the same: decisions round to three decimals.
_SAME = 0.02


class Recorded(Struct, frozen=True):
    """The events that a picture rests on: their values, where they are from, and whether any older ones are missing."""

    values: Iterable[bytes]
    place: str
    is_whole: bool


class NothingRecordedError(Exception):
    """None of the subject's events is there; the message says so in one line."""


def picture_of(
    decision: Decision,
    of_subject: Sequence[Decision],
    policy: Policy,
    recorded: Recorded,
    words: Sequence[OperatorWord] = (),
) -> Picture:
    """Run the core again on the subject's events and draw what it knew; raises ``NothingRecordedError``.

    ``of_subject`` are the subject's decisions in order, this one among them; ``words`` are operators', which the core
    is told at their time.
    """
    at_min = int(epoch_s(decision.issued_at)) // MINUTE_S
    spoke = _that_spoke(decision, of_subject)
    codes = plotted_codes({r.code: s for r, s in zip(spoke.reasons, shares(spoke.reasons), strict=True)})
    bins = bins_of(range(at_min - _BEFORE_MIN, at_min + _AFTER_MIN))
    tracer = Tracer(decision.tenant_id, policy, codes, bins, account_id=account_of(decision), instructions=words)
    end_ms = (bins.end_min + 2) * MINUTE_S * 1000
    for value in recorded.values:
        tracer.add(value)
        if tracer.newest_ms >= end_ms:
            break
    tracks = tracer.finish()
    if not tracer.events or all(value is None for track in tracks.values() for value in track.expected):
        raise NothingRecordedError(f"no event of {decision.tenant_id!r} around {clock(decision.issued_at)} is there")
    observed = {one.decision_id: {r.code: r.observed for r in one.reasons} for one in of_subject}
    panels = [
        Panel(
            track,
            [
                Moment(mark_of(one), observed[one.decision_id].get(code), one.decision_id == decision.decision_id)
                for one in of_subject
            ],
            limit_of(decision, track),
        )
        for code, track in tracks.items()
    ]
    notes = [_basis(tracer, recorded), *_differences(decision, policy, tracer, recorded.is_whole)]
    return Picture(headline(decision), _told(decision), panels, notes)


def _that_spoke(decision: Decision, of_subject: Sequence[Decision]) -> Decision:
    """The decision itself, or the one before it that had reasons: a release is about what it ends."""
    earlier = [one for one in of_subject if one.revision <= decision.revision and one.reasons]
    return decision if decision.reasons or not earlier else earlier[-1]


def _told(decision: Decision) -> list[str]:
    life = f"Decided at {clock(decision.issued_at)} (▼), until {clock(decision.expires_at)}, by the {decision.origin}"
    told = [f"{life}; policy {decision.policy.version}. Id {decision.decision_id}."]
    if decision.counterfactual:
        told.append(f"Otherwise: {otherwise(decision)}.")
    return told


def _basis(tracer: Tracer, recorded: Recorded) -> str:
    first_s, last_s = (tracer.first_ms or 0) / 1000, tracer.newest_ms / 1000
    span = f"{clock_at(first_s, '%-d %b %H:%M:%S')} to {clock_at(last_s, '%-d %b %H:%M:%S')} UTC"
    return f"Rebuilt from {tracer.events:,} recorded events, {span}: {recorded.place}."


def _differences(decision: Decision, policy: Policy, tracer: Tracer, is_whole: bool) -> list[str]:
    """In what the picture is not what the detector saw, as far as that can be told."""
    notes = []
    if policy.version != decision.policy.version:
        notes.append(f"Levels are those of policy {policy.version}; {decision.policy.version} is not at hand.")
    if decision.decision_id in tracer.decided:
        return [*notes, "Run again on these events, the detector makes this decision, with the same id."]
    if not is_whole:
        notes.append("Older events are not there: the band knows less of the past than the detector did.")
    at_s = epoch_s(decision.issued_at)
    for reason in decision.reasons:
        if (track := tracer.tracks.get(reason.code)) is None:
            continue
        here = track.expected_at(at_s)
        if reason.compared_with is not UNSET:
            least = f"half of whom begin with {number(reason.expected)} or less"
            whom = f"compared with {printable(reason.compared_with)}, {least}"
            notes.append(f"{track_title(track.feature)}: {whom}; the band is of the tenant's own past.")
            continue
        if here is not None and abs(here - reason.expected) > _SAME * max(reason.expected, 1.0):
            then = f"usual was {number(reason.expected)} for the detector, {number(here)} here"
            notes.append(f"{track_title(track.feature)}: {then}.")
    return notes
