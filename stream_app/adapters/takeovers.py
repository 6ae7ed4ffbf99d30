"""What is read before a partition is ours: its changelog and its journal, behind former owners that are fenced."""

from collections.abc import Callable
from threading import Event
from typing import NamedTuple

from stream_app.adapters.changelogs import ChangelogCopy, recover
from stream_app.adapters.journals import read_journal
from stream_app.adapters.transactions import PartitionProducer
from stream_app.detection.campaigns.detector import CampaignDetector
from stream_app.detection.detector import Detector
from stream_app.detection.operators import JournalEntry
from stream_app.metrics import PartitionMetrics
from stream_app.settings import Settings
from stream_app.topology import TopicName

NewDetector = Callable[[int, dict[str, bytes]], Detector | CampaignDetector]


class TakenOver(NamedTuple):
    """What a takeover has brought of a partition: its fenced producer, its states and the journal's rest."""

    number: int
    producer: PartitionProducer
    copy: ChangelogCopy
    detector: Detector | CampaignDetector
    journal: list[JournalEntry]
    journal_end: int
    journal_topic: TopicName


def open_partition(
    settings: Settings,
    number: int,
    copy: ChangelogCopy,
    abandoned: Event,
    *,
    new_detector: NewDetector,
    metrics: PartitionMetrics,
) -> TakenOver:
    """Fence first, so that nobody writes behind what is then read; call it from a thread.

    Raises ``FencedError``, ``AbandonedError`` and ``StateError``.
    """
    with metrics.takeover(number) as remaining:
        producer = PartitionProducer(settings, number)
        producer.open(abandoned)
        recover(settings, number, copy, abandoned, remaining.set)
        detector = new_detector(number, copy.states)
        journal, end = read_journal(settings, number, detector.state.journal_position, abandoned)
    return TakenOver(number, producer, copy, detector, journal, end, settings.stage_topics.journal)
