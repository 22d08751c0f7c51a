"""A robot of a free root and hinges, as it stands: its links, its limits, what it stands on."""

from __future__ import annotations

import mujoco
import numpy as np

from sfv_gym import skeleton
from sfv_gym.characters import Character
from sfv_gym.characters.shapes import Shapes, colliding_geoms, outline
from sfv_gym.errors import MotionError
from sfv_gym.rotations import quat_rotate

MAX_ANGLE = 3.0
"""Radians; a hinge's angle has to survive as a quaternion, which ends at pi."""


class HingeModel:
    """A character of a free root and hinges, and how it stands.

    Args:
        character: its standing pose, with level feet, pelvis and chest, is taken to match the
            canonical rest pose.

    Raises:
        MotionError: it has other joints than hinges.

    Attributes:
        bodies: (15,) body ids in the order of skeleton.LINKS.
        rest: (15, 4) rotation of each body in the standing pose, where the canonical link's
            rotation is the identity.
        stand: (H,) hinge angles of the standing pose.
        lower, upper: (H,) radians, within which hinges stay.
        effectors: of skeleton.END_EFFECTORS, their places in skeleton.LINKS.
        points, radii: of each end effector the points (n, 3) in the body's frame that can touch
            the ground, and the radius of the balls around them.
        shapes: of the geoms that can touch the ground.
    """

    def __init__(self, character: Character) -> None:
        model = character.model
        if (model.jnt_type[1:] != mujoco.mjtJoint.mjJNT_HINGE).any():
            raise MotionError("only a character of a free root and hinges can be retargeted to")
        self.model, self.data = model, mujoco.MjData(model)
        self.bodies = character.link_ids
        limited = model.jnt_limited[1:] > 0
        ranges = np.where(limited[:, None], model.jnt_range[1:], (-MAX_ANGLE, MAX_ANGLE))
        self.lower = np.maximum(ranges[:, 0], -MAX_ANGLE)
        self.upper = np.minimum(ranges[:, 1], MAX_ANGLE)
        self.stand = np.clip(character.standing[7:], self.lower, self.upper)
        self.set(np.zeros(3), character.standing[3:7], self.stand)
        self.rest = self.data.xquat[self.bodies].copy()
        self.effectors = [skeleton.link_index(name) for name in skeleton.END_EFFECTORS]
        soles = [self._sole(self.bodies[e]) for e in self.effectors]
        self.points, self.radii = [s[0] for s in soles], [s[1] for s in soles]
        self.shapes = Shapes(model, colliding_geoms(model))

    def set(self, pos: np.ndarray, quat: np.ndarray, hinges: np.ndarray) -> None:
        """Put the body there: link frames and centres of mass are up to date afterwards."""
        qpos = self.data.qpos
        qpos[:3], qpos[3:7], qpos[7:] = pos, quat, hinges
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_comPos(self.model, self.data)

    def _sole(self, body: int) -> tuple[np.ndarray, float]:
        """Points (n, 3) in the body's frame, and a radius: what it stands on, as it stands now."""
        model, data = self.model, self.data
        geoms = np.flatnonzero((model.geom_bodyid == body) & (model.geom_contype > 0))
        points, radius = [np.zeros((1, 3))], 0.0
        for g in geoms:
            corners, radius = outline(model, int(g))
            points.append(model.geom_pos[g] + quat_rotate(model.geom_quat[g], corners))
        found = np.concatenate(points[1:] or points)
        heights = found @ data.xmat[body].reshape(3, 3)[2]
        return found[heights < heights.min() + 0.01], float(radius)
