"""Which accounts' prompts are followed, and values of the series features over the last hour."""

from stream_app.detection.accounts import MAX_KNOWN, MAX_UP, has_others, up_accounts
from stream_app.detection.events import Event
from stream_app.detection.features import CODES
from stream_app.detection.series import Series, is_suspicious
from stream_app.detection.state import TenantState

_ATTACKS, _REFUSED_RETRIES = CODES.index("attacks_3600s"), CODES.index("refused_retries_3600s")


def follow(state: TenantState, event: Event, time_ms: int) -> None:
    """Take a served event with a prompt into the tenant's series, if its account is followed.

    That begins with the first prompt that is refused or elevated: before, nothing could count as an attack, and most
    accounts cost no state and next to no time.
    """
    series = state.series
    if series is None or event.account_id not in series.accounts:
        if not is_suspicious(event):
            return
        series = state.series = series or Series()
    series.observe(event, time_ms)


def series_values(state: TenantState, account_id: str, end_ms: int) -> list[tuple[int, float]]:
    """Values of the series features of one account, in the hour before ``end_ms`` (to ten minutes)."""
    account = state.series.accounts.get(account_id) if state.series else None
    if account is None:
        return []
    counts = account.counts(end_ms)
    return [(_ATTACKS, counts.attacks), (_REFUSED_RETRIES, counts.refused_retries)]


def worst_account(state: TenantState, end_ms: int) -> tuple[str | None, bool]:
    """The account with the most attacks, if any, and whether it is apart from its tenant; silent ones are forgotten."""
    if state.series is None:
        return None, False
    state.series.forget(end_ms)
    if not state.series.accounts:
        state.series = None
        return None, False
    account_id = state.series.worst_account(end_ms)
    if account_id is None:
        return None, False
    is_full = len(up_accounts(state)) >= MAX_UP or len(state.accounts) >= MAX_KNOWN
    is_known = account_id in state.accounts
    return account_id, is_known or (not is_full and has_others(state, account_id))
