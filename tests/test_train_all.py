"""Many runs: killed in every way, they go on."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from motions import swing
from rich.console import Console

import sfv_gym
from sfv_gym.errors import OutputError, SFVError, UnknownIdError
from sfv_gym.jobs.folder import locked_folder
from sfv_gym.jobs.local import InlineExecutor, LocalExecutor
from sfv_gym.jobs.options import make_executor
from sfv_gym.play.evaluation import PUBLISHED_EPISODES
from sfv_gym.play.policy import Policy, shipped_policy_path
from sfv_gym.registry import get_entry, load_motion
from sfv_gym.train.install import install_policy
from sfv_gym.train.lean_ppo import LeanPPO
from sfv_gym.train.runs import RunState, read_curve
from sfv_gym.train.train_all import train_all

SMALL = {"num_envs": 16, "n_steps": 32, "batch_size": 256, "n_epochs": 1, "hidden": (16, 16)}
KILLED_BUDGET = 4096  # samples of a run whose worker is killed: eight rollouts
LIMIT = 120.0  # seconds to wait for what should happen soon


@pytest.fixture(scope="module")
def ids(tmp_path_factory) -> Iterator[list[str]]:
    """Two skills that other processes know as well."""
    motions = tmp_path_factory.mktemp("motions")
    for name, frames in (("swing_one", 31), ("swing_two", 41)):
        swing(frames=frames).save(motions / f"{name}.npz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SFV_GYM_MOTIONS", str(motions))
        yield [sfv_gym.register_motion(path) for path in sorted(motions.glob("*.npz"))]


@pytest.fixture(scope="module")
def whole(ids, tmp_path_factory) -> Path:
    """The folder of two runs of ``KILLED_BUDGET`` that nothing has happened to, in this process."""
    out = tmp_path_factory.mktemp("whole")
    queue(ids, out, budget=KILLED_BUDGET, executor=InlineExecutor())
    return out


def queue(ids: list[str], out: Path, budget: int = 1536, executor=None, **options):
    console = Console(file=io.StringIO(), width=200)
    options = {"settings": SMALL, "evaluate_every": 512, "console": console, **options}
    with executor or LocalExecutor(2) as chosen:
        results = train_all(ids, out, executor=chosen, budget=budget, **options)
    return results, console.file.getvalue()


def wait_for(condition) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def test_a_queue_runs_everything_and_a_failure_stops_nothing(ids, tmp_path):
    out, policies = tmp_path / "runs", tmp_path / "policies"
    broken, stale = (out / env_id for env_id in ids)
    broken.mkdir(parents=True)
    (broken / "checkpoint.zip").write_text("not a checkpoint")
    stale.mkdir()
    (stale / "config.json").write_text('{"motion_hash": "of another motion"}')
    results, said = queue(ids, out, install=policies)
    assert [result.outcome for result in results] == ["failed", "budget"]
    assert results[0].message and "log.txt" in results[0].message
    assert (out / f"{ids[1]}.of another motion" / "config.json").is_file()  # put aside
    folder = out / ids[1]
    card = json.loads((folder / "card.json").read_text())
    assert card["outcome"] == "budget" and card["samples_total"] == 1536
    assert card["evaluation"]["episodes"] == PUBLISHED_EPISODES
    assert card["evaluation"]["rsi"]["start"] == "rsi"
    assert [row["samples"] for row in read_curve(folder)] == [512, 1024, 1536]
    assert (folder / "curve.svg").read_text().startswith("<svg xmlns")
    assert Policy.load(policies / f"{ids[1]}.safetensors").card == card
    assert ids[1] in said and "installed" in said

    # called again, the finished run is left alone; with a larger budget it would go on
    stamp = (folder / "checkpoint.zip").stat().st_mtime_ns
    results, said = queue(ids[1:], out)
    assert "was finished before" in results[0].message and results[0].card == card
    assert (folder / "checkpoint.zip").stat().st_mtime_ns == stamp
    assert RunState.read(folder, 1536).finished and not RunState.read(folder, 2048).finished


def test_after_a_kill_of_the_parent_or_a_child_the_queue_goes_on(ids, tmp_path):
    out = tmp_path / "runs"
    code = (
        "import sys, json; from sfv_gym.train.train_all import train_all; import sfv_gym\n"
        "ids, out, settings = json.loads(sys.argv[1])\n"
        "train_all(ids, out, budget=10**9, evaluate_every=512, settings=settings)"
    )
    command = [sys.executable, "-c", code, json.dumps([ids[:1], str(out), SMALL])]
    folder = out / ids[0]

    def samples() -> int:
        return RunState.read(folder).samples

    def in_use() -> bool:
        try:
            with locked_folder(folder, ""):
                return False
        except OutputError:
            return True

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    parent = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        wait_for((folder / "checkpoint.zip").is_file)
        assert in_use()
        parent.kill()
        parent.wait()
        wait_for(lambda: not in_use())  # the child notices
        before = samples()

        parent = subprocess.Popen(
            command, env=environment, stderr=subprocess.PIPE, start_new_session=True
        )
        wait_for(lambda: samples() > before)
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
        if children.is_file():
            os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
            wait_for(lambda: not in_use())
            wait_for(in_use)  # it is replaced
        assert parent.poll() is None
        parent.send_signal(signal.SIGINT)
        _, said = parent.communicate(timeout=LIMIT)
        assert b"goes on" in said
        assert not in_use()
    finally:
        parent.kill()
    # a small budget ends a run now: it goes on from where it was, and that is beyond it
    was = LeanPPO.load(folder / "checkpoint.zip").num_timesteps
    results, _ = queue(ids[:1], out, budget=512)
    assert [result.outcome for result in results] == ["budget"]
    rows = [row["samples"] for row in read_curve(folder)]
    assert rows == sorted(set(rows)) and rows[0] == 512
    assert RunState.read(folder).card["samples_total"] == was >= before


def worker_of(folder: Path) -> int | None:
    """The process whose log lies in ``folder``."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.readlink(entry / "fd" / "2") == str(folder / "log.txt"):
                return int(entry.name)
    return None


def learned(folder: Path) -> tuple[str, list[dict]]:
    """Of a run: its best policy, and what all of them came to, but for the time."""
    rows = [{**row, "seconds": None} for row in read_curve(folder)]
    return Policy.load(folder / "policy.safetensors").content_hash(), rows


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize(("kind", "count"), [("local", 2), ("ray", 1)])
def test_with_a_worker_killed_in_mid_run_the_policies_are_the_same(
    kind, count, ids, whole, tmp_path
):
    """To the bit: the run goes on from its checkpoint as if nothing had been."""
    if kind == "ray":
        pytest.importorskip("ray")
    folder, killed = tmp_path / ids[0], []
    executor = make_executor(kind, count)
    poll = executor.poll

    def poll_and_kill(seconds):
        beyond = RunState.read(folder).samples > 1024 and (folder / "checkpoint.zip").is_file()
        if beyond and not killed and (process := worker_of(folder)) is not None:
            killed.append(process)
            os.kill(process, signal.SIGKILL)
        return poll(min(seconds, 0.1))

    executor.poll = poll_and_kill
    results, said = queue(ids[:count], tmp_path, budget=KILLED_BUDGET, executor=executor)
    assert [result.outcome for result in results] == ["budget"] * count
    assert killed and said.count("its worker died") == 1 and said.count("goes on") == 1
    for env_id in ids[:count]:
        expected = learned(whole / env_id)
        assert learned(tmp_path / env_id) == expected and len(expected[1]) == 8


def test_wrong_input_starts_nothing(ids, tmp_path):
    out = tmp_path / "runs"
    with pytest.raises(UnknownIdError):
        queue([ids[0], "SFV-Nonsense-v0"], out)
    with pytest.raises(SFVError, match="nothing to train"):
        queue([], out)
    with pytest.raises(SFVError, match="unknown PPO setting"):
        queue(ids, out, settings={"nonsense": 1})
    assert not out.exists()


def test_a_policy_is_installed_where_it_is_a_gain(tmp_path):
    env_id = "SFV-Backflip-v0"
    good = Policy.load(shipped_policy_path(env_id))
    good.card["motion_hash"] = load_motion(get_entry(env_id).motion).content_hash()
    run, policies = tmp_path / "run", tmp_path / "policies"
    target = policies / f"{env_id}.safetensors"

    def put(policy: Policy, where: Path, **card) -> None:
        kept, policy.card = policy.card, {**policy.card, **card}
        policy.save(where)
        policy.card = kept

    idle = Policy(good.mean, good.std, [(0 * w, 0 * b) for w, b in good.layers], dict(good.card))
    put(good, run / "policy.safetensors")
    row = {**good.card["evaluation"], "samples": 1000, "seconds": 2.5}
    (run / "curve.jsonl").write_text(json.dumps(row) + "\n")
    assert install_policy(run, policies) == (True, "installed: there was none")
    card = json.loads(target.with_suffix(".json").read_text())
    ((samples, seconds, *_, success),) = card.pop("curve")
    assert (samples, seconds, success) == (1000, 2.5, row["success_rate"])
    assert card == good.card
    assert not install_policy(run, policies)[0]  # the very same
    put(idle, run / "policy.safetensors", seed=7)
    assert not install_policy(run, policies)[0]  # worse
    put(idle, target, seed=7)
    put(good, run / "policy.safetensors")
    assert install_policy(run, policies)[0]  # better
    put(good, target, motion_hash="0" * 16)
    put(idle, run / "policy.safetensors", seed=7)
    assert install_policy(run, policies)[0]  # what was there is stale
    put(good, run / "policy.safetensors", motion_hash="0" * 16)
    installed, why = install_policy(run, policies)
    assert not installed and "another motion" in why
