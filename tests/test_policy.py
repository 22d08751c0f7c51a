"""Policy files: the same actions after a round trip, and clear errors."""

import json
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

from sfv_gym.envs import observation_structure
from sfv_gym.envs.task import Task
from sfv_gym.errors import PolicyError, UnknownIdError
from sfv_gym.play.layout import Part, PolicyLayout
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


# --- format 2: what going on to learn needs ------------------------------------------------------


def whole_policy(observation: str = "phase") -> Policy:
    """A small policy with all that a trainer writes."""
    layout = PolicyLayout.of(Task.of("SFV-Walk-v0", observation=observation))
    rng = np.random.default_rng(1)

    def layers(*widths: int) -> list[tuple[np.ndarray, np.ndarray]]:
        return [
            (rng.normal(size=(b, a)).astype(np.float32), rng.normal(size=b).astype(np.float32))
            for a, b in pairwise(widths)
        ]

    return Policy(
        np.zeros(layout.size, np.float32),
        np.ones(layout.size, np.float32),
        layers(layout.size, 16, 28),
        {"env_id": "SFV-Walk-v0"},
        log_std=rng.normal(size=28).astype(np.float32),
        critic=layers(layout.size, 8, 1),
        layout=layout,
    )


def test_a_file_keeps_noise_critic_and_layout(tmp_path):
    policy = whole_policy()
    policy.save(tmp_path / "p.safetensors")
    again = Policy.load(tmp_path / "p.safetensors")
    np.testing.assert_array_equal(again.log_std, policy.log_std)
    for one, other in zip(again.critic, policy.critic, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert again.layout == policy.layout and again.layout.character == "humanoid"
    assert again.content_hash() == policy.content_hash()
    load_policy("SFV-Walk-v0", tmp_path / "p.safetensors")
    with safe_open(tmp_path / "p.safetensors", framework="numpy") as file:
        assert file.metadata()["format"] == "2"


def test_a_file_of_the_first_format_loads():
    path = policies_folder() / "SFV-Kick-v0.safetensors"
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["format"] == "1"
    policy = Policy.load(path)
    assert policy.log_std is None and policy.critic == [] and policy.layout is None
    assert policy.predict(np.zeros(OBSERVATION_SIZE)).shape == (28,)


@pytest.mark.parametrize(
    ("env_id", "seen", "options", "message"),
    [
        ("SFV-Walk-v0", "window", {}, "it sees reference_position_2, .* does not show"),
        ("SFV-Walk-v0", "phase", {"observation": "window"}, "it sees phase, which"),
        ("SFV-Walk-Slopes-v0", "phase", {}, "does not see height_map"),
        ("SFV-Walk-Atlas-v0", "phase", {}, "moves humanoid, the environment atlas"),
    ],
)
def test_a_policy_that_does_not_fit_says_what_differs(env_id, seen, options, message, tmp_path):
    whole_policy(seen).save(tmp_path / "p.safetensors")
    with pytest.raises(PolicyError, match=f"does not fit {env_id}: .*{message}"):
        load_policy(env_id, tmp_path / "p.safetensors", **options)


def test_parts_in_another_order_or_size_do_not_fit():
    layout = whole_policy().layout
    first, second, *rest = layout.parts
    swapped = (Part(second.name, 0, second.size), Part(first.name, second.size, first.size))
    other = PolicyLayout("humanoid", (*swapped, *rest))
    with pytest.raises(PolicyError, match="root_rotation in another place"):
        other.check_same(layout)
    np.testing.assert_array_equal(other.columns_in(layout)[:7], [1, 2, 3, 4, 5, 6, 0])
    with pytest.raises(PolicyError, match="sees 5 numbers of root_height"):
        PolicyLayout("humanoid", (Part("root_height", 0, 5),)).columns_in(layout)


def with_metadata(path, layout: str) -> None:
    policy = whole_policy()
    policy.save(path)
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = {**file.metadata(), "layout": layout}
    save_file(tensors, path, metadata=metadata)


def saved(path, **fields) -> None:
    policy = whole_policy()
    for name, value in fields.items():
        setattr(policy, name, value)
    policy.save(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: saved(p, log_std=np.zeros(3, np.float32)),
        lambda p: saved(p, log_std=np.full(28, np.nan, np.float32)),
        lambda p: saved(p, critic=whole_policy().layers),
        lambda p: saved(p, critic=whole_policy("window").critic),
        lambda p: saved(p, layout=whole_policy("window").layout),
        lambda p: with_metadata(p, "{"),
        lambda p: with_metadata(p, "[]"),
        lambda p: with_metadata(p, '{"character": "humanoid"}'),
        lambda p: with_metadata(p, '{"character": "humanoid", "observation": [["a", 0, 147.0]]}'),
        lambda p: with_metadata(p, '{"character": "humanoid", "observation": [["a", 1, 146]]}'),
        lambda p: with_metadata(p, '{"character": "humanoid", "observation": [["a", 0, 0]]}'),
        lambda p: with_metadata(p, '{"character": "humanoid", "observation": []}'),
        lambda p: with_metadata(p, '{"character": "humanoid", "observation": 3}'),
    ],
)
def test_a_damaged_file_of_the_second_format_is_refused(damage, tmp_path):
    damage(tmp_path / "p.safetensors")
    with pytest.raises(PolicyError, match="not an sfv_gym policy"):
        Policy.load(tmp_path / "p.safetensors")
