"""A robot's kinematics for one frame, and what is found for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from sfv_gym import skeleton
from sfv_gym.characters import Character
from sfv_gym.fitting.hinge_model import HingeModel
from sfv_gym.rotations import quat_continuous

BONES = tuple(
    (f"{side}_{a}", f"{side}_{b}")
    for side in ("right", "left")
    for a, b in (("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"))
)
"""(link at the start, link at the end) of the bones whose directions are matched."""
ORIENTED = ("root", "chest", "neck", "right_ankle", "left_ankle")
"""Links whose orientations are matched."""

# Weights of residuals of the first pass, of hinge angles in radians.
_REST = 0.03  # each hinge to the standing pose, for what nothing else decides
_STRAIGHT = 0.3  # the same for the back, which else twists where it cannot bend further


@dataclass(frozen=True)
class Retargeted:
    """A motion in a character's coordinates.

    Attributes:
        qpos: (T, nq) at the motion's frames: root position in metres, root rotation wxyz, hinges
            in radians.
        scale: the character's leg length over the canonical one, by which the path on the ground
            is scaled, and ``loop_offset``'s x, y, z with it.
    """

    qpos: np.ndarray
    scale: float


@dataclass
class Poses:
    """T poses: root position (T, 3), root rotation (T, 4) and hinge angles (T, H)."""

    root_pos: np.ndarray
    root_quat: np.ndarray
    hinges: np.ndarray


class Rig(HingeModel):
    """A character's kinematics: link frames, centre of mass, and their Jacobians.

    Attributes:
        rest_pulls: (H,) weights with which the first pass is drawn to the standing pose.
        scale: leg length over the canonical one.
    """

    def __init__(self, character: Character) -> None:
        super().__init__(character)  # which leaves it standing
        model = self.model
        self.rest_pulls = np.full(len(self.stand), _REST)
        body = self.bodies[skeleton.link_index("chest")]
        while body != self.bodies[0] and body != 0:
            self.rest_pulls[model.jnt_bodyid[1:] == body] = _STRAIGHT
            body = model.body_parentid[body]
        pos = self.data.xpos[self.bodies]
        self.bone_index = np.array([[skeleton.link_index(n) for n in bone] for bone in BONES])
        lengths = np.linalg.norm(pos[self.bone_index[:, 1]] - pos[self.bone_index[:, 0]], axis=1)
        canonical = np.linalg.norm(skeleton.OFFSETS[self.bone_index[:, 1]], axis=1)
        # right leg, right arm, left leg, left arm
        self.limbs = lengths.reshape(4, 2).sum(1)
        self.canonical_limbs = canonical.reshape(4, 2).sum(1)
        self.scale = float((self.limbs[0] + self.limbs[2]) / (2 * self.canonical_limbs[0]))
        self.oriented = [skeleton.link_index(name) for name in ORIENTED]
        self._jac = np.zeros((len(skeleton.LINKS), 2, 3, model.nv))
        self._jac_com = np.zeros((3, model.nv))

    def place(self, poses: Poses, t: int) -> None:
        """Make it stand as in frame ``t``."""
        self.set(poses.root_pos[t], poses.root_quat[t], poses.hinges[t])

    def jacobians(self, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of the links' positions and rotations (15, 2, 3, nv), and of the centre of mass (3, nv).

        Args:
            turn: (3,) the rotation vector that the root is turned by from where it started, by
                which the Jacobians' columns 3 to 5 are taken.
        """
        for jac, body in zip(self._jac, self.bodies, strict=True):
            mujoco.mj_jacBody(self.model, self.data, jac[0], jac[1], body)
        mujoco.mj_jacSubtreeCom(self.model, self.data, self._jac_com, 1)
        right = _right_jacobian(turn)
        jac, com = self._jac.copy(), self._jac_com.copy()
        jac[..., 3:6] = jac[..., 3:6] @ right
        com[:, 3:6] = com[:, 3:6] @ right
        return jac, com

    def link_pos(self) -> np.ndarray:
        """(15, 3) metres, world."""
        return np.asarray(self.data.xpos[self.bodies])

    def link_matrix(self) -> np.ndarray:
        """(15, 3, 3) rotation matrices, body to world."""
        return np.asarray(self.data.xmat[self.bodies].reshape(-1, 3, 3))

    def centre_of_mass(self) -> np.ndarray:
        """(3,) metres, world, of the whole character as it stands."""
        return np.array(self.data.subtree_com[1])

    def touching_points(self, effector: int) -> np.ndarray:
        """World positions (n, 3) of an end effector's points; their balls reach lower still."""
        body = self.bodies[self.effectors[effector]]
        turned = self.points[effector] @ self.data.xmat[body].reshape(3, 3).T
        return np.asarray(self.data.xpos[body] + turned)

    def lowest(self) -> float:
        """Height in metres of the lowest point of all geoms that can touch the ground."""
        data = self.data
        return float(self.shapes.bottom_of_frames(data.geom_xpos[None], data.geom_xmat[None]).min())

    def qpos(self, poses: Poses) -> np.ndarray:
        """MuJoCo's coordinates (T, 7 + H), the root's quaternion without jumps of sign."""
        quat = quat_continuous(poses.root_quat)
        return np.concatenate((poses.root_pos, quat, poses.hinges), axis=1)


def _right_jacobian(v: np.ndarray) -> np.ndarray:
    """(3, 3): body-frame angular velocity per rate of change of the rotation vector v (3,)."""
    angle = float(np.linalg.norm(v))
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    if angle < 1e-4:
        return np.eye(3) - 0.5 * cross
    a = (1 - np.cos(angle)) / angle**2
    b = (angle - np.sin(angle)) / angle**3
    return np.eye(3) - a * cross + b * cross @ cross
