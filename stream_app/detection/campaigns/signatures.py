"""What is known of a campaign, as values and their weight: new tenants are scored by it at their first request."""

from collections.abc import Iterable

import numpy as np
from msgspec import Struct, UnsetType

from stream_app.detection.campaigns.growth import Pool, prior
from stream_app.detection.campaigns.likelihoods import Weights
from stream_app.detection.campaigns.links import FLOOR, GROUP_CAP, GROUPS, HOUR_MS, KINDS, Incidence, Kind, Population
from stream_app.detection.campaigns.profiles import Floats, value_hash
from stream_app.detection.campaigns.ratios import excesses, ratios
from stream_app.detection.signals import Profile

#: Values kept of one kind, the heaviest first: bounds a signature to some hundred kilobytes.
MAX_VALUES = 5_000
_LEAST_RATIO = 2.0
_GENESIS = next(kind for kind in KINDS if kind.name == "genesis")


class Signature(Struct):
    """Likelihood ratios of values by kind, fitted weights of each kind, and the odds of a tenant without any of it."""

    values: dict[str, dict[int, float]]
    weights: dict[str, Weights]
    base: float


def signature(population: Population, pool: Pool) -> Signature:
    """What a pool's members share, in the strength that it had at this tick."""
    values = {}
    for kind in KINDS:
        links = population.links[kind.name]
        ratio = excesses(links, pool.share) if kind.has_many else _largest(links, kind, pool.share)
        heavy = np.flatnonzero(ratio >= _LEAST_RATIO)
        heavy = heavy[np.argsort(-ratio[heavy], kind="stable")][:MAX_VALUES]
        outside = pool.weights[kind.name].outside
        mixed = outside + (1.0 if kind.has_many else 1.0 - outside) * ratio[heavy]
        values[kind.name] = dict(zip(links.values[heavy].tolist(), mixed.tolist(), strict=True))
    return Signature(values, dict(pool.weights), prior(population, pool.size))


def nats_of(profile: Profile, known: Signature) -> Floats:
    """Nats by group (``GROUPS``) of one tenant's signal under a signature; some hundred microseconds."""
    summed = np.zeros(len(GROUPS))
    for kind, carried in _carried(profile).items():
        weights, values = known.weights[kind.name], known.values[kind.name]
        logs = float(np.log([values.get(value, weights.outside) for value in carried]).sum())
        nats = float(np.log(weights.without + (1 - weights.without) * np.exp(min(logs, 30.0))))
        summed[GROUPS.index(kind.group)] += min(max(nats, FLOOR), kind.cap)
    clipped: Floats = np.clip(summed, FLOOR, GROUP_CAP)
    return clipped


def _largest(links: Incidence, kind: Kind, share: Floats) -> Floats:
    ratio, found = np.zeros(len(links.degree)), ratios(links, share, is_origin=kind.is_origin)
    np.maximum.at(ratio, links.cols[found.entries], found.values)
    return ratio


def _carried(profile: Profile) -> dict[Kind, set[int]]:
    texts: dict[str, Iterable[str | UnsetType]] = {
        "payment": (profile.payment_fp,),
        "payment_bin": (profile.payment_bin,),
        "signup": (profile.signup_fp,),
        "prefix": profile.ip_prefixes,
        "ja4": profile.ja4,
        "http": profile.http_fps,
        "system": profile.systems,
        "program": profile.programs,
        "content": (template for prompt in profile.prompts for template in prompt.templates),
    }
    carried = {kind: {value_hash(text) for text in texts.get(kind.name, ()) if text} for kind in KINDS}
    if profile.created_ms:
        carried[_GENESIS] = {profile.created_ms // HOUR_MS}
    return {kind: values for kind, values in carried.items() if values}
