"""What operators' words on one subject change, and when they are forgotten."""

from msgspec import UNSET

from stream_app.detection import operators
from stream_app.detection.decisions import Action, Decision, Listing, PolicyRef, Subject, decision_id, split_key
from stream_app.detection.explanations import rfc3339
from stream_app.detection.ladder import RELEASE_KEEP_MS
from stream_app.detection.policy import Policy
from stream_app.detection.rulings import standing_of
from stream_app.detection.soft_starts import released_floors
from stream_app.detection.state import Override, SoftStart, TenantState, Watch

#: Most subjects of one tenant that are watched or start softly at a time; the one that ends first makes room.
_MAX_SUBJECTS = 16


def subject_of(record: operators.OperatorRecord) -> Subject:
    """The subject of a record that was understood."""
    return Subject(*split_key(str(record.subject))[1])


def overrule(state: TenantState, policy: Policy, word: operators.Override | operators.Release) -> Decision:
    """Follow an operator: the subject's key says from now on what the operator says, in either mode.

    A release only ends what was decided: it expires at once, so that it does not shield its subject like an allow, but
    it is kept as long as any release, for its revision. For ``soft_start_s`` no more than what was released counts
    against the subject.
    """
    record = word.record
    subject = subject_of(record)
    standing = standing_of(state, subject)
    at_ms = round(record.at.timestamp() * 1000)
    listed: Listing | None = None
    if isinstance(word, operators.Override):
        action, limited, expires_ms = word.action, word.limit, word.expires_ms
        forget_ms = expires_ms + RELEASE_KEEP_MS
        if word.purpose:
            listed = Listing("allow_list", word.purpose, rfc3339(expires_ms))
    else:
        action, limited, expires_ms = Action.ALLOW, UNSET, at_ms
        forget_ms = at_ms + policy.longest_ttl_s * 1000 + RELEASE_KEEP_MS
        if standing and standing.is_up:
            until_ms = max(at_ms, standing.over_ms) + policy.soft_start_s * 1000
            state.soft_starts[subject.key] = SoftStart(until_ms, released_floors(state, standing))
            _make_room(state.soft_starts, {key: soft.until_ms for key, soft in state.soft_starts.items()})
    state.revision = max(state.revision + 1, state.last_offset)
    decision = Decision(
        decision_id=decision_id(subject.key, record.id, action, at_ms),
        scope=subject.scope,
        subject=subject.text,
        tenant_id=word.tenant_id,
        account_id=UNSET if subject.account_id is None else subject.account_id,
        action=action,
        simulated=False,
        origin="operator",
        reasons=[],
        limit=limited,
        policy=PolicyRef(policy.version, f"operator:{record.type}"),
        issued_at=rfc3339(at_ms),
        expires_at=rfc3339(expires_ms),
        revision=state.revision,
        supersedes=standing.decision_id if standing else UNSET,
        listed=listed or UNSET,
    )
    if subject.account_id is None:
        state.standing = None
    else:
        state.accounts.pop(subject.account_id, None)
    state.overrides[decision.key] = Override(record.id, action, expires_ms, forget_ms, decision.decision_id)
    return decision


def watch(state: TenantState, word: operators.Watch) -> None:
    """Judge a subject strictly from now on, or no longer when the word has ended already."""
    key = subject_of(word.record).key
    if word.expires_ms <= round(word.record.at.timestamp() * 1000):
        state.watches.pop(key, None)
        return
    state.watches[key] = Watch(word.record.reason, word.expires_ms)
    _make_room(state.watches, {key: entry.expires_ms for key, entry in state.watches.items()})


def keys_of(state: TenantState, tenant_id: str) -> list[str]:
    """Keys of the control topic under which something may stand of a tenant."""
    accounts = (Subject(tenant_id, account_id).key for account_id in state.accounts)
    return list(dict.fromkeys([Subject(tenant_id).key, *accounts, *state.overrides]))


def _make_room(entries: dict[str, Watch] | dict[str, SoftStart], ends_ms: dict[str, int]) -> None:
    if len(entries) > _MAX_SUBJECTS:
        del entries[min(sorted(ends_ms), key=lambda key: ends_ms[key])]


def forget_old(state: TenantState, tenant_id: str, now_ms: int) -> list[str]:
    """Keys of the control topic which have nothing left to say; their memory is dropped."""
    if not (state.standing or state.accounts or state.overrides or state.watches or state.soft_starts):
        return []
    forgotten = [key for key, override in state.overrides.items() if now_ms >= override.forget_ms]
    for key in forgotten:
        del state.overrides[key]
    for key in [key for key, entry in state.watches.items() if now_ms >= entry.expires_ms]:
        del state.watches[key]
    for key in [key for key, soft in state.soft_starts.items() if now_ms >= soft.until_ms]:
        del state.soft_starts[key]
    standing = state.standing
    if standing and not standing.is_up and now_ms >= standing.expires_ms:
        state.standing = None
        forgotten.append(Subject(tenant_id).key)
    for account_id in [a for a, s in state.accounts.items() if not s.is_up and now_ms >= s.expires_ms]:
        del state.accounts[account_id]
        forgotten.append(Subject(tenant_id, account_id).key)
    return forgotten
