"""Series of prompts by one account: persistence, edits of one prompt, retries after a refusal.

One prompt's score says little (``docs/prompt-scores.md``). What an automated attack cannot hide is repetition: it asks
for one thing with a suffix that changes. Each prompt is compared, by its sketches, with the few that its account sent
lately::

    no near one                      independent            may count as elevated, and then, if refused, as an attack
    near, same words and length      repeat                 a health check, a retry: no edit
    near, same body, about as long   edit                   a run grows by one
    near, but other body or length   other material         a template, a conversation sent whole: a run shrinks by two;
                                                            independent, unless it grew as a conversation does

The result depends on the order of events, as everything does that compares with what came before; the order is the
log's.
"""

from math import cos, pi
from typing import NamedTuple

from msgspec import UNSET, Struct, field

from stream_app.detection.events import Event, Prompt

#: Of 64 bits. Unrelated prompts differ in 32 ± 4; one pair in 26,000 by 16 or less. One word in ten changed gives nine,
#: one in four some fifteen. The same for bodies with a little more room, because a body is shorter.
NEAR_BITS = 16
NEAR_BODY_BITS = 20

#: An edit replaces; it hardly changes the length. Suffixes of the recorded attacks differ by at most 26 characters from
#: one try to the next, questions of an examination under one template by 76 at the median.
EDIT_CHARS = 32
#: Nor does it replace much: some eight words. Estimated from the share of words that differ, tries of the recorded
#: attacks replace 6 to 40 characters at the median, questions after worked examples 290.
REPLACED_CHARS = 48

#: Edits in a row before a run counts: a person rewords a question once or twice.
MIN_RUN = 3
#: Retries after refusals in a row before they count: clients repeat a prompt by themselves twice or three times, and
#: people reword it as often. An answer in between takes two from it: who is mostly refused, and goes on, is counted.
MIN_CHAIN = 3
_ANSWER_STEP = 2
#: Other material takes this from a run, so that a template whose material is sometimes of the same length ends at none.
_MATERIAL_STEP = 2
_LONGEST_RUN = 255

#: A score from here up is elevated: none of 1,232 published human prompts that it was not trained on.
ELEVATED = 0.8
JAILBREAK_SCORE = "jailbreak"

#: Elevated prompts in an hour before one that is also refused counts: somebody tries what was in the papers.
MIN_ELEVATED = 3

#: Bounds per tenant and per account; three prompts let an attack hide among two other streams and still be followed.
MAX_ACCOUNTS = 4
MAX_PROMPTS = 3

BLOCK_MS = 600_000
BLOCKS = 6
WINDOW_MS = BLOCK_MS * BLOCKS

#: How providers call an answer that was withheld, in ``finish_reason`` or ``error_type``.
REFUSED_WORDS = frozenset({"content_filter", "refusal", "safety", "prohibited_content", "content_policy_violation"})


class SeriesCounts(NamedTuple):
    """Prompts of one account in an hour; each is a feature, higher is worse.

    ``elevated``: prompts with an elevated score that are independent, or other material that did not grow. ``edits``:
    edits of a run, from its third on. ``refused_retries``: prompts near one that was just refused, from the fourth of a
    chain on, changed or not. ``attacks``: those of ``edits`` that also were elevated or followed a refusal, and those
    of ``elevated`` that were refused, from the fourth elevated one on: what neither a score nor a series nor a refusal
    says alone.
    """

    elevated: int = 0
    edits: int = 0
    refused_retries: int = 0
    attacks: int = 0


class SeenPrompt(Struct, array_like=True, gc=False):
    """A remembered prompt, always the newest of its kind; about 35 bytes.

    ``run`` is how many edits led to it, less what other material took; ``chain`` how many retries after a refusal, less
    what answers took.
    """

    simhash: int
    body: int
    chars: int
    time_ms: int
    is_refused: bool
    run: int = 0
    chain: int = 0


class AccountSeries(Struct, array_like=True, gc=False):
    """What is remembered of one account: at most three prompts, and counts by ten-minute block of the last hour."""

    last_ms: int = 0
    prompts: list[SeenPrompt] = field(default_factory=list)
    blocks: dict[int, list[int]] = field(default_factory=dict)

    def counts(self, end_ms: int) -> SeriesCounts:
        """Counts of the six blocks up to and including the one before ``end_ms``."""
        newest = (end_ms - 1) // BLOCK_MS
        rows = [row for block, row in self.blocks.items() if newest - BLOCKS < block <= newest]
        return SeriesCounts(*map(sum, zip(*rows, strict=True))) if rows else SeriesCounts()

    def has_evidence(self) -> bool:
        """Whether anything was counted, or may be counted with the next prompt."""
        return bool(self.blocks) or any(prompt.is_refused or prompt.run for prompt in self.prompts)

    def forget(self, now_ms: int) -> None:
        """Drop what is over an hour old."""
        oldest = now_ms // BLOCK_MS - BLOCKS
        self.blocks = {block: row for block, row in self.blocks.items() if block > oldest}
        self.prompts = [prompt for prompt in self.prompts if prompt.time_ms > now_ms - WINDOW_MS]


class Series(Struct, array_like=True, gc=False):
    """The accounts of one tenant that are followed: at most four, those with evidence before others, then the newest.

    A few microseconds an event; about 120 bytes an account beside its name.
    """

    accounts: dict[str, AccountSeries] = field(default_factory=dict)

    def observe(self, event: Event, time_ms: int) -> None:
        """Take in an event; one without a sketch, denied, or failed on the server changes nothing.

        Who was answered 403, 429 or 5xx has got nothing, and a client repeats it for reasons of its own.
        """
        prompt = event.prompt
        if prompt is UNSET or prompt.simhash is UNSET or event.status_code in {403, 429} or event.status_code >= 500:
            return
        seen = _seen(prompt, time_ms, _is_refused(event))
        is_elevated = _is_elevated(event)
        account = self._followed(event.account_id, time_ms, is_elevated or seen.is_refused)
        if account is None:
            return
        account.last_ms = max(account.last_ms, time_ms)
        account.forget(time_ms)
        counted = _compare(account.prompts, seen, is_elevated)
        if counted.elevated and seen.is_refused and account.counts(time_ms + 1).elevated >= MIN_ELEVATED:
            counted = counted._replace(attacks=1)
        if any(counted):
            row = account.blocks.setdefault(time_ms // BLOCK_MS, [0] * len(counted))
            account.blocks[time_ms // BLOCK_MS] = [a + b for a, b in zip(row, counted, strict=True)]

    def counts(self, end_ms: int) -> SeriesCounts:
        """For each count the highest of any account, in the hour before ``end_ms`` (to ten minutes)."""
        rows = [account.counts(end_ms) for account in self.accounts.values()]
        return SeriesCounts(*map(max, zip(*rows, strict=True))) if rows else SeriesCounts()

    def worst_account(self, end_ms: int) -> str | None:
        """The account behind the most attacks, then edits; ``None`` when nothing was counted."""
        ranked = [(account.counts(end_ms)[::-1], account_id) for account_id, account in self.accounts.items()]
        counts, account_id = max(ranked, default=((0,), ""))
        return account_id if any(counts) else None

    def forget(self, now_ms: int) -> None:
        """Drop accounts that have been silent for an hour."""
        self.accounts = {name: a for name, a in self.accounts.items() if a.last_ms > now_ms - WINDOW_MS}

    def _followed(self, account_id: str, time_ms: int, is_suspicious: bool) -> AccountSeries | None:
        account = self.accounts.get(account_id)
        if account is not None:
            return account
        if len(self.accounts) >= MAX_ACCOUNTS:
            self.forget(time_ms)
        if len(self.accounts) >= MAX_ACCOUNTS:
            has_evidence, _, leaving = min((a.has_evidence(), a.last_ms, name) for name, a in self.accounts.items())
            if has_evidence and not is_suspicious:
                return None
            del self.accounts[leaving]
        account = self.accounts[account_id] = AccountSeries()
        return account


def _seen(prompt: Prompt, time_ms: int, is_refused: bool) -> SeenPrompt:
    assert prompt.simhash is not UNSET  # noqa: S101
    simhash = int(prompt.simhash, 16)
    body = simhash if prompt.body_simhash is UNSET else int(prompt.body_simhash, 16)
    return SeenPrompt(simhash, body, -1 if prompt.chars is UNSET else prompt.chars, time_ms, is_refused)


def is_suspicious(event: Event) -> bool:
    """Whether an event's prompt was refused, or has an elevated score."""
    return _is_refused(event) or _is_elevated(event)


def _is_elevated(event: Event) -> bool:
    return event.scores is not UNSET and event.scores.get(JAILBREAK_SCORE, 0.0) >= ELEVATED


def _is_refused(event: Event) -> bool:
    return event.refused is True or event.finish_reason in REFUSED_WORDS or event.error_type in REFUSED_WORDS


def _compare(prompts: list[SeenPrompt], new: SeenPrompt, is_elevated: bool) -> SeriesCounts:
    """Counts that a prompt adds by itself; it takes the place of the near one."""
    old = min(prompts, key=lambda seen: (seen.simhash ^ new.simhash).bit_count(), default=None)
    if old is None or (old.simhash ^ new.simhash).bit_count() > NEAR_BITS:
        _remember(prompts, new)
        return SeriesCounts(elevated=int(is_elevated))
    prompts[prompts.index(old)] = new
    if _is_other_material(old, new):
        new.run = max(0, old.run - _MATERIAL_STEP)
        new.chain = old.chain
        # A conversation that is sent whole stays elevated once it was, and only grows.
        return SeriesCounts(elevated=int(is_elevated and 0 <= new.chars <= old.chars))
    is_edit = (old.simhash, old.chars) != (new.simhash, new.chars)
    new.run = min(_LONGEST_RUN, old.run + is_edit)
    is_counted = is_edit and new.run >= MIN_RUN
    new.chain = min(_LONGEST_RUN, old.chain + 1) if old.is_refused else max(0, old.chain - _ANSWER_STEP)
    is_retry = old.is_refused and new.chain > MIN_CHAIN
    return SeriesCounts(0, int(is_counted), int(is_retry), int(is_counted and (is_elevated or old.is_refused)))


def _is_other_material(old: SeenPrompt, new: SeenPrompt) -> bool:
    """Whether more was replaced than an edit would: by the bodies, the lengths, and the share of words that differ.

    Two texts whose SimHashes differ by the angle a share about cos(a) of their words and word pairs (Charikar 2002).
    """
    if (old.body ^ new.body).bit_count() > NEAR_BODY_BITS:
        return True
    if old.chars < 0 or new.chars < 0:
        return False
    differing = 1.0 - cos(pi * (old.simhash ^ new.simhash).bit_count() / 64)
    return abs(old.chars - new.chars) > EDIT_CHARS or max(old.chars, new.chars) * differing > REPLACED_CHARS


def _remember(prompts: list[SeenPrompt], new: SeenPrompt) -> None:
    """Make room: of the prompts that are in no run the oldest goes, of runs the shortest."""
    if len(prompts) >= MAX_PROMPTS:
        prompts.remove(min(prompts, key=lambda seen: (seen.run, seen.time_ms)))
    prompts.append(new)
