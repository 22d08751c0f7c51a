"""Stable-Baselines3 on the native vector environment.

Run: python examples/02_stable_baselines3.py
"""

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecNormalize

from sfv_gym import SB3VecEnv, evaluate


def main(env_id: str = "SFV-Punch-v0", steps: int = 200_000, num_envs: int = 256) -> float:
    envs = gym.make_vec(
        env_id, num_envs=num_envs, vectorization_mode="vector_entry_point", horizon=90
    )
    venv = VecNormalize(SB3VecEnv(envs.unwrapped), norm_reward=False)
    torch.set_num_threads(1)  # small networks: more threads only wait for each other
    model = PPO(
        "MlpPolicy",
        venv,
        n_steps=16,
        batch_size=min(1024, 16 * num_envs),
        n_epochs=6,
        gamma=0.97,
        policy_kwargs={"log_std_init": -2.5},  # actions are residuals in rad: explore narrowly
        seed=0,
    )
    model.learn(steps)

    def predict(observations):
        return model.predict(venv.normalize_obs(observations), deterministic=True)[0]

    found = evaluate(predict, env_id, episodes=20)
    print(f"{env_id}: normalized return {found.normalized_return:.2f} after {steps:,} steps")
    return found.normalized_return


if __name__ == "__main__":
    main()
