"""Which account of a tenant is responsible: whose share explains the excess, and who stands on a rung already."""

from collections.abc import Sequence
from zlib import crc32

from stream_app.detection.bars import bar_of, reaching, step_reached
from stream_app.detection.decisions import split_key
from stream_app.detection.features import ACCOUNT_SURGES
from stream_app.detection.judgement import Scored, score_values, sum_values
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Step, denies
from stream_app.detection.state import TenantState
from stream_app.detection.windows import PANES, Minute

#: Accounts of one tenant on rungs of their own at a time, and remembered with those released: beyond that it is the
#: tenant's anomaly.
MAX_UP, MAX_KNOWN = 3, 8
#: Share of the excess over what is usual that one account must have for it to be the account's.
EXPLAINING_SHARE = 0.8
#: Whoever shares a tenant is there once a week: an account that works alone tonight is not its tenant.
_SHARED_MINUTES = 7 * 1_440


def fingerprint(account_id: str) -> int:
    """What stands for an account in the windows."""
    return crc32(account_id.encode())


def set_apart(state: TenantState, policy: Policy, tenant_id: str, now_ms: int) -> list[str]:
    """Accounts whose requests are not the tenant's: on rungs of their own, or under a word that mutes their scores.

    None is on a rung of its own while the tenant is denied: an anomaly that has spread is the tenant's as a whole.
    """
    if not state.accounts and not state.overrides and tenant_id not in policy.allowed_accounts:
        return []
    is_denied = state.standing is not None and denies(state.standing.rung)
    apart = [] if is_denied else up_accounts(state)
    told = [key for key, word in state.overrides.items() if key.startswith("account:") and now_ms < word.expires_ms]
    said = [split_key(key)[1][1] for key in told]
    allowed = [account_id for account_id, until_ms in policy.allowed_accounts.get(tenant_id, ()) if now_ms < until_ms]
    return list(dict.fromkeys([*apart, *said, *allowed]))


def up_accounts(state: TenantState) -> list[str]:
    """Accounts of the tenant on rungs of their own."""
    return [account_id for account_id, standing in state.accounts.items() if standing.is_up]


def without(accounts: Sequence[str], but: str | None = None) -> list[int]:
    """Fingerprints of accounts that are left out of a sum, all but one."""
    return [fingerprint(account_id) for account_id in accounts if account_id != but]


def is_responsible(  # noqa: PLR0917
    state: TenantState,
    policy: Policy,
    account: int,
    newest: int,
    scored: Sequence[Scored],
    steps: Sequence[Step],
    apart: Sequence[str],
) -> bool:
    """Whether an account (CRC-32) alone explains what ``scored`` reaches.

    Without it nothing is reached, it has most of each excess (the busiest account's count is its own anyway), and it is
    not the tenant's only account. Whoever is set ``apart`` is in neither.
    """
    step = step_reached(policy, scored, steps)
    is_one_too_many = len(state.accounts) >= MAX_KNOWN and account not in map(fingerprint, state.accounts)
    if step is None or is_one_too_many or len(up_accounts(state)) >= MAX_UP or not _has_others(state, account):
        return False
    others = [*without(apart), account]
    rest = dict(sum_values(state, newest, others))
    rest |= {place: busiest(state, place, others)[1] for place in ACCOUNT_SURGES}
    for s in reaching(policy, scored, bar_of(step)):
        share = s.value - rest.get(s.place, s.value)
        if share <= 0 or (s.place not in ACCOUNT_SURGES and share < EXPLAINING_SHARE * _excess(s)):
            return False
    return step_reached(policy, score_values(state, policy, rest.items(), newest // PANES), steps) is None


def _excess(scored: Scored) -> float:
    return scored.value - scored.expectation.level(0.0)


def responsible_account(  # noqa: PLR0917
    state: TenantState,
    policy: Policy,
    account: int | None,
    newest: int,
    scored: Sequence[Scored],
    steps: Sequence[Step],
    apart: Sequence[str],
) -> int | None:
    """The account (CRC-32) that alone explains what ``scored`` reaches: that of an event, or the last minute's busiest.

    Another than the event's is told by name only at a request of its own; until then nothing is decided.
    """
    if account is not None and is_responsible(state, policy, account, newest, scored, steps, apart):
        return account
    requests: dict[int, int] = {}
    for index, pane in state.windows.panes.items():
        if newest - PANES < index <= newest:
            for known, counts in pane.heavy.items():
                requests[known] = requests.get(known, 0) + counts.requests
    for known in without(apart):
        requests.pop(known, None)
    busy = max(requests, key=lambda known: (requests[known], known), default=account)
    if busy is None or busy == account or not is_responsible(state, policy, busy, newest, scored, steps, apart):
        return None
    return busy


def own_surges(state: TenantState, account_id: str) -> list[tuple[int, float]]:
    """The features of an account's requests in the minutes closed last."""
    own = fingerprint(account_id)
    return [(place, requests_by_account(state, place).get(own, 0)) for place in ACCOUNT_SURGES]


def busiest(state: TenantState, place: int, but: Sequence[int] = ()) -> tuple[int, int]:
    """The busiest account (CRC-32) in a feature's minutes and its requests; ``but`` are accounts left out."""
    counted = requests_by_account(state, place)
    account = max(counted.keys() - but, key=lambda known: (counted[known], known), default=0)
    return account, counted.get(account, 0)


def requests_by_account(state: TenantState, place: int) -> dict[int, int]:
    """Requests in the minutes closed last, of the accounts (CRC-32) that were among the busiest of one."""
    windows = state.windows
    closed, requests = windows.closed_minute, dict[int, int]()
    for back in range(ACCOUNT_SURGES[place]):
        if (minute := windows.minutes.get(closed - back)) is not None:
            for account, counts in minute.heavy.items():
                requests[account] = requests.get(account, 0) + counts.requests
    return requests


def note_accounts(state: TenantState, minute: int, closed: Minute) -> None:
    """Remember who used the tenant in a minute that closes, and whether that is shared."""
    for account in closed.heavy:
        if account != state.last_account:
            state.shared_minute = minute if state.last_account else state.shared_minute
            state.last_account = account


def has_others(state: TenantState, account_id: str) -> bool:
    """Whether somebody else has used the tenant in the last week."""
    return _has_others(state, fingerprint(account_id))


def _has_others(state: TenantState, own: int) -> bool:
    windows = state.windows
    if state.shared_minute and state.shared_minute > windows.closed_minute - _SHARED_MINUTES:
        return True
    counted = [part.heavy for part in windows.minutes.values()] + [pane.heavy for pane in windows.panes.values()]
    return any(account != own and counts.requests for heavy in counted for account, counts in heavy.items())
