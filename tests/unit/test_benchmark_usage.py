"""Every benchmark says how it is used, and measures nothing when it is asked that."""

import runpy
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
MODULES = [path.stem for path in sorted(BENCHMARKS.glob("*.py")) if '"__main__"' in path.read_text()]
PACKAGES = [path.parent.name for path in sorted(BENCHMARKS.glob("*/__main__.py"))]


@pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")
@pytest.mark.parametrize("name", MODULES + PACKAGES)
def test_help_tells_the_usage(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    assert not left.value.code
    assert capsys.readouterr().out.lower().startswith("usage")
