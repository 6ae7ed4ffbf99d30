"""Who takes part in the race, and how each of them is built and started."""

import hashlib
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]
RIVALS = ROOT / "benchmarks" / "rivals"
BUILT = ROOT / ".cache" / "rivals"
BUILD_TIMEOUT_S = 900  # a first Maven build on a slow line


class Contestant(Struct, frozen=True):
    """One way to do the job: ``command`` takes the job's flags.

    ``rival`` names the folder under ``benchmarks/rivals`` that must be built before. One that ``ends`` exits by itself
    once all its decisions are out; any other runs until it has committed the whole input. A floor decides nothing.
    """

    name: str
    command: tuple[str, ...]
    rival: str | None = None
    ends: bool = False
    is_floor: bool = False


def _ours(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _rival(name: str, *, folder: str | None = None, ends: bool = False, flags: tuple[str, ...] = ()) -> Contestant:
    folder = folder or name
    return Contestant(name, (str(RIVALS / folder / "run"), *flags), folder, ends)


CONTESTANTS = (
    Contestant("aiokafka-floor", _ours("benchmarks.race.floors", "aiokafka"), ends=True, is_floor=True),
    Contestant("librdkafka-floor", _ours("benchmarks.race.floors", "librdkafka"), ends=True, is_floor=True),
    Contestant("stillwatch", _ours("benchmarks.race.stillwatch_j1")),
    _rival("flink", ends=True),
    _rival("flink-optimised", folder="flink", ends=True, flags=("--optimised",)),
    _rival("kafka-streams"),
    _rival("kafka-streams-rocksdb", folder="kafka-streams", flags=("--rocksdb",)),
    _rival("bytewax", ends=True),
    _rival("quix"),
    _rival("faust"),
)


class UnavailableError(Exception):
    """A contestant cannot take part; the message says why in one line."""


def prepare(contestant: Contestant) -> None:
    """Build what the contestant needs unless its sources were built before. Raises ``UnavailableError``."""
    if contestant.rival is None:
        module = contestant.command[2]
        if find_spec(module) is None:
            raise UnavailableError(f"there is no module {module}")
        return
    source = RIVALS / contestant.rival
    for script in ("build", "run"):
        if not os.access(source / script, os.X_OK):
            raise UnavailableError(f"there is no program {(source / script).relative_to(ROOT)}")
    stamp, digest = BUILT / f"{contestant.rival}.built", _digest(source)
    if stamp.exists() and stamp.read_text() == digest:
        return
    _build(source)
    stamp.write_text(digest)


def _build(source: Path) -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"PYTHON": sys.executable}
    try:
        done = subprocess.run(
            [source / "build"], env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"its build took more than {BUILD_TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise UnavailableError(f"its build failed: {lines[-1][:300]}")


def _digest(source: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes())
    return digest.hexdigest()
