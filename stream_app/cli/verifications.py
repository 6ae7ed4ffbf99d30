"""``stillwatch replay --verify``: recorded decisions, derived once more from their evidence."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import msgspec
import orjson
from confluent_kafka import KafkaException

from stream_app.adapters.decision_log import DecisionLogError, Unreadable, read_file, read_topic
from stream_app.adapters.evidence import Evidence, find_evidence, read_evidence, read_words
from stream_app.adapters.recorded_events import RecordsGoneError
from stream_app.app import detectors
from stream_app.cli.explanations import reading, refuse
from stream_app.cli.histories import kafka_source
from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.decisions import Decision
from stream_app.detection.detector import Detector
from stream_app.detection.effects import EmitDecision
from stream_app.detection.operators import Forget, JournalEntry
from stream_app.detection.partitions import partition_of
from stream_app.detection.policy import Policy, PolicyError
from stream_app.detection.records import Record
from stream_app.policies import read_policy
from stream_app.replay import Replay
from stream_app.reports.lines import UnreadableError
from stream_app.reports.results import RunInput
from stream_app.settings import Settings
from stream_app.sketches import KeyFileError
from stream_app.topology import Stage
from stream_app.verifications import Verification, compare_decisions, rederive

#: Differences written out on a terminal; JSON has them all.
_MAX_TOLD = 20
#: Records between two updates of the progress bar.
_STEP = 2_000


def verify_files(run: RunInput, decisions: Path, sample: int | None, *, as_json: bool) -> None:
    """Verify a replay's decisions by replaying again; ends the command with status 1 when they are not proven."""
    try:
        recorded, unreadable = _readable(read_file(decisions))
        sampled = _sample(recorded, sample)
        replay = Replay(run.policy, run.partitions, run.operator_lines, journal=run.journal, exchange=run.exchange)
        derived = [one.decision for one in replay.run(run.events.lines()) if isinstance(one, EmitDecision)]
    except (DecisionLogError, UnreadableError) as error:
        raise click.ClickException(str(error)) from error
    found = Verification(limits=unreadable, untold=len(unreadable))
    found.add(compare_decisions(recorded, derived, sampled), ())
    _tell(found, as_json=as_json)


def verify_live(source: str, policy: Policy | None, sample: int | None, *, as_json: bool) -> None:
    """Verify a deployment's decision log by what Kafka still holds; ends the command as ``verify_files`` does."""
    settings, asked = kafka_source(source)
    if asked.topic:
        refuse(f"{source}: the topics are those of the settings")
    try:
        recorded, unreadable = _readable(read_topic(settings))
        first = policy or read_policy(settings)
        verification = _Live(settings, first, recorded, _sample(recorded, sample), asked.hours)
        found = Verification(limits=unreadable, untold=len(unreadable))
        verification.tenants(found)
        verification.campaigns(found)
    except (DecisionLogError, RecordsGoneError) as error:
        raise click.ClickException(str(error)) from error
    except (PolicyError, KeyFileError, OSError) as error:
        refuse(str(error))
    except KafkaException as error:
        raise click.ClickException(f"{settings.broker}: {error.args[0].str()}") from error
    _tell(found, as_json=as_json)


class _Live:
    """A deployment's recorded decisions, verified partition by partition; memory is that of one partition."""

    def __init__(
        self, settings: Settings, policy: Policy, recorded: list[Decision], sampled: set[str], hours: float | None
    ) -> None:
        self._settings, self._policy, self._hours = settings, policy, hours
        self._sampled = sampled
        self._ignored = {"expires_at"} if settings.historic else set()  # moved to the time of emission
        self._words = read_words(settings)
        told = [word.instruction for word in self._words.values()]
        self._erased = {one.tenant_id for one in told if isinstance(one, Forget)}
        self._recorded = [decision for decision in recorded if decision.tenant_id not in self._erased]

    def tenants(self, found: Verification) -> None:
        """Everything decided on tenants and their accounts."""
        evidence = find_evidence(self._settings, self._hours)
        by_partition: list[list[Decision]] = [[] for _ in evidence]
        for decision in self._recorded:
            if decision.tenant_id:
                by_partition[partition_of(decision.tenant_id, len(evidence))].append(decision)
        settings = self._settings.model_copy(update={"partitions": len(evidence)})
        new_detector = detectors(settings, self._policy)
        for number, (one, recorded) in enumerate(zip(evidence, by_partition, strict=True)):
            if any(decision.decision_id in self._sampled for decision in recorded):
                self._verify(new_detector(number, {}), one, recorded, found)

    def campaigns(self, found: Verification) -> None:
        """What the campaign stage decided itself: on values that members share."""
        recorded = [decision for decision in self._recorded if not decision.tenant_id]
        if any(decision.decision_id in self._sampled for decision in recorded):
            settings = self._settings.model_copy(update={"stage": Stage.CAMPAIGNS})
            (one,) = find_evidence(settings, self._hours)
            self._verify(detectors(settings, self._policy)(0, {}), one, recorded, found)

    def _verify(
        self, detector: Detector | CampaignDetector, evidence: Evidence, recorded: list[Decision], found: Verification
    ) -> None:
        span, missing = evidence.span, list[JournalEntry]()
        with reading(f"{span.topic}, partition {span.partition}") as on_progress:

            def records() -> Iterator[Record]:
                for done, record in enumerate(read_evidence(self._settings, span)):
                    if done % _STEP == 0:
                        on_progress(done, span.end - span.first)
                    yield record

            made = rederive(detector, records(), evidence.journal, self._words, missing)
            derived = [decision for decision in made if decision.tenant_id not in self._erased]
        excused: set[str] | None = set()
        if evidence.limits:
            excused = None
            found.limits += evidence.limits
        elif missing:
            told = {decision.tenant_id for decision in recorded if decision.campaign_id}
            excused = {decision.key for decision in recorded if decision.tenant_id in told}
            logs = " and ".join(sorted({entry.log for entry in missing}))
            found.limits.append(
                f"{span.topic}, partition {span.partition}: {len(missing):,} records of {logs} that took effect there"
                " are no longer kept"
            )
        found.add(compare_decisions(recorded, derived, self._sampled, self._ignored), excused)


def _readable(read: Iterable[Decision | Unreadable]) -> tuple[list[Decision], list[str]]:
    decisions: list[Decision] = []
    unreadable = []
    for one in read:
        if isinstance(one, Unreadable):
            unreadable.append(f"{one.place} is no decision: {one.problem}")
        else:
            decisions.append(one)
    return decisions, unreadable


def _sample(recorded: Sequence[Decision], sample: int | None) -> set[str]:
    """Ids are hashes, so the first of them in order are a fair sample, and the same one each time."""
    return set(sorted({decision.decision_id for decision in recorded})[:sample])


def _tell(found: Verification, *, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(msgspec.to_builtins(found) | {"is_proof": found.is_proof}))
    else:
        for line in found.limits:
            click.echo(line)
        for difference in found.differences[:_MAX_TOLD]:
            click.echo(f"differs: {difference}")
        if rest := found.differences[_MAX_TOLD:]:
            click.echo(f"… and {len(rest):,} more (--json has all)")
        click.echo(_closing(found))
    sys.exit(0 if found.is_proof else 1)


def _closing(found: Verification) -> str:
    told = f"{found.identical:,} decisions are identical to what follows from their evidence, field by field"
    if found.differences:
        told += f"; {len(found.differences):,} differ"
    if found.untold:
        told += f"; {found.untold:,} cannot be told, because history no longer reaches back far enough"
    return told
