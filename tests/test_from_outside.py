"""The newcomer's table of docs/architecture.md: one folder and one registration add a character, a
terrain, a reward, a type of object, an estimator. Each is a module in a folder that is not ours."""

import importlib
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import sfv_gym
from sfv_gym import registry
from sfv_gym.characters import CHARACTERS
from sfv_gym.errors import PoseError
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
import mujoco
import sfv_gym

@dataclass(frozen=True)
class Ball(sfv_gym.SceneObject):
    radius: float = 0.1

    def add_to(self, spec, name):
        body = spec.worldbody.add_body(name=name, pos=[0.0, 1.5, 1.0])
        body.add_freejoint(name=name)
        body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[self.radius, 0, 0])
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
    tables = (CHARACTERS, TERRAINS, ESTIMATORS, registry.CHARACTER_TITLES, registry.TERRAIN_TITLES,
              registry._ENTRIES, gym.registry)  # fmt: skip
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
    ball = theirs("my_object", OBJECT).Ball(radius=0.2)
    env = gym.make("SFV-Walk-v0", objects=[ball])
    played(env)
    assert env.unwrapped.simulation.model.geom("object_0").size[0] == 0.2


def test_an_estimator(theirs):
    """It is asked, and sees nobody; tests/test_estimators.py has one that sees."""
    from sfv_gym.video import write_video

    theirs("my_estimator", ESTIMATOR)
    clip = Path(theirs.folder) / "grey.mp4"
    write_video(clip, [np.full((120, 160, 3), 128, np.uint8)] * 12, 30.0)
    with pytest.raises(PoseError):
        sfv_gym.extract_motion(clip, skill="grey", out=clip.with_suffix(".npz"), estimator="blind")
