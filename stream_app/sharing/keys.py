"""The exchange key: a secret that partners agreed on, under which the same value has the same digest at each."""

from pathlib import Path

from stream_app.detection.campaigns.indicators import Exchange
from stream_app.sketches import Key, load_key


def exchange_of(key: Key) -> Exchange:
    """Digests of link values by kind; skeletons of prompts come with the events, hashed at the edge."""

    def digest(kind: str, text: str) -> str:
        return key.digest(f"link-{kind}".encode(), text)

    return Exchange(key.key_id, digest)


def load_exchange(path: Path) -> Exchange:
    """Read the key; raises ``KeyFileError``."""
    return exchange_of(load_key(path))
