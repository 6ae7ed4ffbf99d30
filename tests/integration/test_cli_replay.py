"""``stillwatch replay`` as people and programs call it."""

import gzip
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from stream_app.cli.replay import replay
from stream_app.reports.results import RESULTS
from tests.unit.streams import POLICY_TEXT, event, operator_record, steady, time_of

Run = Callable[..., Result]
SOURCE = Path(__file__).parents[2]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    stream = steady(0, 1800, 4) + steady(1800, 1820, 1800, name="loop")
    path.write_bytes(b"\n".join(map(orjson.dumps, stream)))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def invoke(*arguments: object, **options: object) -> Result:
        out = ["--out", str(tmp_path / "out")]
        return CliRunner().invoke(replay, [*map(str, arguments), *out], **options)  # type: ignore[arg-type]

    return invoke


def test_a_summary_for_people_names_the_page(run: Run, events: Path, tmp_path: Path) -> None:
    done = run(events)
    assert done.exit_code == 0
    assert done.stdout.startswith("720 events of 1 tenants at ")
    assert done.stdout.endswith(f"{tmp_path / 'out' / 'report.html'}\n")
    assert "throttle" in done.stdout
    assert done.stderr == ""
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(RESULTS)


def test_a_summary_for_programs_is_that_of_the_file(run: Run, events: Path, tmp_path: Path) -> None:
    done = run(events, "--json")
    assert done.exit_code == 0
    assert orjson.loads(done.stdout) == orjson.loads((tmp_path / "out" / "summary.json").read_bytes())


def test_files_gzipped_files_and_standard_input_give_the_same_decisions(run: Run, events: Path, tmp_path: Path) -> None:
    content = events.read_bytes()
    packed = tmp_path / "events.jsonl.gz"
    packed.write_bytes(gzip.compress(content))
    found = []
    for arguments, given in (([events], None), ([packed], None), (["-"], content)):
        assert run(*arguments, input=given).exit_code == 0
        found.append((tmp_path / "out" / "decisions.jsonl").read_bytes())
    assert found[0]
    assert found[0] == found[1] == found[2]


def test_partitions_and_operator_records_reach_the_core(run: Run, events: Path, tmp_path: Path) -> None:
    word = {"id": "op-1", "type": "override", "subject": "tenant:acme", "reason": "test", "by": "ann"}
    operator = tmp_path / "operator.jsonl"
    operator.write_bytes(
        orjson.dumps(word | {"at": time_of(60), "expires_at": time_of(7200), "body": {"action": "allow"}})
    )
    done = run(events, "--operator", operator, "--partitions", 3, "--json")
    assert orjson.loads(done.stdout)["decisions"] == {"allow": 1}


def test_the_policy_is_the_option_or_the_environment_or_the_default(run: Run, events: Path, tmp_path: Path) -> None:
    own = tmp_path / "policy.yaml"
    own.write_text(POLICY_TEXT)

    def version() -> str:
        found: str = orjson.loads((tmp_path / "out" / "decisions.jsonl").read_bytes().splitlines()[0])["policy"][
            "version"
        ]
        return found

    assert run(events).exit_code == 0
    assert version() == "default-1"
    assert run(events, "--policy", own).exit_code == 0
    assert version() == "test-1"
    assert run(events, env={"STILLWATCH_POLICY": str(own)}).exit_code == 0
    assert version() == "test-1"


def test_a_bad_policy_is_refused_with_its_lines(run: Run, events: Path, tmp_path: Path) -> None:
    bad = tmp_path / "policy.yaml"
    bad.write_text("# mine\n" + POLICY_TEXT.strip().replace("cool_down_s: 120", "cool_down_s: soon"))
    done = run(events, "--policy", bad)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"{bad}:4: cool_down_s: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", [None, "--policy", "--operator"])
def test_a_missing_file_is_told_in_one_line(run: Run, events: Path, tmp_path: Path, option: str | None) -> None:
    nowhere = tmp_path / "nowhere"
    done = run(events, option, nowhere) if option else run(events, nowhere)
    assert (done.exit_code, done.stderr) == (2, f"{nowhere}: No such file or directory\n")


def test_a_folder_among_the_events_is_told_in_one_line(run: Run, tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.exit_code, done.stderr) == (2, f"{tmp_path}: Is a directory\n")


def test_results_cannot_go_where_a_file_is(run: Run, events: Path, tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    done = run(events)
    assert (done.exit_code, done.stderr) == (2, f"{tmp_path / 'out'}: not a folder\n")


def test_a_damaged_file_fails_in_one_line_and_leaves_nothing(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "events.gz"
    path.write_bytes(gzip.compress(orjson.dumps(event(0)))[:-12])
    done = run(path)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {path}: ")
    assert len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_a_process_substitution_can_be_read(events: Path, tmp_path: Path) -> None:
    python, source, out = (shlex.quote(str(path)) for path in (sys.executable, events, tmp_path / "out"))
    command = f"{python} -m stream_app replay <(cat {source}) --out {out} --json"
    done = subprocess.run(["bash", "-c", command], cwd=SOURCE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert orjson.loads(done.stdout)["events"] == 720


def test_operator_records_take_effect_where_the_journal_says(run: Run, events: Path, tmp_path: Path) -> None:
    operator, journal = tmp_path / "operator.jsonl", tmp_path / "journal.jsonl"
    late = operator_record("policy", 0, body={"yaml": POLICY_TEXT.replace("test-1", "late-1")})
    operator.write_bytes(late)
    versions = []
    for place in (-1, 5_000):
        journal.write_bytes(
            orjson.dumps({"partition": 0, "log": "operator", "offset": 0, "applied_after_offset": place})
        )
        assert run(events, "--operator", operator, "--journal", journal).exit_code == 0
        decided = (tmp_path / "out" / "decisions.jsonl").read_bytes().splitlines()
        versions.append({orjson.loads(line)["policy"]["version"] for line in decided})
    assert versions == [{"late-1"}, {"default-1"}]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{}", "entry 1: Object missing required field `partition`"),
        (
            b'{"partition":3,"log":"operator","offset":0,"applied_after_offset":0}',
            "entry 1: partition 3 of 1 (--partitions)",
        ),
        (
            b'{"partition":0,"log":"operator","offset":0,"applied_after_offset":0}',
            "entry 1: operator record 0 of 0 (--operator)",
        ),
    ],
)
def test_a_journal_of_another_run_is_refused(run: Run, events: Path, tmp_path: Path, line: bytes, problem: str) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(line)
    done = run(events, "--journal", journal)
    assert (done.exit_code, done.stderr) == (2, f"{journal}: {problem}\n")
