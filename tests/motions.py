"""Small exact motions that the tests are made with."""

from dataclasses import replace

import numpy as np

from sfv_gym import skeleton
from sfv_gym.motion import ReferenceMotion
from sfv_gym.rotations import quat_multiply, quat_rotate, rotvec_to_quat


def swing(frames: int = 61, fps: float = 30.0, period: int | None = None) -> ReferenceMotion:
    """Arms and legs swing as sines while the root moves along x; wraps when given a period."""
    t = np.arange(frames) / fps
    rotvec = np.zeros((frames, len(skeleton.LINKS), 3))
    cycle = (period or frames - 1) / fps
    wave = np.sin(2 * np.pi * t / cycle)
    for side, sign in (("right", 1.0), ("left", -1.0)):
        rotvec[:, skeleton.link_index(f"{side}_hip"), 1] = 0.3 * sign * wave
        rotvec[:, skeleton.link_index(f"{side}_knee"), 1] = 0.3 + 0.2 * sign * wave
        rotvec[:, skeleton.link_index(f"{side}_shoulder"), 1] = -0.4 * sign * wave
        rotvec[:, skeleton.link_index(f"{side}_elbow"), 1] = -0.5
    root = np.stack((0.5 * t, 0 * t, 0.9 + 0 * t), axis=-1)
    loop = {}
    if period:
        loop = {
            "loop": "wrap",
            "loop_range": np.array([0, period]),
            "loop_offset": np.array([0.5 * cycle, 0, 0, 0]),
        }
    return ReferenceMotion(
        fps=fps,
        root_pos=root,
        root_quat=np.tile([1.0, 0, 0, 0], (frames, 1)),
        joint_quat=rotvec_to_quat(rotvec),
        provenance={"source": {"title": "made by the tests"}},
        **loop,
    )


def moved(motion: ReferenceMotion, yaw: float, shift: tuple[float, float]) -> ReferenceMotion:
    """The same motion elsewhere: turned about z through the origin, then moved by ``shift``."""
    turn, move = _about_z(yaw), np.array([*shift, 0.0])
    offset = np.array(motion.loop_offset, float)
    if motion.loop == "wrap":
        # the map of one cycle, seen from there: p -> T(G(T^-1 p)), T being turn and shift
        cycle = _about_z(offset[3])
        offset[:3] = quat_rotate(turn, offset[:3]) + move - quat_rotate(cycle, move)
    return replace(
        motion,
        root_pos=quat_rotate(turn, motion.root_pos) + move,
        root_quat=quat_multiply(turn, motion.root_quat),
        loop_offset=offset,
    )


def _about_z(angle: float) -> np.ndarray:
    return np.array([np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)])
