"""The newcomer's table of docs/architecture.md: one folder and one registration add a character, a
terrain, a reward, a type of object, an estimator. Each is a module in a folder that is not ours."""

import importlib
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import sfv_gym
from sfv_gym import registry
from sfv_gym.characters import CHARACTERS
from sfv_gym.errors import PoseError
from sfv_gym.objects import OBJECTS
from sfv_gym.pose.registry import ESTIMATORS
from sfv_gym.terrains import TERRAINS

CHARACTER = """
from pathlib import Path
import sfv_gym

like = sfv_gym.get_character("humanoid")
robot = sfv_gym.Character.from_file(
    Path(__file__).parent / "stout.xml", like.links, like.fall_geoms
)
ids = sfv_gym.register_character(robot)
"""

TERRAIN = """
from dataclasses import dataclass
import numpy as np
import sfv_gym

@dataclass(frozen=True)
class Kerbs(sfv_gym.Terrain):
    name = "kerbs"
    floor = -0.5

    def shape(self, ends, uniform, start):
        raised = (np.arange(uniform.shape[1]) - start) % 2 == 1
        z = np.where(raised, self.between(0.02, 0.2), 0.0) * np.ones(uniform.shape)
        return sfv_gym.Pieces(ends[:, :-1], ends[:, 1:], z, z, np.full(z.shape, 6.0))

ids = sfv_gym.register_terrain(Kerbs)
"""

REWARD = """
import numpy as np
import sfv_gym

def hands_and_feet(errors: sfv_gym.TrackingErrors):
    near = np.exp(-20.0 * np.square(errors.end_effector).sum(-1))
    return near, {"reward_hands_and_feet": near}
"""

OBJECT = """
from dataclasses import dataclass
import numpy as np
import sfv_gym

@dataclass(frozen=True, eq=False)
class Egg(sfv_gym.SceneObject):
    name = "egg"
    geom = "ellipsoid"

    def reach(self, half, direction):
        return np.sqrt(np.square(half * direction).sum(-1))

sfv_gym.register_object(Egg)
"""

ESTIMATOR = """
import numpy as np
import sfv_gym
from sfv_gym.pose.mediapipe import LANDMARKS

SIDES = ("left", "right")
PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
NAMES = ("nose", *(f"{side}_{part}" for part in PARTS for side in SIDES))

class Blind(sfv_gym.FrameEstimator):
    name = "blind"
    landmarks = LANDMARKS.subset("few", NAMES)

    def detect(self, picture: np.ndarray) -> list[sfv_gym.Person]:
        return []

sfv_gym.register_estimator(Blind())
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    """Imports the text as a module of a folder of its own, and forgets afterwards what it added."""
    tables = (CHARACTERS, TERRAINS, ESTIMATORS, OBJECTS, registry.CHARACTER_TITLES,
              registry.TERRAIN_TITLES, registry._ENTRIES, gym.registry)  # fmt: skip
    kept = [(table, dict(table)) for table in tables]
    monkeypatch.syspath_prepend(tmp_path)

    def module(name: str, text: str):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    module.folder = tmp_path
    yield module
    for live, before in kept:
        live.clear()
        live.update(before)


def played(env: gym.Env) -> dict:
    """One step with an action of zeros: its info."""
    env.reset(seed=0)
    observation, reward, _, _, info = env.step(np.zeros(env.action_space.shape, np.float32))
    assert np.isfinite(observation).all() and np.isfinite(reward)
    return info


def test_a_character(theirs):
    text = sfv_gym.get_character("humanoid").mjcf.replace('mass="14"', 'mass="20"')
    (Path(theirs.folder) / "stout.xml").write_text(text)
    assert "SFV-Kick-Stout-Gaps-v0" in theirs("my_character", CHARACTER).ids
    played(gym.make("SFV-Kick-Stout-v0"))


def test_a_terrain(theirs):
    assert "SFV-Kick-Atlas-Kerbs-v0" in theirs("my_terrain", TERRAIN).ids
    played(gym.make("SFV-Walk-Kerbs-v0", difficulty=1.0))


def test_a_reward(theirs):
    mine = theirs("my_reward", REWARD).hands_and_feet
    assert 0.5 < played(gym.make("SFV-Walk-v0", reward=mine))["reward_hands_and_feet"] <= 1.0


def test_a_type_of_object(theirs):
    """It is in the scene, measured, and what a motion's file may hold."""
    egg = theirs("my_object", OBJECT).Egg(size=(0.4, 0.4, 0.6), position=(0, 1.5, 0.3), mass=2.0)
    motion = replace(sfv_gym.find_motion("kick"), objects=(egg,))
    motion.save(theirs.folder / "egg_kick.npz")
    assert sfv_gym.register_motion(theirs.folder / "egg_kick.npz") == "SFV-EggKick-v0"
    env = gym.make("SFV-EggKick-v0")
    assert 0.0 <= played(env)["object_position_error"] < 0.01
    np.testing.assert_allclose(env.unwrapped.simulation.model.geom("object_0").size, egg.half)


def test_an_estimator(theirs):
    """It is asked, and sees nobody; tests/test_estimators.py has one that sees."""
    from sfv_gym.video import write_video

    theirs("my_estimator", ESTIMATOR)
    clip = Path(theirs.folder) / "grey.mp4"
    write_video(clip, [np.full((120, 160, 3), 128, np.uint8)] * 12, 30.0)
    with pytest.raises(PoseError):
        sfv_gym.extract_motion(clip, skill="grey", out=clip.with_suffix(".npz"), estimator="blind")
