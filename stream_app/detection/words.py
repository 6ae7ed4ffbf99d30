"""What tenants are told from outside: operators' words, campaigns' verdicts."""

from stream_app.detection.campaign_rulings import obey
from stream_app.detection.campaigns.records import Verdict
from stream_app.detection.effects import Effect, EmitDecision, ForgetDecision
from stream_app.detection.operators import Forget, Override, Release, Watch
from stream_app.detection.overrides import keys_of, overrule, watch
from stream_app.detection.policy import Policy
from stream_app.detection.state import PartitionState
from stream_app.detection.tenants import Tenants

Word = Override | Release | Watch | Forget | Verdict


def tell(
    word: Word, tenants: Tenants, partition: PartitionState, policy: Policy, place: tuple[str, int]
) -> list[Effect]:
    """Tell a tenant; what that changes on the control topic. A verdict from before its erasure is not heard."""
    if isinstance(word, Forget):
        return _erase(word.tenant_id, tenants, partition)
    if isinstance(word, Verdict) and word.at_ms <= tenants.erased_ms.get(word.tenant_id, -1):
        return []
    tenant = tenants.wake(word.tenant_id)
    if word.tenant_id in tenants.erased_ms:  # limiters still know the revisions from before
        tenant.state.revision = max(tenant.state.revision, partition.position)
    decision, cause_ms = None, 0
    if isinstance(word, Watch):
        watch(tenant.state, word)
    elif isinstance(word, Verdict):
        decision, cause_ms = obey(tenant, policy, word, *place), word.at_ms
    else:
        decision, cause_ms = overrule(tenant.state, policy, word), round(word.record.at.timestamp() * 1000)
    tenants.judge_anew(tenant)
    return [] if decision is None else [EmitDecision(decision, cause_ms)]


def _erase(tenant_id: str, tenants: Tenants, partition: PartitionState) -> list[Effect]:
    """Forget a tenant as if it had never been; a key of the control topic is emptied even when it may be empty."""
    partition.watermark.claims.pop(tenant_id, None)
    keys = keys_of(tenants.wake(tenant_id).state, tenant_id)
    tenants.erase(tenant_id)
    return [ForgetDecision(key) for key in keys]
