"""Uses sfv_gym as it is installed, without extras: the last part of ``scripts/check_wheel.sh``.

python use_package.py SOURCE: SOURCE is the tree that it was built from.
"""

import sys
from configparser import ConfigParser
from importlib.metadata import files
from importlib.util import find_spec
from pathlib import Path

import gymnasium as gym
import numpy as np

import sfv_gym

IDS = ("SFV-Walk-v0", "SFV-Backflip-Atlas-v0", "SFV-Kick-Slopes-v0")


def expected(source: Path) -> set[str]:
    """The files that belong into the package, of those in the checkout."""
    config = ConfigParser()
    config.read(source / "setup.cfg")
    mapped = dict(
        line.split(" = ") for line in config["options"]["package_dir"].strip().splitlines()
    )
    folders = {"sfv_gym": "sfv_gym", **{name.replace(".", "/"): at for name, at in mapped.items()}}
    return {
        f"{name}/{path.relative_to(source / at).as_posix()}"
        for name, at in folders.items()
        for path in (source / at).rglob("*")
        if path.is_file()
    }


def check_files(source: Path) -> None:
    """Nothing is missing, and nothing else is there."""
    installed = {str(path) for path in files("sfv-gym") or () if path.parts[0] == "sfv_gym"}
    wanted = expected(source)
    if installed != wanted:
        missing, more = sorted(wanted - installed), sorted(installed - wanted)
        sys.exit(f"not installed: {missing[:10]}; not in the checkout: {more[:10]}")


def play(env_id: str) -> None:
    """Some steps under the shipped policy."""
    env, policy = gym.make(env_id), sfv_gym.load_policy(env_id)
    observation, _ = env.reset(seed=0)
    for _ in range(10):
        observation, reward, *_ = env.step(policy.predict(observation))
        if not (np.isfinite(observation).all() and 0.0 < float(reward) <= 1.0):
            sys.exit(f"{env_id}: reward {reward}, observation {observation}")
    env.close()


def main() -> None:
    if not Path(sfv_gym.__file__).is_relative_to(sys.prefix):
        sys.exit(f"{sfv_gym.__file__} is not the installed package")
    if find_spec("torch") or find_spec("cv2"):
        sys.exit("the environment has more than the base dependencies")
    check_files(Path(sys.argv[1]))
    for env_id in IDS:
        play(env_id)


if __name__ == "__main__":
    main()
