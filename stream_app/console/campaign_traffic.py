"""What a campaign's page reads from signals: its load, its links, what it takes, and how it differs."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct, field

from stream_app.detection.signals import PromptSketch, Signal
from stream_app.memberships import KIND_GROUPS
from stream_app.plots.campaigns import KINDS, shared_values
from stream_app.plots.link_graphs import Hub, LinkGraph, graph_of
from stream_app.plots.loads import Load, LoadCount
from stream_app.plots.series import Series, SeriesPanel
from stream_app.plots.times import MINUTE_S
from stream_app.quantities import duration

#: A value that more others than members carry ties nobody: it is not drawn.
_MIN_OWN_SHARE = 0.5
#: Distinct values counted for one tenant; beyond that it is many.
_MAX_DISTINCT = 200
_HOUR_MS = 3_600_000
#: Fewer tenants than this make no cohort.
_MIN_COHORT = 5


class Measure(Struct, frozen=True):
    """One measure of tenants: 10th, 50th and 90th percentile of members and of ordinary tenants."""

    name: str
    members: tuple[float, float, float]
    others: tuple[float, float, float]
    is_share: bool = False


class CampaignTraffic(Struct, frozen=True):
    """What was found in ``signals`` of ``tenants`` tenants."""

    load: Load | None
    taken: SeriesPanel | None
    graph: LinkGraph
    measures: list[Measure]
    signals: int
    tenants: int


class _Tenant(Struct, gc=False):
    requests: int = 0
    tokens: int = 0
    prompts: int = 0
    shared_prompts: int = 0
    scored: int = 0
    elicitation: float = 0.0
    refused: int = 0
    prefixes: set[str] = field(default_factory=set)
    skeletons: set[str] = field(default_factory=set)


_signal = msgspec.json.Decoder(Signal)


def read_signals(campaign: Mapping[str, Any], suspects: set[str], values: Iterable[bytes]) -> CampaignTraffic:
    """Count signals: 15 µs each. ``suspects`` are members of any campaign, who are no part of the ordinary cohort."""
    members = {member["tenant_id"] for member in campaign["members"]}
    wanted = _wanted(campaign)
    hubs = {(kind, value): place for place, (kind, value) in enumerate(wanted)}
    skeletons = {value for kind, value in hubs if kind == "content"}
    carried: dict[str, set[int]] = {member: set() for member in members}
    tenants: defaultdict[str, _Tenant] = defaultdict(_Tenant)
    load = LoadCount([campaign])
    signals = 0
    for value in values:
        try:
            signal = _signal.decode(value)
        except msgspec.MsgspecError:
            continue  # the campaign stage has dead-lettered it
        signals += 1
        _count(tenants[signal.tenant_id], signal, skeletons)
        minute = (signal.pane_end_ms - 1) // (MINUTE_S * 1000)
        load.add(signal.tenant_id, minute, signal.requests, signal.profile.tokens)
        if signal.tenant_id in members:
            carried[signal.tenant_id] |= {hubs[one] for one in _values(signal) if one in hubs}
    graph = graph_of(_hubs(campaign, wanted), {name: sorted(places) for name, places in carried.items()})
    own = [tenants[name] for name in members if name in tenants]
    others = [tenant for name, tenant in tenants.items() if name not in suspects and name not in members]
    found = load.load_of(campaign, len(tenants))
    return CampaignTraffic(found, _taken(found), graph, _measures(own, others), signals, len(tenants))


def _taken(load: Load | None) -> SeriesPanel | None:
    """Output tokens that members took in all, over time; ``None`` when their signals count none."""
    if load is None or not load.tokens:
        return None
    totals = list(accumulate(load.tokens))
    return SeriesPanel(
        f"Output tokens taken, in all, by steps of {duration(load.step_s)}",
        load.bins,
        [Series("own", f"{totals[-1]:,} taken", totals, is_area=True)],
    )


def _wanted(campaign: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The shared values worth drawing: those that few others carry, strongest first."""
    return [
        (one["kind"], one["value"]) for one in campaign["values"] if one["members"] >= _MIN_OWN_SHARE * one["tenants"]
    ]


def _hubs(campaign: Mapping[str, Any], wanted: Sequence[tuple[str, str]]) -> list[Hub]:
    known = {(one["kind"], one["value"]): one for one in campaign["values"]}
    told = dict(zip(known, shared_values(campaign), strict=True))
    return [
        Hub(KIND_GROUPS.get(one[0], "other"), KINDS.get(one[0], one[0]), told[one].name, known[one]["tenants"])
        for one in wanted
    ]


def _values(signal: Signal) -> Iterable[tuple[str, str]]:
    """The link values of a signal as campaigns name them."""
    profile = signal.profile
    for kind, value in (
        ("payment", profile.payment_fp),
        ("payment_bin", profile.payment_bin),
        ("signup", profile.signup_fp),
    ):
        if value:
            yield kind, value
    for kind, several in (
        ("prefix", profile.ip_prefixes),
        ("ja4", profile.ja4),
        ("http", profile.http_fps),
        ("system", profile.systems),
        ("program", profile.programs),
    ):
        yield from ((kind, one) for one in several)
    if profile.created_ms:
        yield "genesis", str(profile.created_ms // _HOUR_MS)
    yield from (("content", name) for prompt in profile.prompts for name in _skeletons(prompt))


def _skeletons(prompt: PromptSketch) -> list[str]:
    """Names of a prompt's skeletons, as campaigns name what has no text: the digits of its hash."""
    return [f"{zlib.crc32(template.encode()) or 1:08x}" for template in prompt.templates]


def _count(tenant: _Tenant, signal: Signal, shared: set[str]) -> None:
    profile = signal.profile
    tenant.requests += signal.requests
    tenant.tokens += profile.tokens
    tenant.refused += profile.refused
    tenant.scored += profile.scored
    tenant.elicitation += profile.scores.get("cot_elicitation", 0.0)
    if len(tenant.prefixes) < _MAX_DISTINCT:
        tenant.prefixes.update(profile.ip_prefixes)
    for prompt in profile.prompts:
        names = _skeletons(prompt)
        tenant.prompts += 1
        tenant.shared_prompts += not shared.isdisjoint(names)
        if len(tenant.skeletons) < _MAX_DISTINCT:
            tenant.skeletons.update(names)


def _measures(own: Sequence[_Tenant], others: Sequence[_Tenant]) -> list[Measure]:
    if len(own) < _MIN_COHORT or len(others) < _MIN_COHORT:
        return []
    found = [
        Measure("Requests of a tenant", *_each(own, others, lambda one: one.requests)),
        Measure("Output tokens of a tenant", *_each(own, others, lambda one: one.tokens)),
        Measure("Address prefixes of a tenant", *_each(own, others, lambda one: len(one.prefixes))),
        Measure("Prompt skeletons of a tenant", *_each(own, others, lambda one: len(one.skeletons))),
        Measure(
            "Prompts with a skeleton that members share",
            *_each(own, others, lambda one: one.shared_prompts / max(one.prompts, 1)),
            is_share=True,
        ),
        Measure(
            "Requests that the model refused",
            *_each(own, others, lambda one: one.refused / max(one.requests, 1)),
            is_share=True,
        ),
    ]
    if any(one.scored for one in (*own, *others)):
        scores = _each(own, others, lambda one: one.elicitation / max(one.scored, 1))
        found.append(Measure("Score for eliciting reasoning", *scores, is_share=True))
    return found


def _each(own: Sequence[_Tenant], others: Sequence[_Tenant], of: Any) -> tuple[Any, Any]:
    return _percentiles([of(one) for one in own]), _percentiles([of(one) for one in others])


def _percentiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = np.percentile(values, (10, 50, 90)).tolist()
    return low, middle, high
