"""Who is on which list: allowed by the policy, watched by policy or operator, starting softly after a release."""

from msgspec import UNSET, UnsetType

from stream_app.detection.decisions import Listing, Subject
from stream_app.detection.explanations import rfc3339
from stream_app.detection.policy import Policy
from stream_app.detection.rules import Circumstances
from stream_app.detection.state import TenantState

_NEVER_MS = 1 << 62


def muted_until_ms(state: TenantState, policy: Policy, subject: Subject) -> int:
    """Until when scores change nothing for a subject, by an operator's word or the allow-list; 0 if they do."""
    if not state.overrides and not policy.allow_list:
        return 0
    override, entry = state.overrides.get(subject.key), policy.allowed.get(subject.key)
    return max(override.expires_ms if override else 0, entry.until_ms if entry else 0)


def soft_until_ms(state: TenantState, subject: Subject, now_ms: int) -> int:
    """When a soft start ends, and what was released counts again; far away without one."""
    soft = state.soft_starts.get(subject.key) if state.soft_starts else None
    return soft.until_ms if soft and now_ms < soft.until_ms else _NEVER_MS


def is_spared(state: TenantState, subject: Subject, now_ms: int) -> bool:
    """Whether a person has just released what a campaign alone had decided: its verdict is no news then."""
    soft = state.soft_starts.get(subject.key)
    return soft is not None and not soft.floors and now_ms < soft.until_ms


def policy_for(state: TenantState, policy: Policy, subject: Subject, now_ms: int) -> Policy:
    """The policy as it holds for a subject now: by name, plan, watchlist, and what was released a little while ago."""
    if not (state.soft_starts or state.watches or policy.watchlist or policy.overrides):
        return policy
    soft = state.soft_starts.get(subject.key)
    floors = tuple(sorted(soft.floors.items())) if soft and now_ms < soft.until_ms else ()
    is_watched = listing(state, policy, subject, now_ms) is not UNSET
    return policy.under(Circumstances(subject.tenant_id, state.plan, is_watched, floors))


def listing(state: TenantState, policy: Policy, subject: Subject, now_ms: int) -> Listing | UnsetType:
    """The entry by which a subject is watched now; an operator's comes before the policy's."""
    if not state.watches and not policy.watchlist:
        return UNSET
    watch, entry = state.watches.get(subject.key), policy.watching.get(subject.key)
    if watch and now_ms < watch.expires_ms:
        return Listing("watchlist", watch.reason or "watched", rfc3339(watch.expires_ms))
    if entry and now_ms < entry.until_ms:
        return Listing("watchlist", entry.reason, rfc3339(entry.until_ms))
    return UNSET
