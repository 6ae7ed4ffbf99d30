"""PySAD in an environment of its own, made on first use: the project itself needs neither it nor scikit-learn."""

import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.nab.scoring import Floats, Series

HERE = Path(__file__).resolve().parent
VENV = HERE.parents[1] / ".cache" / "nab"


def pysad_scores(corpus: Sequence[Series], scores: dict[str, list[Floats]]) -> Iterator[None]:
    """Add scores by detector, series by series in their order; yields when one more series is done (seconds each)."""
    python = _python()
    with tempfile.TemporaryDirectory() as folder:
        series, told = Path(folder) / "series.npz", Path(folder) / "scores.npz"
        np.savez(series, **{str(n): np.array([s.probation, *s.values]) for n, s in enumerate(corpus)})  # type: ignore[arg-type]
        command = [python, HERE / "pysad_detectors.py", series, told]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            yield from (None for _ in process.stdout)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, "pysad_detectors.py")
        found: dict[str, list[Floats]] = defaultdict(list)
        with np.load(told) as arrays:
            for key in arrays:  # in the order in which they were written
                found[key.split("/")[0]].append(arrays[key])
        scores.update({f"PySAD {name}": parts for name, parts in found.items()})


def _python() -> Path:
    python = VENV / "bin" / "python"
    if not (VENV / ".installed").exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        subprocess.run([*pip, "--requirement", HERE / "requirements.txt"], check=True)
        (VENV / ".installed").touch()
    return python
