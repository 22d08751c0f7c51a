"""Jobs: who does them, and that none is lost or left alone, whatever is killed."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from job_functions import Count, reached
from rich.console import Console

from sfv_gym.errors import ClusterError, MissingExtraError, OutputError, SettingError, SFVError
from sfv_gym.jobs import worker
from sfv_gym.jobs.folder import locked_folder, read_json, scratch_folder
from sfv_gym.jobs.job import ATTEMPTS, Executor, Job
from sfv_gym.jobs.local import InlineExecutor, LocalExecutor
from sfv_gym.jobs.options import make_executor
from sfv_gym.jobs.supervise import Outcome, supervise
from sfv_gym.jobs.typed_json import from_json, to_json
from sfv_gym.train.config import Asked, PPOConfig
from sfv_gym.train.job import Training

TESTS = Path(__file__).parent
LIMIT = 120.0  # seconds to wait for what should happen soon


@pytest.fixture(scope="module", autouse=True)
def importable():
    """Workers find ``job_functions``."""
    path = os.pathsep.join(filter(None, (str(TESTS), os.environ.get("PYTHONPATH"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", path)
        yield


@pytest.fixture(scope="module")
def cluster(importable):
    """A Ray cluster for every test here, as it takes seconds to start one."""
    pytest.importorskip("ray")
    with make_executor("ray", 2):
        yield


@pytest.fixture(params=["inline", "local", "ray"])
def executor(request):
    """Each kind of executor, two workers where it has any."""
    if request.param == "inline":
        made: Executor = InlineExecutor()
    elif request.param == "local":
        made = LocalExecutor(2)
    else:
        request.getfixturevalue("cluster")
        made = make_executor("ray", 2)
    with made:
        yield made


def counting(folder: Path, how: str = "", *, up_to: int = 5, **options) -> Job:
    seconds = options.pop("seconds", 0.0)
    arguments = Count(folder.with_suffix(".txt"), up_to, how, seconds)
    checkpoints = how == "checkpoints"
    function = "job_functions:count"
    return Job(function, arguments, folder, folder.name, checkpoints=checkpoints, **options)


def see_through(jobs: list[Job], executor: Executor, **options) -> tuple[dict[str, Outcome], str]:
    """What became of each job, and what was printed."""
    console, outcomes = Console(file=io.StringIO(), width=200), {}

    def ended(outcome: Outcome) -> str:
        outcomes[outcome.job.label] = outcome
        return f"{outcome.job.label}: over"

    supervise(jobs, executor, ended, title="all", console=console, **options)
    return outcomes, console.file.getvalue()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


# --- words between processes ----------------------------------------------------------------------


def test_typed_arguments_come_back_as_they_were(tmp_path):
    asked = Asked.for_env("SFV-Walk-v0", 1000, {"hidden": [8, 4], "gamma": 0.5})
    training = Training("SFV-Walk-v0", tmp_path, asked, seed=3, init=tmp_path / "a.safetensors")
    job = training.job("walk")
    back = Job.from_json(job.to_json())
    assert back.arguments == training and isinstance(back.arguments.asked.config, PPOConfig)
    assert (back.label, back.folder, back.checkpoints) == ("walk", tmp_path, True)
    assert from_json(dict[str, tuple[int, ...]], to_json({"a": (1, 2)})) == {"a": (1, 2)}
    for kind, value in ((int, "1"), (int, True), (Path | None, [1]), (tuple[int, ...], ["1"])):
        with pytest.raises(TypeError):
            from_json(kind, value)
    with pytest.raises(TypeError, match="does not go"):
        to_json({"a": object()})


def test_json_that_is_damaged_is_never_taken_for_none(tmp_path):
    path = tmp_path / "state.json"
    assert read_json(path) == {}
    for text in ("", "{", "[1]", '{"a": ' * 100_000):
        path.write_text(text)
        with pytest.raises(SFVError, match=r"state\.json is damaged: .*remove it"):
            read_json(path)
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}


def test_executors_are_chosen_by_name(monkeypatch):
    with pytest.raises(SettingError, match="known: local, ray"):
        make_executor("slurm")
    with pytest.raises(SettingError, match="--executor ray"):
        make_executor("local", address="auto")
    for workers in (0, -1):
        with pytest.raises(SettingError, match="workers must be at least 1"):
            make_executor("local", workers)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert make_executor("local", threads=3).workers == 2  # as many as there are cores for
    monkeypatch.setitem(sys.modules, "ray", None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=r"sfv-gym\[ray\]"):
        make_executor("ray")


# --- every executor -------------------------------------------------------------------------------


@pytest.mark.slow
def test_jobs_are_done_and_one_that_fails_stops_no_other(executor, tmp_path):
    jobs = [
        counting(tmp_path / "fine"),
        counting(tmp_path / "refuses", "refuses"),
        counting(tmp_path / "breaks", "breaks"),
        counting(tmp_path / "brief", temporary=True, up_to=2),
    ]
    outcomes, said = see_through(jobs, executor)
    assert [outcomes[name].attempts for name in ("fine", "refuses", "breaks", "brief")] == [1] * 4
    assert outcomes["fine"].result["number"] == 5 and outcomes["brief"].result["number"] == 2
    assert outcomes["refuses"].result is None
    assert outcomes["refuses"].error == "there is no such number"
    assert outcomes["breaks"].error == "ZeroDivisionError: the number"
    assert said.count(": over") == 4
    assert read_json(tmp_path / "fine" / "job.json")["function"] == "job_functions:count"
    assert not (tmp_path / "brief").exists()
    if not isinstance(executor, InlineExecutor):
        assert outcomes["fine"].result["threads"] == "1"
        assert "counting" in (tmp_path / "fine" / "log.txt").read_text()
        assert "Traceback" in (tmp_path / "breaks" / "log.txt").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"], indirect=True)
def test_a_worker_that_dies_is_replaced_and_given_up_in_the_end(executor, tmp_path):
    jobs = [counting(tmp_path / "once", "dies once"), counting(tmp_path / "always", "dies")]
    outcomes, said = see_through(jobs, executor)
    assert outcomes["once"].result["number"] == 5 and outcomes["once"].attempts == 2
    assert outcomes["always"].result is None and outcomes["always"].attempts == ATTEMPTS
    assert "given up" in outcomes["always"].error
    assert said.count("its worker died") == ATTEMPTS


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["local", "ray"], indirect=True)
def test_at_a_stop_jobs_may_write_a_checkpoint_and_others_are_killed(executor, tmp_path):
    jobs = [
        counting(tmp_path / "one", "checkpoints", up_to=10**6, seconds=0.05),
        counting(tmp_path / "other", up_to=10**6, seconds=0.05),
        counting(tmp_path / "third", up_to=2),  # has no worker until the first is over
    ]
    one, other, third = (job.arguments.file for job in jobs)
    real = executor.poll

    def poll(seconds):
        if reached(one) > 3 and reached(other) > 3:
            raise KeyboardInterrupt
        return real(seconds)

    executor.poll = poll
    with pytest.raises(KeyboardInterrupt):
        see_through(jobs, executor)
    assert one.with_suffix(".stopped").is_file() and not third.exists()
    last = reached(one), reached(other)
    for job in jobs[:2]:
        with locked_folder(job.folder, "somebody is left", wait=5.0):
            pass
    assert (reached(one), reached(other)) == last


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["ray"], indirect=True)
def test_a_cluster_that_is_gone_is_told_in_one_line(executor, tmp_path):
    job = counting(tmp_path / "on", up_to=10**6, seconds=0.05)
    real = executor.poll

    def poll(seconds):
        if reached(job.arguments.file) > 3:
            executor._ray.kill(executor._queue.actor)  # as if its machine had gone
        return real(seconds)

    executor.poll = poll
    with pytest.raises(ClusterError, match=r"the Ray cluster is gone .*; the same command goes on"):
        see_through([job], executor)


# --- processes ------------------------------------------------------------------------------------

SUPERVISOR = """
import sys; from pathlib import Path
from test_jobs import counting, see_through, LocalExecutor
folder = Path(sys.argv[1])
jobs = [counting(folder / how, how, up_to=10**6, seconds=0.05) for how in ("checkpoints", "runs")]
with LocalExecutor(2) as executor:
    see_through(jobs, executor)
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_supervisor(how, tmp_path):
    """It reads the end of its stdin: a worker with checkpoints writes one before it goes."""
    process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)])
    files = [tmp_path / "checkpoints.txt", tmp_path / "runs.txt"]
    try:
        wait_for(lambda: all(reached(file) > 3 for file in files))
        process.send_signal(how)
        process.wait(LIMIT)
        wait_for((tmp_path / "checkpoints.stopped").is_file)
        for name in ("checkpoints", "runs"):
            with locked_folder(tmp_path / name, "somebody is left", wait=5.0):
                pass
    finally:
        process.kill()


def test_a_worker_that_does_not_stop_for_its_orphanage_is_ended(tmp_path, monkeypatch):
    """Its folder is free before those give up who wait for it."""
    from sfv_gym.jobs.folder import WAIT

    assert worker.ORPHAN_SECONDS < WAIT
    code = "import sfv_gym.jobs.worker as w; w.ORPHAN_SECONDS = 0.5; w.main()"
    job = counting(tmp_path / "stubborn", up_to=10**6, seconds=0.05)
    text = Job(**{**vars(job), "checkpoints": True}).to_json()  # it says so, and never looks
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL)  # fmt: skip
    try:
        process.stdin.write(text.encode() + b"\n")
        process.stdin.flush()
        wait_for(lambda: reached(job.arguments.file) > 1)
        process.stdin.close()
        assert process.wait(LIMIT) == worker.ORPHANED
    finally:
        process.kill()


def test_a_folder_is_for_one_process(tmp_path):
    job = counting(tmp_path / "run")
    code = "import sys; from pathlib import Path; from sfv_gym.jobs.folder import locked_folder\n"
    code += "with locked_folder(Path(sys.argv[1]), 'it is in use'): pass"
    with locked_folder(job.folder, ""):
        done = subprocess.run(
            [sys.executable, "-c", code, str(job.folder)], capture_output=True, text=True
        )
        assert done.returncode == 1 and "it is in use" in done.stderr


def test_a_job_waits_for_who_is_still_in_its_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "WAIT", 0.0)
    job = counting(tmp_path / "run")
    with locked_folder(job.folder, ""):
        outcomes, _ = see_through([job], InlineExecutor())
    assert "another process is at work" in outcomes["run"].error
    assert not job.arguments.file.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with LocalExecutor(1) as executor:
        outcomes, _ = see_through([counting(tmp_path / "file" / "run")], executor)
    assert "cannot write" in outcomes["run"].error
    with pytest.raises(OutputError), locked_folder(tmp_path / "file" / "run", ""):
        pass


def test_what_is_left_in_a_scratch_folder_stays(tmp_path):
    with scratch_folder(tmp_path, "rows") as folder:
        (folder / "one").mkdir(parents=True)
    assert (tmp_path / "jobs" / "rows" / "one").is_dir()
    (tmp_path / "jobs" / "rows" / "one").rmdir()
    with scratch_folder(tmp_path, "rows"):
        pass
    assert not (tmp_path / "jobs").exists()
    with scratch_folder(None, "rows") as folder:
        assert folder.is_dir()
    assert not folder.exists()
