"""No two purposes share an episode, nor do two runs; and each consumer draws for its purpose."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import Task
from sfv_gym.errors import SettingError
from sfv_gym.jobs.local import InlineExecutor
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, publish
from sfv_gym.play.policy import Policy, load_policy, shipped_policy_path
from sfv_gym.registry import find_motion
from sfv_gym.seeds import MAX_SEED, Purpose, stream

ENVIRONMENTS = 4096
SEEDS = (0, 1, 2, 3, 4095, 4096, 2**31, MAX_SEED)
PARTS = (0, 1, 4096, 10_000_000, 2**48 - 1)
SKILL = "SFV-Punch-v0"
TINY = {"num_envs": 8, "n_steps": 16, "batch_size": 64, "n_epochs": 1, "hidden": [8]}


# --- the table ------------------------------------------------------------------------------------


def blocks() -> dict[tuple[Purpose, int, int], int]:
    """(purpose, seed, part) -> the first of its 4,096 seeds."""
    asked = itertools.product((p for p in Purpose if p is not Purpose.USER), SEEDS, PARTS)
    return {one: stream(*one) for one in asked}


def test_batches_of_4096_environments_share_no_seed():
    """Sorted, each begins where the one before has ended, or later: so holds for every pair."""
    firsts = np.array(sorted(blocks().values()), object)
    assert len(firsts) == (len(Purpose) - 1) * len(SEEDS) * len(PARTS)
    assert (np.diff(firsts) >= ENVIRONMENTS).all()


def test_a_user_s_seeds_are_their_own():
    assert stream(Purpose.USER, 7) == 7
    assert max(SEEDS) + ENVIRONMENTS <= min(blocks().values())


def test_purposes_have_names_of_their_own():
    assert len({int(purpose) for purpose in Purpose}) == len(Purpose.__members__)


@pytest.mark.parametrize("bad", [-1, 2**32, 1.5, "one", None])
def test_a_seed_out_of_range_is_refused(bad):
    with pytest.raises(SettingError):
        stream(Purpose.PUBLICATION, bad)


def test_a_part_out_of_range_is_refused():
    for bad in (-1, 2**48):
        with pytest.raises(SettingError, match="part"):
            stream(Purpose.TRAINING, 0, bad)


def test_what_is_drawn_differs_in_every_environment_of_every_stream():
    """The generators themselves: the first, the last and some environments between."""
    drawn = [
        np.random.default_rng(first + i).random(2).tobytes()
        for first in blocks().values()
        for i in (0, 1, 255, ENVIRONMENTS - 1)
    ]
    assert len(set(drawn)) == len(drawn)


def test_start_states_of_all_streams_differ():
    """The simulation, over purposes, seeds and parts: no observation comes twice."""
    simulation = ImitationSimulation(Task.of(SKILL, initialization="rsi"), 64)
    seen = []
    asked = [(p, seed, 0) for p in Purpose for seed in (0, 1, 2)]
    for one in [*asked, (Purpose.TRAINING, 0, 512), (Purpose.BENCHMARK_TRAINING, 0, 512)]:
        if one[0] is Purpose.USER and one[1]:
            continue  # neighbouring seeds of a user overlap, as Gymnasium's do
        simulation.seed(stream(*one))
        seen.append(simulation.reset(simulation.all_ids))
    rows = np.concatenate(seen)
    assert len(np.unique(rows, axis=0)) == len(rows)


# --- who draws from what --------------------------------------------------------------------------

Drawn = set[tuple[Purpose, int, int]]


def whose(seed: int) -> tuple[Purpose, int, int]:
    """Purpose, seed and part of a seed that an environment was given."""
    block = seed >> 12
    return Purpose(block >> 80), (block >> 48) & MAX_SEED, block & (2**48 - 1)


@pytest.fixture
def drawn(monkeypatch) -> Drawn:
    """What simulations are seeded for, from now on."""
    found: Drawn = set()
    whole, single = ImitationSimulation.seed, ImitationSimulation.seed_one

    def seed(self, seed, *arguments):
        found.add(whose(seed))
        assert whose(seed) == whose(seed + self.num_envs - 1)  # within one block
        return whole(self, seed, *arguments)

    def seed_one(self, i, seed, *arguments):
        if seed is not None:
            found.add(whose(seed))
        return single(self, i, seed, *arguments)

    monkeypatch.setattr(ImitationSimulation, "seed", seed)
    monkeypatch.setattr(ImitationSimulation, "seed_one", seed_one)
    return found


def purposes(drawn: Drawn) -> set[Purpose]:
    return {purpose for purpose, _, _ in drawn}


@pytest.mark.usefixtures("few_episodes")
def test_training_selection_run_off_and_card(drawn, tmp_path, monkeypatch):
    from sfv_gym.train import ppo, recorder
    from sfv_gym.train.checkpoint import BETWEEN
    from sfv_gym.train.lean_ppo import LeanPPO
    from sfv_gym.train.runs import CHECKPOINT

    # the first is always the best so far, so that there is a run-off with the last
    monkeypatch.setattr(recorder, "rank", lambda evaluation: 0)
    for seed in (0, 1):
        drawn.clear()
        folder = tmp_path / str(seed)
        ppo.train(
            SKILL, folder, steps=256, seed=seed, evaluate_every=128, progress=False, settings=TINY
        )
        assert drawn == {
            (Purpose.TRAINING, seed, 0),
            (Purpose.SELECTION, seed, 0),
            (Purpose.RUN_OFF, seed, 0),
            (Purpose.PUBLICATION, 0, 0),
        }
    card = json.loads((folder / "card.json").read_text())
    for figures in (card["evaluation"], card["evaluation"]["rsi"]):
        assert figures["success_interval"]

    drawn.clear()
    ppo.train(SKILL, folder, steps=384, resume=True, evaluate_every=128, progress=False)
    assert Purpose.TRAINING not in purposes(drawn)  # its generators go on where they were
    model = LeanPPO.load(folder / CHECKPOINT)
    del model.extra[BETWEEN]  # as an earlier version, or a run that was interrupted, has it
    model.save(folder / CHECKPOINT)
    ppo.train(SKILL, folder, steps=512, resume=True, evaluate_every=128, progress=False)
    assert {part for purpose, _, part in drawn if purpose is Purpose.TRAINING} == {384}


def test_installation(drawn, tmp_path):
    from sfv_gym.train.install import install_policy

    policy = Policy.load(shipped_policy_path(SKILL))
    motion = find_motion(SKILL)
    policy.card = {**policy.card, "motion_hash": motion.content_hash()}
    there, run = tmp_path / "there", tmp_path / "run"
    for folder in (there, run):
        folder.mkdir()
    policy.save(there / f"{SKILL}.safetensors")
    policy.card = {**policy.card, "seed": 9}
    policy.save(run / "policy.safetensors")
    install_policy(run, there)
    assert drawn == {(Purpose.INSTALLATION, 0, 0)}


def test_publication(drawn):
    publish(load_policy(SKILL).predict, SKILL, episodes=2)
    assert drawn == {(Purpose.PUBLICATION, 0, 0)}


def test_torques_are_of_published_episodes(drawn):
    from sfv_gym.benchmarks.studies.torques import joint_torques

    joint_torques(SKILL, load_policy(SKILL).predict, episodes=2, seconds=0.1)
    assert drawn == {(Purpose.PUBLICATION, 0, 0)}


def test_the_results_page_and_what_selection_was(drawn):
    from sfv_gym.benchmarks.studies.policies.measure import measure

    policy = load_policy(SKILL)
    policy.card = {**policy.card, "seed": 5, "selection": {"episodes": 20}}
    measure(policy, SKILL, 2)
    assert drawn == {(Purpose.PUBLICATION, 0, 0), (Purpose.SELECTION, 5, 0)}


def test_matrix_and_pushes(drawn):
    from sfv_gym.benchmarks.studies.matrix import measure_matrix
    from sfv_gym.benchmarks.studies.pushes import measure_pushes
    from sfv_gym.benchmarks.trained_policies import find_policy

    policy = find_policy(SKILL)
    measure_matrix([policy], terrains=["flat"], episodes=2, seed=3)
    assert drawn == {(Purpose.MATRIX, 3, 0)}
    drawn.clear()
    measure_pushes([policy], step=500.0, most=500.0, episodes=2, seed=4)
    assert drawn == {(Purpose.PUSHES, 4, 0)}
    with pytest.raises(SettingError):
        measure_matrix([policy], terrains=["flat"], episodes=2, seed=-1)


@pytest.mark.usefixtures("short_videos")
def test_a_benchmark_run(drawn, tmp_path):
    from sfv_gym.benchmarks.results import FINISHED, RunSpec
    from sfv_gym.benchmarks.run import execute

    agent = f"{Path(__file__).parent / 'bench_agents.py'}:make_agent"
    for seed in (0, 1):
        drawn.clear()
        spec = RunSpec("SFV-Quick", SKILL, "theirs", agent, seed, 256, 2, str(tmp_path / str(seed)))
        result = execute(spec, lambda samples, score: None)
        assert result["status"] == FINISHED, result["error"]
        assert drawn == {
            (Purpose.BENCHMARK_TRAINING, seed, 0),
            (Purpose.BENCHMARK_CURVE, 0, 0),
            (Purpose.BENCHMARK_RESULT, 0, 0),
        }
    assert result["evaluation"]["success_interval"]


@pytest.mark.usefixtures("short_videos")
def test_stable_baselines3_s_benchmark_runs(drawn, tmp_path, monkeypatch):
    """They seed every environment by itself; and a run that goes on is another part."""
    pytest.importorskip("stable_baselines3")
    from sfv_gym.benchmarks import sb3_agent
    from sfv_gym.benchmarks.results import FINISHED, RunSpec
    from sfv_gym.benchmarks.run import execute

    shipped = sb3_agent.load_settings
    monkeypatch.setattr(sb3_agent, "load_settings", lambda *a: {**shipped(*a), **TINY})
    for steps in (512, 1024):
        drawn.clear()
        spec = RunSpec("SFV-Quick", SKILL, "ppo", "ppo", 3, steps, 2, str(tmp_path))
        result = execute(spec, lambda samples, score: None)
        assert result["status"] == FINISHED, result["error"]
        parts = {one for one in drawn if one[0] is Purpose.BENCHMARK_TRAINING}
        if steps == 512:
            assert parts == {(Purpose.BENCHMARK_TRAINING, 3, 0)}
        else:
            [part] = result["resumed_at"]
            assert (Purpose.BENCHMARK_TRAINING, 3, part) in parts
            assert purposes(parts) == {Purpose.BENCHMARK_TRAINING} and part > 0


def test_however_an_agent_seeds_it_runs_of_two_seeds_share_no_episode():
    from sfv_gym.benchmarks.run import TrainingEnv

    env = TrainingEnv("mine", 16, lambda samples: None, Task.of(SKILL))
    whole, _ = env.reset(seed=2)
    listed, _ = env.reset(seed=list(range(2, 18)))
    np.testing.assert_array_equal(whole, listed)  # what Gymnasium makes of a single seed
    others = [env.reset(seed=seed)[0] for seed in (0, 1, 3, [7] * 16)]
    env.go_on(512)
    others.append(env.reset(seed=2)[0])
    rows = np.concatenate([whole, *others])
    assert len(np.unique(rows, axis=0)) == len(rows)
    env.reset()  # and without a seed it goes on


def test_the_ablations(drawn, tmp_path):
    import io

    from rich.console import Console

    from sfv_gym.benchmarks.studies.ablations import FINAL, Study, Variant, measure

    study = Study((SKILL,), 256, (Variant("recipe", "the recipe", TINY),))
    quiet = Console(file=io.StringIO())
    run = tmp_path / "recipe" / "0" / SKILL
    found = measure(study, tmp_path, seeds=1, executor=InlineExecutor(), console=quiet)
    training = {Purpose.TRAINING, Purpose.SELECTION, Purpose.RUN_OFF, Purpose.PUBLICATION}
    assert purposes(drawn) - training - {Purpose.USER} == {Purpose.ABLATIONS}
    (run / FINAL).unlink()
    drawn.clear()
    measure(study, tmp_path, seeds=1, executor=InlineExecutor(), console=quiet)
    assert drawn - {(Purpose.USER, 0, 0)} == {(Purpose.ABLATIONS, 0, 0)}
    final = found["finals"]["recipe"][SKILL]["0"]
    assert final["episodes"] == PUBLISHED_EPISODES
    assert list(tmp_path.rglob(FINAL))
    drawn.clear()
    assert (
        measure(study, tmp_path, seeds=1, executor=InlineExecutor(), console=quiet)["finals"]
        == found["finals"]
    )
    assert Purpose.ABLATIONS not in purposes(drawn)  # kept
