"""A shipped policy plays one episode. Run: python examples/01_play.py"""

import gymnasium as gym

import sfv_gym


def main(env_id: str = "SFV-Backflip-v0") -> float:
    env = gym.make(env_id)
    policy = sfv_gym.load_policy(env_id)
    observation, _ = env.reset(seed=0)
    total, done = 0.0, False
    while not done:
        action = policy.predict(observation)
        observation, reward, terminated, truncated, _ = env.step(action)
        total += float(reward)
        done = terminated or truncated
    print(f"{env_id}: return {total:.1f}, {'fell' if terminated else 'to the end'}")
    return total


if __name__ == "__main__":
    main()
