"""A walk on harder and harder slopes, and under pushes.

Run: python examples/04_terrain_and_pushes.py
"""

from sfv_gym import Pushes, evaluate
from sfv_gym.benchmarks.studies.matrix import measure_matrix
from sfv_gym.benchmarks.trained_policies import find_policy


def main(env_id: str = "SFV-Walk-v0", episodes: int = 16) -> None:
    policy = find_policy(env_id)
    found = measure_matrix(
        [policy], terrains=["flat", "slopes"], difficulties=[0.0, 0.5, 1.0], episodes=episodes
    )
    for cell in found["policies"][0]["cells"]:
        print(cell["terrain"], cell["difficulty"], cell["success_rate"])
    for force in (0.0, 100.0, 200.0):
        pushed = evaluate(policy.predict, env_id, episodes=episodes, pushes=Pushes(force=force))
        print(f"pushes of {force:.0f} N: {pushed.completion_rate:.2f} to the end")


if __name__ == "__main__":
    main()
