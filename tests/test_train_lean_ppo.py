"""LeanPPO computes what Stable-Baselines3's PPO does."""

import numpy as np
import pytest
import torch
from motions import swing
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecNormalize

from sfv_gym.envs.sb3 import SB3VecEnv
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.train.lean_ppo import LeanPPO

ENVS, STEPS, GAMMA = 8, 24, 0.9


def model(kind: type[PPO], tmp_path, **settings) -> PPO:
    path = tmp_path / "swing.npz"
    swing(frames=31).save(path)
    envs = VecNormalize(
        SB3VecEnv(ImitationVectorEnv(path, ENVS, num_threads=1, horizon=9)), norm_reward=False
    )
    made = kind(
        "MlpPolicy",
        envs,
        n_steps=STEPS,
        batch_size=ENVS * STEPS,  # one minibatch: its order cannot matter
        n_epochs=2,
        gamma=GAMMA,
        learning_rate=1e-3,
        seed=0,
        policy_kwargs={"net_arch": [16, 16], "activation_fn": torch.nn.ReLU, "log_std_init": -1.0},
        **settings,
    )
    made.learning_rate_now = 1e-3
    return made


def collect(made: PPO) -> None:
    _, callback = made._setup_learn(ENVS * STEPS)
    assert made.collect_rollouts(made.env, callback, made.rollout_buffer, STEPS)


@pytest.mark.parametrize("ent_coef", [0.0, 0.01])
def test_an_update_is_that_of_ppo(tmp_path, ent_coef):
    lean, plain = (model(kind, tmp_path, ent_coef=ent_coef) for kind in (LeanPPO, PPO))
    collect(lean)
    plain._setup_learn(ENVS * STEPS)
    plain.rollout_buffer = lean.rollout_buffer
    for one in (lean, plain):  # in this order: PPO's reading rearranges the buffer
        one.train()
    got, wanted = lean.policy.state_dict(), plain.policy.state_dict()
    for name, value in model(LeanPPO, tmp_path).policy.state_dict().items():
        torch.testing.assert_close(got[name], wanted[name], rtol=1e-4, atol=1e-6)
        assert not torch.equal(got[name], value), name  # it did change


def test_a_rollout_holds_what_the_policy_says_of_it(tmp_path):
    lean = model(LeanPPO, tmp_path)
    collect(lean)
    buffer = lean.rollout_buffer
    flat = [
        torch.as_tensor(a.reshape(-1, a.shape[-1])) for a in (buffer.observations, buffer.actions)
    ]
    with torch.no_grad():
        values, log_probs, _ = lean.policy.evaluate_actions(*flat)
    np.testing.assert_allclose(buffer.values.ravel(), values.numpy().ravel(), atol=1e-5)
    np.testing.assert_allclose(buffer.log_probs.ravel(), log_probs.numpy(), atol=1e-3)
    assert buffer.episode_starts[0].all() and buffer.episode_starts[1:].any()


def test_truncated_episodes_are_worth_what_would_have_come(tmp_path, monkeypatch):
    """With a critic that always says 7, a step that is cut off is worth gamma times 7 more."""
    monkeypatch.setattr(LeanPPO, "_critic", lambda self, seen: torch.full((len(seen),), 7.0))
    lean = model(LeanPPO, tmp_path)
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    class Watch(BaseCallback):
        def _on_step(self) -> bool:
            cut = [info.get("TimeLimit.truncated", False) for info in self.locals["infos"]]
            seen.append((self.locals["rewards"].copy(), np.array(cut)))
            return True

    _, callback = lean._setup_learn(ENVS * STEPS, Watch())
    lean.collect_rollouts(lean.env, callback, lean.rollout_buffer, STEPS)
    rewards, cut = (np.array(part) for part in zip(*seen, strict=True))
    assert 0 < cut.sum() < cut.size
    np.testing.assert_allclose(lean.rollout_buffer.rewards, rewards + 7 * GAMMA * cut, rtol=1e-5)
    assert (lean.rollout_buffer.values == 7.0).all()


def test_while_only_the_critic_learns_the_actor_stays(tmp_path):
    lean = model(LeanPPO, tmp_path)
    lean.critic_only_until = ENVS * STEPS
    before = {k: v.clone() for k, v in lean.policy.state_dict().items()}
    lean.learn(ENVS * STEPS)
    after = lean.policy.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if "value" in name}
    lean.learn(ENVS * STEPS, reset_num_timesteps=False)
    assert not torch.equal(before["action_net.weight"], lean.policy.action_net.weight)


def test_the_actor_learns_at_its_share_of_the_rate_and_a_checkpoint_keeps_it(tmp_path):
    made = model(LeanPPO, tmp_path, actor_rate=0.25)
    made.n_epochs = 1
    before = {name: value.clone() for name, value in made.policy.state_dict().items()}
    collect(made)
    made.train()
    after = made.policy.state_dict()
    # Adam's first step is the rate in every number, whatever the gradient
    for name, rate in (("action_net.weight", 0.25e-3), ("value_net.weight", 1e-3)):
        assert (after[name] - before[name]).abs().max() == pytest.approx(rate, rel=0.05)
    made.save(tmp_path / "checkpoint.zip")
    again = LeanPPO.load(tmp_path / "checkpoint.zip", env=made.env)
    collect(again)
    again.train()
    rates = [group["lr"] for group in again.policy.optimizer.param_groups]
    assert rates == pytest.approx([0.25e-3, 1e-3])
    assert set(again.policy.optimizer.state) == set(again.policy.parameters())
