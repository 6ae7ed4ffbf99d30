"""What the console knows: a bounded view of the topics, changed by their records alone."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import Struct

from stream_app.console.campaign_table import CampaignTable
from stream_app.console.rows import Row, row_of
from stream_app.detection.decisions import Action, Budget
from stream_app.detection.decode import Rejected
from stream_app.detection.operators import Forget, OperatorRecord, SetPolicy, parse_operator
from stream_app.detection.policy import Policy
from stream_app.topology import TopicName

#: Decisions of the log that are kept, the newest: with their evidence some 450 MB (benchmarks/console.py).
MAX_LOG = 100_000
#: Subjects with a newest decision that are kept; what is also in the log is held once.
MAX_SUBJECTS = 100_000
#: Operator records kept, the newest: people write a few a day.
MAX_WORDS = 20_000
#: A budget that no decision has named for so long says nothing about now: it is one of the hour.
_BUDGET_MS = 3_600_000


class TopicRecord(NamedTuple):
    """A record of one of our topics; ``at_ms`` is its Kafka timestamp."""

    name: TopicName
    partition: int
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None


class Word(Struct, frozen=True):
    """An operator's record, where it lies, and why workers will not follow it, if they will not."""

    record: OperatorRecord
    offset: int
    problem: str = ""

    @property
    def undoes(self) -> str:
        """Id of the record that it takes back, or nothing."""
        return str((self.record.body or {}).get("undoes", ""))


class PolicyWord(Struct, frozen=True):
    """A policy that an operator set."""

    record: OperatorRecord
    policy: Policy


class SpentBudget(Struct, frozen=True):
    """What of the denials allowed in an hour is used, summed over the partitions that have named it."""

    allowed: int
    used: int
    partitions: int


class View:
    """Decisions, campaigns and operators' words, by the records of their topics in each partition's order.

    Not safe for threads: one applies and asks. Memory: ``MAX_LOG``, ``MAX_SUBJECTS``, ``MAX_WORDS`` and the bounds of
    ``CampaignTable``: some 650 MB when all of them are reached. ``version`` rises with every change.
    """

    def __init__(self) -> None:
        self.version = 0
        self.unreadable = 0
        self.campaigns = CampaignTable()
        self.policies: deque[PolicyWord] = deque(maxlen=200)
        self.words: deque[Word] = deque(maxlen=MAX_WORDS)
        self._log: dict[str, Row] = {}
        self._arrivals: deque[str] = deque()
        self._newest: dict[str, Row] = {}
        self._budgets: dict[int, tuple[int, Budget]] = {}
        self._forgotten: dict[str, int] = {}

    def apply(self, records: Iterable[TopicRecord]) -> None:
        """Take in records in order; one that cannot be read changes nothing and is counted."""
        for record in records:
            try:
                self._apply(record)
            except (msgspec.DecodeError, ValueError, KeyError, RecursionError):
                self.unreadable += 1
        self.version += 1

    def size(self) -> int:
        """Decisions and members that are kept."""
        return len(self._log.keys() | {row.decision_id for row in self._newest.values()}) + len(self.campaigns)

    @property
    def log(self) -> Iterable[Row]:
        """The kept part of the decision log, in order of arrival."""
        return self._log.values()

    def find(self, decision_id: str) -> Row | None:
        """A decision of the log, or one that is in force."""
        if decision_id in self._log:
            return self._log[decision_id]
        return next((row for row in self._newest.values() if row.decision_id == decision_id), None)

    def newest_of(self, key: str) -> Row | None:
        """The newest decision about a subject, in force or not."""
        return self._newest.get(key)

    def in_force(self, now_ms: int) -> list[Row]:
        """The decisions that hold now, in no order; 100,000 take some 10 ms."""
        return [row for row in self._newest.values() if row.is_in_force(now_ms)]

    def of_tenant(self, tenant_id: str) -> list[Row]:
        """A tenant's decisions and those about its accounts, oldest first."""
        found = {row.decision_id: row for row in self._log.values() if row.tenant_id == tenant_id}
        found |= {row.decision_id: row for row in self._newest.values() if row.tenant_id == tenant_id}
        return sorted(found.values(), key=lambda row: (row.issued_ms, row.revision))

    def of_campaign(self, campaign_ids: set[str]) -> list[Row]:
        """What was decided for a campaign, in order of arrival."""
        return [row for row in self._log.values() if row.campaign_id in campaign_ids]

    def budget(self, now_ms: int) -> SpentBudget | None:
        """The harm budget of single subjects, as the newest decision of each partition names it."""
        fresh = [budget for at_ms, budget in self._budgets.values() if now_ms - at_ms < _BUDGET_MS]
        if not fresh:
            return None
        return SpentBudget(sum(one.allowed for one in fresh), sum(one.used for one in fresh), len(fresh))

    def words_on(self, subjects: set[str]) -> list[Word]:
        """What operators said about subjects, newest first."""
        return [word for word in reversed(self.words) if word.record.subject in subjects]

    def undone(self) -> dict[str, Word]:
        """Words that have been taken back, by id, each with the word that did so."""
        return {word.undoes: word for word in self.words if word.undoes}

    def is_enforced(self) -> bool:
        """Whether limiters deny at all: the newest word on it holds."""
        for word in reversed(self.words):
            if word.record.type == "enforcement":
                return (word.record.body or {}).get("enforced") is not False
        return True

    def _apply(self, record: TopicRecord) -> None:
        match record.name:
            case TopicName.DECISIONS:
                self._put_newest(record)
            case TopicName.DECISION_LOG if record.value is not None:
                self._put_logged(record.value, record.partition)
            case TopicName.CAMPAIGNS:
                self.campaigns.apply((record.key or b"").decode(), record.value)
            case TopicName.CAMPAIGN_LOG:
                self.campaigns.note((record.key or b"").decode(), record.value, record.at_ms)
            case TopicName.OPERATOR:
                self._hear(record)
            case _:
                pass

    def _put_newest(self, record: TopicRecord) -> None:
        key = (record.key or b"").decode()
        known = self._newest.get(key)
        if record.value is None:
            self._newest.pop(key, None)
            return
        row, _ = row_of(record.value)
        if self._is_forgotten(row):
            return
        if known is not None and row.revision < known.revision:
            return  # of an owner that was frozen: consumers ignore it
        self._newest.pop(key, None)
        self._newest[key] = self._log.get(row.decision_id, row)
        while len(self._newest) > MAX_SUBJECTS:
            del self._newest[next(iter(self._newest))]

    def _put_logged(self, value: bytes, partition: int) -> None:
        row, budget = row_of(value)
        if self._is_forgotten(row):
            return
        if budget is not None:
            self._budgets[partition] = (row.issued_ms, budget)
        if row.decision_id not in self._log:
            self._arrivals.append(row.decision_id)
        self._log[row.decision_id] = row
        known = self._newest.get(row.key)
        if known is not None and known.decision_id == row.decision_id:
            self._newest[row.key] = row  # one copy of the bytes
        while len(self._arrivals) > MAX_LOG:
            self._log.pop(self._arrivals.popleft(), None)

    def _hear(self, record: TopicRecord) -> None:
        told = msgspec.json.decode(record.value or b"", type=OperatorRecord)
        parsed = parse_operator(record.value)
        problem = parsed.detail if isinstance(parsed, Rejected) else ""
        if isinstance(parsed, SetPolicy):
            self.policies.append(PolicyWord(parsed.record, parsed.policy))
        if isinstance(parsed, Forget):
            self._forget(parsed.tenant_id, round(told.at.timestamp() * 1000))
        self.words.append(Word(told, record.offset, problem))

    def _forget(self, tenant_id: str, at_ms: int) -> None:
        """Leave out an erased tenant, however long the logs still hold it."""
        self._forgotten[tenant_id] = at_ms
        self._log = {name: row for name, row in self._log.items() if not self._is_forgotten(row)}
        self._newest = {key: row for key, row in self._newest.items() if not self._is_forgotten(row)}

    def _is_forgotten(self, row: Row) -> bool:
        return row.issued_ms <= self._forgotten.get(row.tenant_id, -1)


def counted(rows: Iterable[Row]) -> dict[tuple[Action, str], list[int]]:
    """How many rows there are by action and origin: enforced, and simulated."""
    found: dict[tuple[Action, str], list[int]] = {}
    for row in rows:
        found.setdefault((row.action, row.origin), [0, 0])[row.is_simulated] += 1
    return found
