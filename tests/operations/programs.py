"""Prometheus, Alertmanager and their tools, as Debian packages bring them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
#: Programs by the Debian package that has them.
_PACKAGES = {"prometheus": "prometheus", "promtool": "prometheus"} | {
    name: name for name in ("nginx", "haproxy", "redis-server")
}


def needed(program: str) -> str:
    """The program's path; skips without it, and fails where continuous integration should have installed it."""
    found = shutil.which(program)
    if found is None:
        reason = f"no {program} on this machine (Debian: {_PACKAGES.get(program, 'prometheus-alertmanager')})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def run(program: str, *words: str | Path) -> str:
    """What a program says; fails with it when the program does."""
    done = subprocess.run([needed(program), *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
