"""Values that tenants carry, with the popularity such values have: clients, addresses, countries, plans, models."""

import csv
import gzip
from collections import Counter
from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Share of tenants that call through an SDK; the others are browsers and homemade programs.
SDK_SHARE = 0.65
_SDKS = (
    "python-sdk",
    "node-sdk",
    "go-sdk",
    "java-sdk",
    "dotnet-sdk",
    "ruby-sdk",
    "rust-sdk",
    "curl",
    "langkit",
    "agentcli",
)
_SDK_VERSIONS = 12

#: Browser user agents where no published log is at hand: so many that the last ones are rare.
_MADE_UP_AGENTS = 1_000
MAX_AGENT_CHARS = 160

COUNTRIES = ("US", "IN", "DE", "GB", "BR", "JP", "FR", "CA", "CN", "KR", "NG", "ID", "PL", "ES", "TR", "VN")
_COUNTRY_WEIGHTS = (22, 13, 8, 7, 6, 6, 5, 5, 5, 4, 4, 4, 3, 3, 3, 2)
_LANGUAGES = {
    "US": "en",
    "IN": "en",
    "DE": "de",
    "GB": "en",
    "BR": "pt",
    "JP": "ja",
    "FR": "fr",
    "CA": "en",
    "CN": "zh",
    "KR": "ko",
    "NG": "en",
    "ID": "id",
    "PL": "pl",
    "ES": "es",
    "TR": "tr",
    "VN": "vi",
}
#: Elsewhere English is the second language of requests.
ENGLISH_SHARE = 0.4

PLANS = ("free", "developer", "team", "enterprise")
_PLAN_WEIGHTS = (0.4, 0.42, 0.15, 0.03)
MODELS = ("small-1", "medium-1", "large-1", "large-2", "code-1", "small-2")
_MODEL_WEIGHTS = (0.34, 0.26, 0.17, 0.09, 0.08, 0.06)
#: The model that a launch or a pivot turns to; nobody uses it before.
NEW_MODEL = "large-3"

MAX_TOKENS = (0, 256, 512, 1024, 2048, 4096, 8192)
_MAX_TOKENS_WEIGHTS = (0.25, 0.08, 0.14, 0.22, 0.15, 0.11, 0.05)
TEMPERATURES = (-1.0, 0.0, 0.2, 0.5, 0.7, 1.0)
_TEMPERATURE_WEIGHTS = (0.3, 0.18, 0.1, 0.07, 0.2, 0.15)
ENDPOINTS = ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions")
_ENDPOINT_WEIGHTS = (0.55, 0.25, 0.15, 0.05)

#: Card programmes: a few large issuers, many small ones.
PAYMENT_BINS = 300
#: /24 networks of the world that tenants live in, and the autonomous systems that hold them.
NETWORKS = 400_000
SYSTEMS = 1_600


class Clients(Struct, frozen=True):
    """Client programs by popularity: user agent, TLS fingerprint and how likely each is."""

    user_agents: list[str]
    ja4s: list[str]
    weights: Floats

    def drawn(self, rng: np.random.Generator, count: int) -> Ints:
        return rng.choice(len(self.weights), size=count, p=self.weights)


def zipf_weights(count: int, exponent: float) -> Floats:
    """Popularity by rank, summing to 1."""
    raw = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    weights: Floats = raw / raw.sum()
    return weights


@cache
def load_clients(folder: Path) -> Clients:
    """SDK versions, and browsers as popular as in a published web log (Apache-2.0) where the folder has it."""
    sdks = [f"{name}/1.{version}" for version in range(_SDK_VERSIONS) for name in _SDKS]
    browsers = _browsers(folder / "weblog" / "semicomplete_access.csv.gz")
    agents = [*sdks, *browsers]
    weights = np.concatenate(
        [
            SDK_SHARE * zipf_weights(len(sdks), 1.1),
            (1 - SDK_SHARE) * np.array(list(browsers.values()), dtype=np.float64) / sum(browsers.values()),
        ]
    )
    return Clients(agents, [ja4_of(agent) for agent in agents], weights / weights.sum())


def ja4_of(agent: str) -> str:
    """A made-up TLS fingerprint; versions of one SDK share it by fours, as releases keep their TLS library."""
    name, _, version = agent.partition("/1.")
    stack = f"{name}/{int(version) // 4}" if version.isdigit() else agent[-24:]
    digest = blake2b(stack.encode(), digest_size=12).hexdigest()
    return f"t13d1516h2_{digest[:12]}_{digest[12:]}"


def drawn(rng: np.random.Generator, kind: str, count: int) -> Ints:
    """Numbers into the list of that kind, as popular as the kind's weights say."""
    weights = _WEIGHTS[kind]
    return rng.choice(len(weights), size=count, p=weights)


def network_country(network: int) -> str:
    """Country of a /24; neighbours in number lie together."""
    return COUNTRIES[int(_COUNTRY_OF_BLOCK[network * SYSTEMS // NETWORKS])]


def networks_of(rng: np.random.Generator, count: int) -> Ints:
    """A /24 each, from anywhere: large providers hold most of them."""
    blocks = rng.choice(SYSTEMS, size=count, p=_SYSTEM_WEIGHTS)
    size = NETWORKS // SYSTEMS
    places: Ints = blocks * size + rng.integers(size, size=count)
    return places


def networks_near(rng: np.random.Generator, networks: Ints) -> Ints:
    """Another /24 of the same country for each, from any of its autonomous systems."""
    size = NETWORKS // SYSTEMS
    countries = _COUNTRY_OF_BLOCK[networks // size]
    blocks = np.zeros(len(networks), dtype=np.int64)
    for country in np.unique(countries).tolist():
        weights = np.where(country == _COUNTRY_OF_BLOCK, _SYSTEM_WEIGHTS, 0.0)
        chosen = countries == country
        blocks[chosen] = rng.choice(SYSTEMS, size=int(chosen.sum()), p=weights / weights.sum())
    near: Ints = blocks * size + rng.integers(size, size=len(networks))
    return near


def network_prefix(network: int) -> str:
    """The /24 in writing."""
    return f"{network // 65_536 % 200 + 20}.{network // 256 % 256}.{network % 256}.0/24"


def network_asn(network: int) -> int:
    return 3_000 + 7 * (network * SYSTEMS // NETWORKS)


def language_of(country: str) -> str:
    return _LANGUAGES[country]


def _browsers(path: Path) -> dict[str, int]:
    if not path.is_file():
        agents = (f"Mozilla/5.0 (X11; Linux) Browser/{number}.0" for number in range(1, _MADE_UP_AGENTS + 1))
        return {agent: round(100_000 * rank**-1.2) for rank, agent in enumerate(agents, start=1)}
    with gzip.open(path, "rt", newline="", encoding="utf-8") as file:
        counts = Counter(row["user_agent"][:MAX_AGENT_CHARS] for row in csv.DictReader(file))
    counts.pop("", None)
    return dict(sorted(counts.items(), key=lambda counted: (-counted[1], counted[0])))


def _normalized(weights: tuple[float, ...]) -> Floats:
    raw = np.array(weights, dtype=np.float64)
    normalized: Floats = raw / raw.sum()
    return normalized


_WEIGHTS = {
    "plan": _normalized(_PLAN_WEIGHTS),
    "model": _normalized(_MODEL_WEIGHTS),
    "max_tokens": _normalized(_MAX_TOKENS_WEIGHTS),
    "temperature": _normalized(_TEMPERATURE_WEIGHTS),
    "endpoint": _normalized(_ENDPOINT_WEIGHTS),
    "payment_bin": zipf_weights(PAYMENT_BINS, 1.0),
}
_SYSTEM_WEIGHTS = zipf_weights(SYSTEMS, 0.9)[np.random.default_rng(4).permutation(SYSTEMS)]
_COUNTRY_OF_BLOCK = np.random.default_rng(5).choice(len(COUNTRIES), size=SYSTEMS, p=_normalized(_COUNTRY_WEIGHTS))
