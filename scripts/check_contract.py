"""Others' contract checks on our environments; scripts/check_contract.sh makes what this needs.

A part is a file of tests that pytest runs in a process of its own: some of Gymnasium's, from a
checkout, and the tests below. This module is also the plugin that gives them our ids: a test of
Gymnasium's that goes over its environments goes over ours, and one that makes CartPole gets ours
from `gymnasium.make`. Tests that use no environment of ours are left out.
"""

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import gymnasium as gym
import gymnasium.wrappers.vector as wrappers
import numpy as np
import pytest

import sfv_gym  # noqa: F401  (registers the ids)

# Both characters, every terrain
IDS = [
    "SFV-Walk-v0", "SFV-Backflip-v0", "SFV-Kick-v0",
    "SFV-Walk-Atlas-v0", "SFV-Squat-Atlas-v0", "SFV-Backflip-Atlas-v0",
    "SFV-Walk-Slopes-v0", "SFV-Backflip-Gaps-v0", "SFV-Jump-Steps-v0", "SFV-Squat-Beam-v0",
    "SFV-Kick-Atlas-Slopes-v0", "SFV-Jump-Atlas-Gaps-v0",
]  # fmt: skip
# Each part's name, and where its tests are: a file of the checkout, or a test below
PARTS = {
    "envs": "tests/envs/test_envs.py",
    "rendering": "tests/envs/test_rendering.py",
    "sync_vector_env": "tests/vector/test_sync_vector_env.py",
    "passive_env_checker": "tests/wrappers/test_passive_env_checker.py",
    "record_episode_statistics": "tests/wrappers/test_record_episode_statistics.py",
    "time_aware_observation": "tests/wrappers/test_time_aware_observation.py",
    "record_video": "tests/wrappers/test_record_video.py",
    "human_rendering": "tests/wrappers/test_human_rendering.py",
    "stable_baselines3": "test_stable_baselines3",
    "torchrl": "test_torchrl",
    "minari": "test_minari",
    "vector_wrappers": "test_vector_wrappers",
    "videos": "test_videos",
}
PACKAGES = [
    "sfv-gym", "gymnasium", "stable-baselines3", "torch", "torchrl", "tensordict", "minari",
    "moviepy", "pygame-ce", "mujoco", "numpy", "pytest",
]  # fmt: skip
SMALL = {"width": 160, "height": 120}  # pictures, where there are hundreds
HERE = Path(__file__).resolve()


# --- the command ------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description="Run others' contract checks on our environments.")
    parser.add_argument("gymnasium", type=Path, help="a checkout of Gymnasium")
    parser.add_argument("--logs", type=Path, required=True, help="folder for what pytest prints")
    parser.add_argument("--ids", default=",".join(IDS), help="environments")
    parser.add_argument("--parts", default=",".join(PARTS), help="of: %(default)s")
    args = parser.parse_args()
    parts, ids = args.parts.split(","), args.ids.split(",")
    for kind, unknown in (("part", set(parts) - set(PARTS)), ("id", set(ids) - set(gym.registry))):
        if unknown:
            parser.error(f"unknown {kind}: {', '.join(sorted(unknown))}")
    source = (args.gymnasium / "gymnasium" / "__init__.py").read_text(encoding="utf-8")
    version = re.search(r'__version__ = "(.+)"', source)
    if version is None or version[1] != gym.__version__:
        there = version[1] if version else "an unknown version"
        parser.error(f"the checkout is of Gymnasium {there}, but {gym.__version__} is installed")

    versions = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    print(f"Python {sys.version.split()[0]}, {', '.join(versions)}")
    print(f"{len(ids)} environments: {', '.join(ids)}", flush=True)
    begun = time.monotonic()
    totals = np.sum([run_part(name, ids, args.gymnasium, args.logs) for name in parts], axis=0)
    minutes = (time.monotonic() - begun) / 60
    print(f"{totals[0]} passed, {totals[1]} failed, in {minutes:.1f} minutes; logs in {args.logs}")
    return 1 if totals[1] else 0


def run_part(name: str, ids: list[str], checkout: Path, logs: Path) -> tuple[int, int]:
    """Prints what came of a part; returns how many tests passed and failed."""
    checkout, logs = checkout.resolve(), logs.resolve()
    report, scratch = logs / f"{name}.xml", logs / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)  # some tests leave files where they run
    report.unlink(missing_ok=True)
    theirs = PARTS[name].endswith(".py")
    tests = checkout / PARTS[name] if theirs else f"{HERE}::{PARTS[name]}"
    settings = checkout / "pyproject.toml" if theirs else os.devnull
    command = [
        sys.executable, "-m", "pytest", str(tests), "-p", HERE.stem, "-p", "no:cacheprovider",
        "-c", str(settings), "--rootdir", str(checkout if theirs else HERE.parent),
        "--contract-ids", ",".join(ids), f"--junitxml={report}", "-rs", "--durations=3",
    ]  # fmt: skip
    env = os.environ | {
        "PYTHONPATH": str(HERE.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "SDL_VIDEODRIVER": "dummy",  # a window without a screen
    }
    begun = time.monotonic()
    with (logs / f"{name}.log").open("w", encoding="utf-8") as log:
        code = subprocess.run(
            command, cwd=scratch, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        ).returncode
    seconds = time.monotonic() - begun
    cases = list(ElementTree.parse(report).iter("testcase")) if report.exists() else []
    skipped = sum(case.find("skipped") is not None for case in cases)
    failures = list(failed(cases))
    passed = len(cases) - skipped - len(failures)
    if not failures and (code != 0 or passed == 0):
        failures.append(f"pytest ended with status {code}: see {name}.log")
    origin = f" (Gymnasium's {PARTS[name]})" if theirs else ""
    count = f"{passed} passed, {len(failures)} failed" + (f", {skipped} skipped" * bool(skipped))
    print(f"{name}{origin}: {count}, {seconds:.0f} s", *failures, sep="\n    ", flush=True)
    return passed, len(failures)


def failed(cases: list[ElementTree.Element]) -> Iterator[str]:
    for case in cases:
        found = [child for child in case if child.tag in ("failure", "error")]
        if found:
            lines = (found[0].get("message") or found[0].text or "").strip().splitlines()
            yield f"{case.get('name')}: {lines[0] if lines else found[0].tag}"


# --- the plugin -------------------------------------------------------------------------------

with_our_ids: set[str] = set()  # the tests, without their parameters


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--contract-ids", default=",".join(IDS))


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    ids = metafunc.config.getoption("--contract-ids").split(",")
    values: dict[str, Callable[[], list[Any]]] = {
        "env_id": lambda: ids,
        "spec": lambda: [gym.spec(env_id) for env_id in ids],
        "env_spec": lambda: [gym.spec(env_id) for env_id in ids],
        "env": lambda: [gym.make(env_id, disable_env_checker=True).unwrapped for env_id in ids],
    }
    test = metafunc.definition
    for i, mark in enumerate(test.own_markers):
        if mark.name == "parametrize" and mark.args[0] in values:
            name = mark.args[0]
            test.own_markers[i] = pytest.mark.parametrize(name, values[name](), ids=ids).mark
            with_our_ids.add(test.nodeid)
    if test.path.name in ("test_record_video.py", "test_human_rendering.py"):
        metafunc.parametrize("instead_of_cartpole", ids, indirect=True)
        with_our_ids.add(test.nodeid)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left_out = [item for item in items if item.nodeid.split("[")[0] not in with_our_ids]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def instead_of_cartpole(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    env_id = getattr(request, "param", None)
    if env_id is None:
        return
    make, ours = gym.make, dict(SMALL)
    if request.function.__name__ == "test_video_length":  # wants an episode of ten steps
        ours |= {"termination": False, "initialization": "fixed"}
    monkeypatch.setattr(gym, "make", lambda _, **theirs: make(env_id, **ours, **theirs))


# --- the tests that are not Gymnasium's -------------------------------------------------------


@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines3(env_id: str) -> None:
    from stable_baselines3.common.env_checker import check_env

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # its advice
        check_env(gym.make(env_id))
        check_env(gym.make(env_id, render_mode="rgb_array"), skip_render_check=False)


@pytest.mark.parametrize("num_envs", [0, 4])
@pytest.mark.parametrize("env_id", IDS)
def test_torchrl(env_id: str, num_envs: int) -> None:
    import torch
    from torchrl.envs import GymEnv, check_env_specs

    # with the module's name: TorchRL's processes import nothing of ours otherwise
    env = GymEnv(f"sfv_gym:{env_id}", num_envs=num_envs)
    if num_envs == 0:
        check_env_specs(env)
    rollout = env.rollout(20, break_when_any_done=False)
    batch = (num_envs, 20) if num_envs else (20,)
    assert rollout.batch_size == batch
    assert rollout["observation"].shape == (*batch, *gym.make(env_id).observation_space.shape)
    assert torch.isfinite(rollout["observation"]).all()
    assert torch.isfinite(rollout["next", "reward"]).all()
    assert rollout["next", "done"].any()  # random actions: episodes end, and others begin
    env.close()


def play(env: gym.Env, episodes: int) -> list[tuple[list[np.ndarray], list[float], dict]]:
    """Random actions; each episode's observations, rewards and last info."""
    played = []
    env.action_space.seed(0)
    for seed in range(episodes):
        observation, info = env.reset(seed=seed)
        observations, rewards, ended = [observation], [], False
        while not ended:
            observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
            observations.append(observation)
            rewards.append(reward)
            ended = terminated or truncated
        played.append((observations, rewards, info))
    return played


@pytest.mark.parametrize("env_id", IDS)
def test_minari(env_id: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import minari

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env = minari.DataCollector(gym.make(env_id), record_infos=True)
    played = play(env, 2)
    env.create_dataset(
        "contract/random-v0", algorithm_name="random", author="contract", author_email="none"
    )
    env.close()
    dataset = minari.load_dataset("contract/random-v0")
    assert dataset.total_episodes == 2
    for episode, (observations, rewards, info) in zip(dataset, played, strict=True):
        np.testing.assert_array_equal(episode.observations, observations)
        np.testing.assert_array_equal(episode.rewards, rewards)
        assert episode.infos.keys() == info.keys()
        for key, value in info.items():
            assert len(episode.infos[key]) == len(observations)
            np.testing.assert_array_equal(episode.infos[key][-1], value)
    again = dataset.recover_environment()
    assert again.spec.id == env_id
    np.testing.assert_array_equal(again.reset(seed=0)[0], played[0][0][0])


@pytest.mark.parametrize("env_id", IDS)
def test_videos(env_id: str, tmp_path: Path) -> None:
    import av

    env = gym.make(env_id, render_mode="rgb_array")
    env = gym.wrappers.RecordVideo(env, str(tmp_path), episode_trigger=lambda _: True)
    played = play(env, 2)
    env.close()
    for i, (observations, *_) in enumerate(played):
        with av.open(str(tmp_path / f"rl-video-episode-{i}.mp4")) as video:
            frames = sum(1 for _ in video.decode(video=0))
        # moviepy adds 1/30 s up to a duration, and some sums fall a frame short
        assert len(observations) - 1 <= frames <= len(observations)


def reshape(envs: gym.vector.VectorEnv) -> gym.vector.VectorWrapper:
    return wrappers.ReshapeObservation(envs, (*envs.single_observation_space.shape, 1))


# Those for any Box, and what each changes of a rollout
WRAPPERS: dict[str, tuple[Callable[[gym.vector.VectorEnv], Any], set[str]]] = {
    "RecordEpisodeStatistics": (wrappers.RecordEpisodeStatistics, set()),
    "DictInfoToList": (wrappers.DictInfoToList, set()),
    "NormalizeObservation": (wrappers.NormalizeObservation, {"observation"}),
    "FlattenObservation": (wrappers.FlattenObservation, set()),
    "ReshapeObservation": (reshape, set()),
    "DtypeObservation": (lambda e: wrappers.DtypeObservation(e, np.float64), set()),
    "TransformObservation": (
        lambda e: wrappers.TransformObservation(e, lambda x: 2 * x),
        {"observation"},
    ),
    "NormalizeReward": (wrappers.NormalizeReward, {"reward"}),
    "ClipReward": (lambda e: wrappers.ClipReward(e, 0.1, 0.2), {"reward"}),
    "TransformReward": (lambda e: wrappers.TransformReward(e, lambda x: 2 * x), {"reward"}),
    "ClipAction": (wrappers.ClipAction, set()),
    "RescaleAction": (lambda e: wrappers.RescaleAction(e, -1.0, 1.0), set()),
    "TransformAction": (lambda e: wrappers.TransformAction(e, lambda x: x), set()),
    "NumpyToTorch": (lambda e: wrappers.NumpyToTorch(e), set()),
    "RecordVideo": (lambda e: wrappers.RecordVideo(e, "videos"), set()),
    "HumanRendering": (wrappers.HumanRendering, set()),
}
# Gymnasium's wrappers of observations refuse SAME_STEP, and RecordVideo loses frames with it
SAME_STEP = [name for name in WRAPPERS if "Observation" not in name and name != "RecordVideo"]


@pytest.mark.parametrize("env_id", IDS)
@pytest.mark.parametrize(
    ("name", "mode"),
    [(name, "NextStep") for name in WRAPPERS] + [(name, "SameStep") for name in SAME_STEP],
)
def test_vector_wrappers(
    env_id: str, name: str, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrapped environment plays what the bare one plays, but for what the wrapper changes."""
    monkeypatch.chdir(tmp_path)
    wrap, changes = WRAPPERS[name]
    options: dict[str, Any] = {"autoreset_mode": gym.vector.AutoresetMode(mode)}
    drawn = name in ("RecordVideo", "HumanRendering")
    if drawn:
        options |= {"render_mode": "rgb_array", **SMALL}
    bare, envs = (
        gym.make_vec(env_id, num_envs=4, vectorization_mode="vector_entry_point", **options)
        for _ in range(2)
    )
    envs = wrap(envs)
    steps = 12 if drawn else 25
    expected, played = rollout(bare, steps), rollout(envs, steps)
    assert expected["ended"].any()
    for key, values in expected.items():  # reshaped, for ReshapeObservation
        same = np.array_equal(played[key].reshape(values.shape), values)
        assert same == (key not in changes), key
    if name == "RecordEpisodeStatistics":
        returns, lengths = episodes(expected["reward"], expected["ended"], mode == "NextStep")
        assert list(envs.length_queue) == lengths
        np.testing.assert_allclose(envs.return_queue, returns)
    bare.close()
    envs.close()
    assert name != "RecordVideo" or list(tmp_path.glob("videos/*.mp4"))


def rollout(envs: Any, steps: int) -> dict[str, np.ndarray]:
    """What random actions give: (steps, environments, …)."""
    import torch

    random = np.random.default_rng(0)
    seen: dict[str, list[np.ndarray]] = {"observation": [], "reward": [], "ended": []}
    envs.reset(seed=3)
    for _ in range(steps):
        action = random.uniform(-1, 1, envs.action_space.shape).astype(np.float32)
        to_torch = isinstance(envs, wrappers.NumpyToTorch)
        step = envs.step(torch.from_numpy(action) if to_torch else action)
        assert step[0].shape == envs.observation_space.shape
        observation, reward, terminated, truncated = (np.asarray(value) for value in step[:4])
        seen["observation"].append(observation)
        seen["reward"].append(reward)
        seen["ended"].append(terminated | truncated)
    return {name: np.array(values) for name, values in seen.items()}


def episodes(
    rewards: np.ndarray, ends: np.ndarray, next_step: bool
) -> tuple[list[float], list[int]]:
    """The return and the length of every episode, in the order of their ends."""
    total, length = np.zeros(rewards.shape[1]), np.zeros(rewards.shape[1], int)
    before = np.zeros(rewards.shape[1], bool)
    returns, lengths = [], []
    for reward, ended in zip(rewards, ends, strict=True):
        plays = ~before if next_step else np.ones_like(before)
        total[plays] += reward[plays]
        length[plays] += 1
        returns += total[ended].tolist()
        lengths += length[ended].tolist()
        total[ended], length[ended], before = 0.0, 0, ended
    return returns, lengths


if __name__ == "__main__":
    sys.exit(main())
