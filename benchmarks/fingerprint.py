"""What a figure depends on beside the policy, in one short hash: the world that it acts in."""

from __future__ import annotations

import hashlib

import mujoco

from sfv_gym.envs.task import Task
from sfv_gym.retargeting import retarget
from sfv_gym.seeds import Purpose, stream


def environment_hash(env_id: str, difficulty: float | None = None) -> str:
    """Sixteen hex digits of an environment's data: the motion, as it is and in the character's
    joints, the character's MJCF, the terrain with its difficulty, and MuJoCo's version.

    Code is not in it, so that a comment does not make a page old: who changes what a step does
    measures again by ``--force``.

    Args:
        difficulty: of the terrain; its own by default.
    """
    task = Task.of(env_id, difficulty=difficulty)
    character, motion = task.character, task.motion
    digest = hashlib.sha256(f"{mujoco.__version__} {motion.content_hash()}".encode())
    digest.update(character.spec().to_xml().encode())
    digest.update(repr(task.terrain).encode())
    if not character.is_canonical:
        body = retarget(motion, character)
        for values in (body.root_pos, body.root_quat, body.joint_quat):
            # + 0.0, since -0.0 is the same place; rounded, since it is solved and not given
            digest.update((values.round(6) + 0.0).tobytes())
    return digest.hexdigest()[:16]


def stream_name(purpose: Purpose, seed: int = 0) -> str:
    """Which episodes a figure is from, such as ``publication 0``: see ``sfv_gym.seeds``.

    Raises:
        SettingError: a seed that is out of range.
    """
    stream(purpose, seed)
    return f"{purpose.name.lower()} {seed}"
