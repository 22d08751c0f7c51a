"""A training run in small: it learns something, stops, and goes on."""

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from motions import swing
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

import sfv_gym
from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.starts.failure import FailureSampler
from sfv_gym.envs.task import Task
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import OutputError, PolicyError, SettingError, SFVError
from sfv_gym.jobs.folder import read_json
from sfv_gym.jobs.job import StoppedError
from sfv_gym.play.policy import Policy
from sfv_gym.registry import get_entry
from sfv_gym.seeds import Purpose, stream
from sfv_gym.train import ppo, recorder
from sfv_gym.train.checkpoint import BETWEEN
from sfv_gym.train.config import Asked, PPOConfig
from sfv_gym.train.curriculum import Curriculum
from sfv_gym.train.export import export_policy
from sfv_gym.train.lean_ppo import LeanPPO
from sfv_gym.train.ppo import train
from sfv_gym.train.runs import CARD, CHECKPOINT, CONFIG, POLICY, PROGRESS
from sfv_gym.train.warm_start import HEIGHT_SPREAD, parent_policy

SMALL = {"num_envs": 16, "n_steps": 32, "batch_size": 256, "n_epochs": 2, "hidden": (32, 32)}

pytestmark = pytest.mark.usefixtures("few_episodes")


@pytest.fixture(scope="module")
def env_id(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("motions") / "swing.npz"
    swing(frames=31).save(path)
    return sfv_gym.register_motion(path)


@pytest.fixture(scope="module")
def given(env_id, tmp_path_factory) -> Path:
    """A policy of the flat ground, trained on 512 samples."""
    run = tmp_path_factory.mktemp("flat")
    train(env_id, run, steps=512, progress=False, settings=SMALL)
    return run / POLICY


def test_a_run_can_be_stopped_and_resumed(env_id, tmp_path):
    run = tmp_path / "run"
    train(env_id, run, steps=1024, evaluate_every=512, progress=False, settings=SMALL)
    curve = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    assert [row["samples"] for row in curve] == [512, 1024]
    with pytest.raises(OutputError, match="--resume"):
        train(env_id, run, steps=1024, progress=False, settings=SMALL)

    train(env_id, run, steps=2048, resume=True, evaluate_every=512, progress=False)
    curve = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    assert curve[-1]["samples"] == 2048
    assert curve[-1]["seconds"] > curve[1]["seconds"]
    card = json.loads((run / "card.json").read_text())
    assert card["env_id"] == env_id and card["algorithm"] == "PPO"
    policy = Policy.load(run / "policy.safetensors")
    assert policy.card == card
    assert list((run / "tensorboard").rglob("events*"))


def test_another_character_on_terrain_can_be_trained(env_id, tmp_path):
    rough = env_id.replace("-v0", "-Atlas-Slopes-v0")
    evaluation = train(rough, tmp_path / "run", steps=512, progress=False, settings=SMALL)
    assert evaluation.env_id == rough
    policy = Policy.load(tmp_path / "run" / "policy.safetensors")
    assert len(policy.mean) == 212  # with the height map


def test_an_interrupted_run_goes_on_where_it_was(env_id, tmp_path, monkeypatch):
    def interrupt(run_recorder):
        if run_recorder.model.num_timesteps >= 1024:
            raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(recorder.Recorder, "_on_rollout_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(env_id, run, steps=2048, progress=False, settings=SMALL)
    assert not list(run.glob(".*"))  # no temporary file
    train(env_id, run, resume=True, evaluate_every=512, progress=False)
    samples = [
        json.loads(line)["samples"] for line in (run / "curve.jsonl").read_text().splitlines()
    ]
    assert samples == [1536, 2048]


@pytest.mark.parametrize("last_is_better", [True, False])
def test_the_last_policy_is_kept_if_it_wins_the_run_off(
    last_is_better, env_id, tmp_path, monkeypatch
):
    """In training the first evaluation is the best; more episodes may say otherwise."""
    real, seen = recorder.evaluate_id, {"training": [], "run-off": []}

    def ranked(predict, env_id, *, episodes, **settings):
        result = real(predict, env_id, episodes=2, **settings)
        calls = seen["run-off" if episodes == recorder.RUN_OFF_EPISODES else "training"]
        calls.append(settings.get("seed", 0))
        first_wins = last_is_better if calls is seen["run-off"] else True
        return replace(result, success_rate=float(first_wins == (len(calls) == 1)))

    monkeypatch.setattr(recorder, "evaluate_id", ranked)
    train(env_id, tmp_path, steps=1536, evaluate_every=512, progress=False, settings=SMALL)
    assert seen["training"] == [stream(Purpose.SELECTION)] * 3
    assert seen["run-off"] == [stream(Purpose.RUN_OFF)] * 2
    card = read_json(tmp_path / CARD)
    assert card["samples"] == (1536 if last_is_better else 512)
    assert card["selection"]["success_rate"] == 1.0
    assert Policy.load(tmp_path / POLICY).card == card


def test_a_run_ends_by_the_clock_and_goes_on_with_more_of_it(env_id, tmp_path, monkeypatch):
    """A rollout there always is; what it comes to is measured anew once it has learned on."""
    seconds = [0.0]
    monkeypatch.setattr(recorder.Recorder, "seconds", property(lambda self: seconds[0]))
    monkeypatch.setattr(
        recorder.Recorder,
        "_on_rollout_end",
        lambda self: seconds.__setitem__(0, seconds[0] + 60.0),
    )
    settings = {**SMALL, "minutes": 1.5}
    train(env_id, tmp_path, steps=10**6, progress=False, settings=settings)
    card = read_json(tmp_path / CARD)
    assert (card["samples_total"], card["outcome"]) == (1024, "budget")
    found = train(env_id, tmp_path, resume=True, progress=False)
    assert read_json(tmp_path / CARD) == card and found.as_dict().items() <= (
        card["evaluation"].items()
    )
    train(env_id, tmp_path, resume=True, progress=False, settings={"minutes": 2.5})
    assert read_json(tmp_path / CARD)["samples_total"] == 1536


def test_what_start_states_have_learned_goes_on(env_id, tmp_path, monkeypatch):
    settings = {**SMALL, "initialization": "failure", "horizon": 8}
    train(env_id, tmp_path, steps=1024, progress=False, settings=settings)
    learned = LeanPPO.load(tmp_path / CHECKPOINT).extra["starts"]["failure_rate"]
    assert np.ptp(learned) > 0
    given, restore = [], FailureSampler.restore
    without_the_rest(tmp_path / CHECKPOINT)
    monkeypatch.setattr(
        FailureSampler, "restore", lambda self, state: (given.append(state), restore(self, state))
    )
    train(env_id, tmp_path, steps=1536, resume=True, progress=False)
    [state] = given
    np.testing.assert_array_equal(state["failure_rate"], learned)


class Stopper:
    """A listener that wants the run to stop once it has learned from so many samples."""

    def __init__(self, at: float) -> None:
        self.at, self.samples = at, 0.0

    def advance(self, done: float, total: float | None = None, note: str = "") -> None:
        self.samples = done

    def say(self, text: str) -> None:
        pass

    @property
    def stopping(self) -> bool:
        return self.samples >= self.at


def weights_and_curve(run: Path) -> tuple[dict[str, np.ndarray], list[dict]]:
    """All that a run has learned, and its evaluations but for their time."""
    model = LeanPPO.load(run / CHECKPOINT)
    weights = {name: value.numpy() for name, value in model.policy.state_dict().items()}
    weights["mean"] = model.extra["normalization"].mean
    rows = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    return weights, [{**row, "seconds": None} for row in rows]


@pytest.mark.parametrize(
    ("terrain", "more"),
    [("", {}), ("Slopes-", {"harder_at": 0.0}), ("", {"initialization": "failure"})],
    ids=("flat", "slopes", "learned starts"),
)
def test_a_run_that_is_stopped_ends_with_the_same_policy(env_id, terrain, more, tmp_path):
    """To the bit, and its curve too."""
    rough = env_id.replace("v0", f"{terrain}v0")
    asked = Asked.for_env(rough, 3072, {**SMALL, "horizon": 20, **more})
    for name, stops in (("whole", ()), ("parts", (512, 1024, 1600))):
        for part, at in enumerate((*stops, float("inf"))):
            with contextlib.suppress(StoppedError):
                ppo.train_in(
                    tmp_path / name, rough, asked, seed=3, resume=part > 0, init=None,
                    num_threads=1, device="cpu", evaluate_every=1500, listener=Stopper(at),
                )  # fmt: skip
                assert at == float("inf")
    (whole, curve), (parts, other) = (weights_and_curve(tmp_path / n) for n in ("whole", "parts"))
    assert curve == other and len(curve) == 2
    for name, values in whole.items():
        np.testing.assert_array_equal(values, parts[name], err_msg=name)
    policies = [Policy.load(tmp_path / name / POLICY) for name in ("whole", "parts")]
    assert policies[0].content_hash() == policies[1].content_hash()


def without_the_rest(path: Path) -> None:
    """A checkpoint as an earlier version wrote it: without simulations and random numbers."""
    model = LeanPPO.load(path)
    del model.extra[BETWEEN]
    model.save(path)


def test_an_unknown_initialization_leaves_no_folder(env_id, tmp_path):
    with pytest.raises(SettingError, match="nonsense"):
        train(env_id, tmp_path / "run", progress=False, settings={"initialization": "nonsense"})
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_go_on_with_another_motion_or_setting(tmp_path):
    path = tmp_path / "changing.npz"
    swing(frames=31).save(path)
    changing = sfv_gym.register_motion(path)
    run = tmp_path / "run"
    train(changing, run, steps=512, evaluate_every=512, progress=False, settings=SMALL)
    with pytest.raises(SFVError, match="reward cannot be changed"):
        train(changing, run, resume=True, progress=False, settings={"reward": "pose"})
    same = {"learning_rate": "5e-4", "hidden": [32, 32], "n_epochs": 2.0}  # said otherwise
    train(changing, run, resume=True, progress=False, settings=same)
    swing(frames=41).save(path)
    with pytest.raises(SFVError, match=r"motion of .* has changed"):
        train(changing, run, resume=True, progress=False)


def test_nothing_to_resume(env_id, tmp_path):
    with pytest.raises(SFVError, match="no checkpoint"):
        train(env_id, tmp_path / "none", resume=True, progress=False)


def test_settings_come_from_the_file_and_may_be_overridden():
    config = PPOConfig.for_env("SFV-Walk-v0", steps=123)
    assert config.steps == 123 and config.num_envs == 256
    assert isinstance(config.learning_rate, float)
    with pytest.raises(SettingError, match="nonsense"):
        PPOConfig.for_env("SFV-Walk-v0", nonsense=1)


def test_an_exported_policy_acts_like_the_model_it_came_from(env_id, tmp_path):
    run = tmp_path / "run"
    train(env_id, run, steps=512, evaluate_every=512, progress=False, settings=SMALL)
    adapter = SB3VecEnv(ImitationVectorEnv(get_entry(env_id).motion, 4))
    normalized = VecNormalize(adapter, norm_reward=False, training=False)
    model = PPO.load(run / CHECKPOINT, env=normalized)  # Stable-Baselines3's own can read it
    normalized.obs_rms = model.extra["normalization"]
    policy = export_policy(model, {})
    normalized.seed(0)
    seen = normalized.reset()
    expected, _ = model.predict(seen, deterministic=True)
    got = policy.predict(normalized.get_original_obs())
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_terrains_run_starts_from_the_flat_grounds_policy(env_id, given, tmp_path):
    """Its actions are the policy's, whatever the height map, until the critic is learned."""
    rough, run = env_id.replace("-v0", "-Atlas-Gaps-v0"), tmp_path / "run"
    settings = {**SMALL, "critic_warmup": 512}
    train(rough, run, steps=512, init=given, progress=False, settings=settings)
    flat, policy = Policy.load(given), Policy.load(run / "policy.safetensors")
    assert policy.card["init"] == f"{env_id}.safetensors"
    assert policy.card["samples_before"] == flat.card["samples_total"] == 512
    assert policy.card["seconds_before"] == flat.card["seconds_total"]
    curve = [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]
    assert [row["samples"] for row in curve] == [0, 512]  # what it was given counts, too
    config = json.loads((run / "config.json").read_text())["ppo"]
    assert config["learning_rate"] == config["new_body_learning_rate"]
    assert config["warm_log_std"] == config["new_body_log_std"]
    for (weight, bias), (old_weight, old_bias) in zip(policy.layers, flat.layers, strict=True):
        np.testing.assert_array_equal(weight[:, : old_weight.shape[1]], old_weight)
        np.testing.assert_array_equal(bias, old_bias)
    assert not policy.layers[0][0][:, len(flat.mean) :].any()
    # the normalisation has hardly moved: 512 samples against what the policy's counts for
    np.testing.assert_allclose(policy.mean[: len(flat.mean)], flat.mean, atol=0.1 * flat.std.max())
    # heights come into the network at the size of what it has seen so far, not vanishingly small
    np.testing.assert_allclose(policy.std[len(flat.std) :], HEIGHT_SPREAD, rtol=0.3)
    wide = {**SMALL, "hidden": (64, 32)}
    with pytest.raises(PolicyError, match="layers"):
        train(rough, tmp_path / "wide", init=given, progress=False, settings=wide)
    assert not (tmp_path / "wide" / CHECKPOINT).exists()


def test_a_run_among_objects_starts_from_the_policy_without(env_id, given, tmp_path):
    """What it sees of them comes in with weight 0, and about as large as it is."""
    box = sfv_gym.Box(size=(0.4, 0.6, 0.5), position=(0.3, 1.6, 0.25), mass=6.0)
    path, run = tmp_path / "swing_by_a_box.npz", tmp_path / "run"
    replace(swing(frames=31), skill="swing_by_a_box", objects=(box,)).save(path)
    settings = {**SMALL, "critic_warmup": 512}
    among = sfv_gym.register_motion(path)
    train(among, run, steps=512, init=given, progress=False, settings=settings)
    flat, policy = Policy.load(given), Policy.load(run / "policy.safetensors")
    np.testing.assert_array_equal(policy.layers[0][0][:, : len(flat.mean)], flat.layers[0][0])
    assert not policy.layers[0][0][:, len(flat.mean) :].any()
    place = policy.std[len(flat.std) :][:3]  # 100,000 samples of 1 beside 512 of what it is
    np.testing.assert_allclose(place, 1.0, rtol=0.05)


def test_the_same_body_goes_on_seeing_as_the_policy_did(env_id, given, tmp_path):
    """Terrain of the same character: what the policy saw stays scaled, the heights adapt."""
    rough, run = env_id.replace("-v0", "-Gaps-v0"), tmp_path / "run"
    settings = {**SMALL, "critic_warmup": 8192}
    train(rough, run, steps=8192, init=given, progress=False, settings=settings)
    flat, seen = Policy.load(given), LeanPPO.load(run / CHECKPOINT).extra["normalization"]
    known = len(flat.mean)
    np.testing.assert_allclose(seen.mean[:known], flat.mean, atol=0.01 * flat.std.max())
    np.testing.assert_allclose(np.sqrt(seen.var[:known]), flat.std, rtol=0.02, atol=1e-3)
    assert abs(seen.mean[known:]).max() > 10 * abs(seen.mean[:known] - flat.mean).max()
    assert (
        read_json(run / CONFIG)["ppo"]["learning_rate"]
        == PPOConfig.for_env(rough).warm_learning_rate
    )


def test_a_run_killed_at_its_start_keeps_what_it_was_given(env_id, given, tmp_path, monkeypatch):
    """The given policy was evaluated before the first sample: it stays the one to beat."""

    def interrupt(run_recorder):
        raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(recorder.Recorder, "_on_rollout_start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(env_id, run, steps=512, init=given, progress=False, settings=SMALL)
    monkeypatch.setattr(recorder, "rank", lambda evaluation: 0)  # nothing that comes is better
    train(env_id, run, resume=True, progress=False)
    curve = [json.loads(line)["samples"] for line in (run / "curve.jsonl").read_text().splitlines()]
    assert curve == [0, 512]
    card = Policy.load(run / "policy.safetensors").card
    assert (card["samples"], card["samples_before"]) == (0, 512)
    assert card["init"] == f"{env_id}.safetensors"
    assert card["settings"]["learning_rate"] == card["settings"]["warm_learning_rate"]
    assert card["settings"]["warm_log_std"] != card["settings"]["new_body_log_std"]


def test_which_policy_a_run_starts_from(given, tmp_path):
    policy = Policy.load(given)

    def put(env_id: str, motion_hash: str) -> None:
        policy.card = {**policy.card, "env_id": env_id, "motion_hash": motion_hash}
        policy.save(tmp_path / f"{env_id}.safetensors")

    for name in ("SFV-Walk-v0", "SFV-Walk-Atlas-v0"):
        put(name, Task.of(name).motion_hash)

    def parent(env_id: str) -> str | None:
        path = parent_policy(env_id, tmp_path)
        return path and path.stem

    assert parent("SFV-Walk-Slopes-v0") == "SFV-Walk-v0"
    assert parent("SFV-Walk-Atlas-Gaps-v0") == "SFV-Walk-Atlas-v0"
    assert parent("SFV-Walk-Atlas-v0") == "SFV-Walk-v0"
    assert parent("SFV-Walk-v0") is None  # from scratch
    assert parent("SFV-Jump-Slopes-v0") is None  # there is no policy
    for name in ("SFV-Walk-v0", "SFV-Walk-Atlas-v0", "SFV-Walk-Slopes-v0"):
        put(name, "of an earlier motion")
        assert parent(name) == name  # its own is nearer than any other


def test_the_terrain_gets_harder_as_episodes_go_through():
    config = PPOConfig.for_env("SFV-Walk-Slopes-v0")
    curriculum = Curriculum.begin(config)
    curriculum.count(150, 150)
    curriculum.adapt(config)
    assert curriculum.limit == config.first_difficulty  # too few to tell
    curriculum.count(150, 20)
    curriculum.adapt(config)
    assert curriculum.limit == config.first_difficulty  # too many failed
    for _ in range(100):
        curriculum.count(200, 180)
        curriculum.adapt(config)
    assert curriculum.limit == config.last_difficulty
    drawn = [curriculum.draw(0, samples) for samples in range(200)]
    assert drawn == [Curriculum(curriculum.limit).draw(0, samples) for samples in range(200)]
    assert 0 <= min(drawn) < 0.05 and 0.6 < max(drawn) <= config.last_difficulty


def test_a_run_on_terrain_goes_on_where_its_curriculum_was(env_id, tmp_path):
    rough = env_id.replace("-v0", "-Slopes-v0")
    settings = {**SMALL, "harder_at": 0.0, "harder_by": 0.1}
    train(rough, tmp_path, steps=8192, evaluate_every=10**6, progress=False, settings=settings)
    reached = read_json(tmp_path / PROGRESS)["hardest_terrain"]
    assert reached > PPOConfig.for_env(rough).first_difficulty
    train(rough, tmp_path, steps=8704, resume=True, progress=False)
    assert read_json(tmp_path / PROGRESS)["hardest_terrain"] >= reached
