"""The runner: what it keeps, what it does again, and what it says when something is wrong."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from sfv_gym.benchmarks import results, runner
from sfv_gym.benchmarks.results import read_results
from sfv_gym.errors import BenchmarkError, OutputError
from sfv_gym.jobs.folder import locked_folder
from sfv_gym.jobs.job import Died
from sfv_gym.jobs.local import InlineExecutor, LocalExecutor

AGENTS = Path(__file__).parent / "bench_agents.py"
TASK = "SFV-Punch-v0"
QUIET = Console(quiet=True)

pytestmark = pytest.mark.usefixtures("short_videos")


class Here(InlineExecutor):
    """Does runs in this process; ``deaths`` of them end without a result."""

    def __init__(self, deaths: int = 0) -> None:
        super().__init__()
        self.deaths, self.begun = deaths, 0

    def submit(self, job):
        self.begun += 1
        super().submit(job)

    def poll(self, seconds):
        if self.deaths and self._waiting:
            self.deaths -= 1
            return [Died(self._waiting.pop(0), "killed by signal 9")]
        return super().poll(seconds)


def bench(
    out,
    *makers,
    executor=None,
    seeds=1,
    budget="256",
    suite="SFV-Quick",
    tasks=(TASK,),
    remake=False,
):
    executor = executor or Here()
    algorithms = [m if m == "zero" else f"{AGENTS}:{m}" for m in makers or ("make_agent",)]
    try:
        return runner.run_benchmark(
            suite,
            algorithms,
            seeds=seeds,
            budget=budget,
            out=out,
            executor=executor,
            tasks=tasks,
            remake=remake,
            console=QUIET,
        )
    finally:
        executor.close()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.glob("results/**/*.json"))}


def test_finished_runs_are_not_done_again(tmp_path):
    assert bench(tmp_path, "make_agent", "zero").finished == 2
    before = contents(tmp_path)
    executor = Here()
    summary = bench(tmp_path, "make_agent", "zero", executor=executor, seeds=2)
    assert (summary.kept, summary.finished, executor.begun) == (2, 2, 2)
    after = contents(tmp_path)
    assert len(after) == 4 and before.items() <= after.items()
    table = results.nested(read_results(tmp_path))
    assert set(table[TASK]["bench_agents"]) == {"0", "1"}
    assert table[TASK]["bench_agents"]["0"]["attempts"] == 1


def test_a_crash_is_recorded_does_not_end_the_others_and_is_done_again(tmp_path):
    summary = bench(tmp_path, "make_raises", "make_agent")
    assert summary.failed == (f"{TASK} bench_agents.make_raises seed 0",)
    assert summary.finished == 1
    failed = json.loads((tmp_path / f"results/{TASK}/bench_agents.make_raises/0.json").read_text())
    assert "the gradient is gone" in failed["error"]["message"]
    executor = Here()
    bench(tmp_path, "make_raises", "make_agent", executor=executor)
    assert executor.begun == 1


def test_a_worker_that_dies_is_replaced_and_given_up_in_the_end(tmp_path):
    assert bench(tmp_path / "a", executor=Here(deaths=2)).finished == 1
    result = read_results(tmp_path / "a")[0]
    assert result["attempts"] == 3
    summary = bench(tmp_path / "b", "make_agent", "zero", executor=Here(deaths=100))
    assert len(summary.failed) == 2
    assert contents(tmp_path / "b") == {}


def test_a_folder_holds_one_suite_and_budget(tmp_path):
    bench(tmp_path, "zero")
    before = contents(tmp_path)
    with pytest.raises(BenchmarkError, match=r"SFV-Quick-v2 .* 256 steps, not of .* 512 steps"):
        bench(tmp_path, "zero", budget="512")
    with pytest.raises(BenchmarkError, match="not of SFV-10-v2"):
        bench(tmp_path, "zero", suite="SFV-10")
    assert contents(tmp_path) == before


def test_an_environment_that_has_changed_is_noticed_and_made_again_if_asked_for(
    tmp_path, monkeypatch
):
    bench(tmp_path, "zero")
    assert bench(tmp_path, "zero", remake=True).kept == 1
    monkeypatch.setattr(runner, "environment_hash", lambda *task: "another")
    with pytest.raises(BenchmarkError, match="another motion, character or MuJoCo"):
        bench(tmp_path, "zero")
    summary = bench(tmp_path, "zero", remake=True)
    assert (summary.kept, summary.finished) == (0, 1)


def test_results_that_do_not_belong_together_are_refused(tmp_path):
    bench(tmp_path, "zero", seeds=2)
    path = tmp_path / f"results/{TASK}/zero/1.json"
    original = json.loads(path.read_text())
    for key, value, message in (
        ("suite", "SFV-Quick-v3", "different suites .* SFV-Quick-v2 .* SFV-Quick-v3"),
        ("suite_hash", "0", "different contents of the suite"),
        ("budget", {"steps": 1, "evaluations": 1}, "different budgets"),
        ("motion_hash", "0", "results on different motions"),
        ("environment_hash", "0", "results on different environments"),
        ("format", 99, "not a result of this version"),
    ):
        path.write_text(json.dumps({**original, key: value}))
        with pytest.raises(BenchmarkError, match=message):
            read_results(tmp_path)
    path.write_text('{"format": 1, "sui')
    with pytest.raises(BenchmarkError, match=r"1\.json is damaged"):
        read_results(tmp_path)
    with pytest.raises(BenchmarkError, match="holds no results"):
        read_results(tmp_path / "nothing")


def test_a_full_disk_ends_it_with_a_clear_message(tmp_path, monkeypatch):
    bench(tmp_path, "zero")
    before = contents(tmp_path)

    def full(self, text, encoding=None):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OutputError, match=r"cannot write .*No space left on device"):
            bench(tmp_path, "zero", seeds=2)
    assert contents(tmp_path) == before
    assert not list(tmp_path.rglob(".*.json"))  # nothing half-written
    assert bench(tmp_path, "zero", seeds=2).finished == 1


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        bench(tmp_path / "file" / "out", "zero")


def test_two_runners_do_not_share_a_folder(tmp_path):
    with (
        locked_folder(tmp_path, ""),
        pytest.raises(OutputError, match=r"another .* is at work"),
    ):
        bench(tmp_path, "zero")


def test_two_algorithms_of_one_name_are_refused(tmp_path):
    with pytest.raises(BenchmarkError, match="two algorithms have one name: zero, zero"):
        bench(tmp_path, "zero", "zero")


# --- processes -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_killed_worker_s_run_goes_on_from_its_checkpoint(tmp_path):
    summary = bench(tmp_path, "make_mortal", executor=LocalExecutor(1))
    assert summary.finished == 1
    result = read_results(tmp_path)[0]
    assert result["attempts"] == 2 and result["resumed_at"] == [128]
    assert result["samples"] == 256


def _start(out: Path) -> subprocess.Popen:
    text = f"bench run --suite SFV-Quick --task {TASK} --budget 2560 --workers 1 --algo zero"
    own = ["--algo", f"{AGENTS}:make_slow", "--out", str(out)]
    return subprocess.Popen(
        [sys.executable, "-m", "sfv_gym.cli", *text.split(), *own],
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for(condition, seconds: float = 120.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.1)


def _workers(out: Path) -> list[int]:
    """Worker processes whose log lies under ``out``."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(out) in os.readlink(entry / "fd" / "2"):
                found.append(int(entry.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_runner_that_is_stopped_leaves_no_worker_and_goes_on(tmp_path, how):
    process = _start(tmp_path)
    saved = tmp_path / f"runs/{TASK}/bench_agents.make_slow/0/best.npy"
    _wait_for(saved.is_file)
    process.send_signal(how)
    _, text = process.communicate(timeout=60)
    assert process.returncode == (1 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert "Interrupted; finished results are kept" in text and "Traceback" not in text
    _wait_for(lambda: not _workers(tmp_path), 30)
    before = contents(tmp_path)
    assert [Path(name).parent.name for name in before] == ["zero"]

    assert bench(tmp_path, "zero", budget="2560").kept == 1  # the folder is free again
    assert before.items() <= contents(tmp_path).items()
    if how == signal.SIGKILL:
        assert bench(tmp_path, "make_slow", budget="2560").finished == 1
        result = json.loads(
            (tmp_path / f"results/{TASK}/bench_agents.make_slow/0.json").read_text()
        )
        assert len(result["resumed_at"]) == 1 and result["resumed_at"][0] >= 128


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_scores_and_replaces_a_killed_worker(tmp_path):
    """Two workers at once; an agent's process kills itself the first time."""
    pytest.importorskip("ray")
    from sfv_gym.jobs.ray import RayExecutor

    bench(tmp_path / "local", "make_agent")
    both = ("make_agent", "make_mortal")
    summary = bench(tmp_path / "ray", *both, executor=RayExecutor(workers=2))
    assert summary.finished == 2 and not summary.failed
    local, on_ray = (
        results.nested(read_results(tmp_path / name))[TASK] for name in ("local", "ray")
    )
    mine, theirs = (table["bench_agents"]["0"] for table in (local, on_ray))
    assert mine["evaluation"] == theirs["evaluation"]
    for one, other in zip(mine["curve"], theirs["curve"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}
    killed = on_ray["bench_agents.make_mortal"]["0"]
    assert killed["attempts"] == 2 and killed["resumed_at"] == [128]
