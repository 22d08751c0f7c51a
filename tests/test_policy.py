"""Policy files: the same actions after a round trip, and clear errors."""

import json

import gymnasium as gym
import numpy as np
import pytest
import torch

from sfv_gym.envs import observation_structure
from sfv_gym.errors import PolicyError, UnknownIdError
from sfv_gym.play.policy import OBSERVATION_CLIP, Policy, load_policy, policies_folder

OBSERVATION_SIZE = observation_structure()["phase"].stop


def small_policy(card: dict | None = None) -> Policy:
    rng = np.random.default_rng(0)
    shapes = [(32, OBSERVATION_SIZE), (28, 32)]
    layers = [
        (rng.normal(scale=0.1, size=s).astype(np.float32), rng.normal(size=s[0]).astype(np.float32))
        for s in shapes
    ]
    mean = rng.normal(size=OBSERVATION_SIZE).astype(np.float32)
    std = rng.uniform(0.5, 2.0, OBSERVATION_SIZE).astype(np.float32)
    return Policy(mean, std, layers, card or {"env_id": "SFV-Walk-v0"})


def test_a_saved_policy_acts_the_same(tmp_path):
    policy = small_policy()
    policy.save(tmp_path / "p.safetensors")
    again = Policy.load(tmp_path / "p.safetensors")
    observation = np.random.default_rng(1).normal(size=(5, OBSERVATION_SIZE)).astype(np.float32)
    np.testing.assert_array_equal(policy.predict(observation), again.predict(observation))
    assert again.card == policy.card
    assert policy.predict(observation[0]).shape == (28,)


def test_prediction_is_the_network_that_torch_computes():
    policy = small_policy()
    observation = 3 * np.random.default_rng(2).normal(size=(7, OBSERVATION_SIZE))
    x = torch.as_tensor((observation - policy.mean) / policy.std, dtype=torch.float32)
    x = x.clip(-OBSERVATION_CLIP, OBSERVATION_CLIP)
    (w0, b0), (w1, b1) = [(torch.as_tensor(w), torch.as_tensor(b)) for w, b in policy.layers]
    hidden = torch.relu(torch.nn.functional.linear(x, w0, b0))
    expected = torch.nn.functional.linear(hidden, w1, b1).clip(-1, 1)
    np.testing.assert_allclose(policy.predict(observation), expected, atol=1e-5)


def test_damaged_and_missing_files(tmp_path):
    with pytest.raises(PolicyError, match="no such policy file"):
        Policy.load(tmp_path / "none.safetensors")
    small_policy().save(tmp_path / "p.safetensors")
    whole = (tmp_path / "p.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:2000])
    with pytest.raises(PolicyError, match="not an sfv_gym policy"):
        Policy.load(tmp_path / "cut.safetensors")
    broken = small_policy()
    broken.layers[0][0][0, 0] = np.nan
    broken.save(tmp_path / "nan.safetensors")
    with pytest.raises(PolicyError, match="NaN"):
        Policy.load(tmp_path / "nan.safetensors")


def test_loading_by_id(tmp_path):
    with pytest.raises(UnknownIdError):
        load_policy("SFV-Nonsense-v0")
    small_policy({"mujoco_version": "1.2.3", "motion_hash": "0"}).save(tmp_path / "p.safetensors")
    with pytest.warns(UserWarning, match="trained with MuJoCo|another motion") as caught:
        load_policy("SFV-Walk-v0", tmp_path / "p.safetensors")
    messages = " ".join(str(w.message) for w in caught)
    assert "MuJoCo 1.2.3" in messages and "another motion" in messages


@pytest.mark.parametrize(
    "file", sorted(policies_folder().glob("*.safetensors")), ids=lambda f: f.stem
)
def test_shipped_policies_fit_their_environment_and_motion(file, recwarn):
    env_id = file.stem
    policy = load_policy(env_id)
    assert policy.card["env_id"] == env_id
    assert file.stat().st_size < 1_000_000
    card = json.loads(file.with_suffix(".json").read_text())
    assert {**policy.card, "curve": card["curve"]} == card and card["curve"]
    env = gym.make(env_id)
    observation, _ = env.reset(seed=0)
    observation, *_ = env.step(policy.predict(observation))
    assert np.isfinite(observation).all()
    env.close()
    assert not [w for w in recwarn if "another motion" in str(w.message)]
