"""A training run in small: it learns something, stops, and goes on."""

import json

import pytest
from motions import swing

import sfv_gym
from sfv_gym.errors import OutputError, SFVError
from sfv_gym.policy import Policy
from sfv_gym.train.config import PPOConfig
from sfv_gym.train.ppo import train

SMALL = {"num_envs": 16, "n_steps": 32, "batch_size": 256, "n_epochs": 2, "hidden": (32, 32)}


@pytest.fixture(scope="module")
def env_id(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("motions") / "swing.npz"
    swing(frames=31).save(path)
    return sfv_gym.register_motion(path)


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
    from sfv_gym.train import ppo

    def interrupt(recorder):
        if recorder.model.num_timesteps >= 1024:
            raise KeyboardInterrupt

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(ppo._Recorder, "_on_rollout_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(env_id, run, steps=2048, progress=False, settings=SMALL)
    assert not list(run.glob(".*"))  # no temporary file
    train(env_id, run, resume=True, evaluate_every=512, progress=False)
    samples = [json.loads(line)["samples"] for line in (run / "curve.jsonl").open()]
    assert samples == [1536, 2048]


def test_a_run_does_not_go_on_with_another_motion_or_setting(tmp_path):
    path = tmp_path / "changing.npz"
    swing(frames=31).save(path)
    changing = sfv_gym.register_motion(path)
    run = tmp_path / "run"
    train(changing, run, steps=512, evaluate_every=512, progress=False, settings=SMALL)
    with pytest.raises(SFVError, match="reward cannot be changed"):
        train(changing, run, resume=True, progress=False, settings={"reward": "sfv"})
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
    with pytest.raises(SFVError, match="nonsense"):
        PPOConfig.for_env("SFV-Walk-v0", nonsense=1)


def test_an_exported_policy_acts_like_the_model_it_came_from(env_id, tmp_path):
    import numpy as np
    from stable_baselines3 import PPO
    from stable_baselines3.common.vec_env import VecNormalize

    from sfv_gym.envs.sb3 import SB3VecEnv
    from sfv_gym.envs.vector_env import ImitationVectorEnv
    from sfv_gym.registry import get_entry
    from sfv_gym.train.ppo import CHECKPOINT, NORMALIZATION, export_policy

    run = tmp_path / "run"
    train(env_id, run, steps=512, evaluate_every=512, progress=False, settings=SMALL)
    adapter = SB3VecEnv(ImitationVectorEnv(get_entry(env_id).motion, 4))
    normalized = VecNormalize.load(str(run / NORMALIZATION), adapter)
    normalized.training = False
    model = PPO.load(run / CHECKPOINT, env=normalized)
    policy = export_policy(model, {})
    normalized.seed(0)
    seen = normalized.reset()
    expected, _ = model.predict(seen, deterministic=True)
    got = policy.predict(normalized.get_original_obs())
    np.testing.assert_allclose(got, expected, atol=1e-4)
