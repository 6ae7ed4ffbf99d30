"""The policy in force: the settings' file, or the one that comes with the package."""

from pathlib import Path

from stream_app.detection.policy import Policy, load_policy
from stream_app.settings import Settings

DEFAULT_POLICY = Path(__file__).parent / "default.yaml"


def read_policy(settings: Settings) -> Policy:
    """The policy file of the settings, or ``DEFAULT_POLICY``.

    Raises ``PolicyError`` when it is not a policy and ``OSError`` when it cannot be read.
    """
    path = settings.policy or DEFAULT_POLICY
    return load_policy(path.read_text(), str(path))
