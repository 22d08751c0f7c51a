"""A first guess of every frame in closed form, from the 3D landmarks alone."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation, Slerp

from sfv_gym import skeleton
from sfv_gym.fitting.canonical_body import DOF_LIMITS, DOFS
from sfv_gym.pose.landmarks import HEAD, foot
from sfv_gym.reconstruction.evidence import Evidence, PoseObservations
from sfv_gym.rotations import quat_continuous

_LIMB_BEND = 0.25
"""A knee or elbow straighter than this (sine) does not say which way its hinge points."""
MAX_TURN = np.radians(1200.0)
"""Radians per second: nobody turns faster, not in a spinning kick or a twisted somersault."""
_LONGEST_GAP = 0.5
"""Seconds that frames in a row may be disbelieved."""


def initial_angles(evidence: PoseObservations) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root rotations (T, 4) wxyz in the world of ``upright``, angles (T, 28) in radians, and the
    frames (T,) bool that are believed. The others are bridged: the pose stage's outliers or
    ``believable`` leaves out."""
    world = evidence.upright

    def at(name: str) -> np.ndarray:
        return np.asarray(world[:, evidence.landmarks.marker(name)])

    hips = 0.5 * (at("left_hip") + at("right_hip"))
    shoulders = 0.5 * (at("left_shoulder") + at("right_shoulder"))
    up = _unit(shoulders - hips)
    root = _upright(up, at("left_hip") - at("right_hip"))
    chest = _upright(up, at("left_shoulder") - at("right_shoulder"))
    head = chest  # where nothing is seen of the head, or of a foot, it is held straight
    if evidence.landmarks.marks(*HEAD):
        nose, left_ear, right_ear = map(at, HEAD)
        head = _facing(nose - 0.5 * (left_ear + right_ear), left_ear - right_ear)
    local = {"chest": _local(root, chest), "neck": _local(chest, head)}
    bends = {}
    for side in ("right", "left"):
        leg = _limb(root, at(f"{side}_hip"), at(f"{side}_knee"), at(f"{side}_ankle"), -1.0)
        local[f"{side}_hip"], bends[f"{side}_knee"] = _local(root, leg[0]), leg[1]
        shoulder, elbow, wrist = (at(f"{side}_{part}") for part in ("shoulder", "elbow", "wrist"))
        arm = _limb(chest, shoulder, elbow, wrist, 1.0)
        local[f"{side}_shoulder"], bends[f"{side}_elbow"] = _local(chest, arm[0]), -arm[1]
        shin = leg[0] @ _about_y(leg[1])
        sole = shin
        if evidence.landmarks.marks(*foot(side)):
            heel, toes = map(at, foot(side))
            sole = _facing(toes - heel, shin[:, :, 1])
        local[f"{side}_ankle"] = _local(shin, sole)

    angles = np.zeros((evidence.frames, len(DOFS)))
    vectors = {
        name: _rotvec(matrix, np.array(skeleton.ROTATION_LIMITS[name]))
        for name, matrix in local.items()
    }
    for k, (link, axis) in enumerate(DOFS):
        name = skeleton.LINKS[link]
        angles[:, k] = vectors[name][:, axis] if name in vectors else bends[name]
    margin = 0.02 * (DOF_LIMITS[:, 1] - DOF_LIMITS[:, 0])
    angles = np.clip(angles, DOF_LIMITS[:, 0] + margin, DOF_LIMITS[:, 1] - margin)
    rotations = Rotation.from_matrix(root)
    believed = believable(rotations, evidence.detected & ~evidence.outliers, evidence.fps)
    frames, known = np.arange(evidence.frames), np.flatnonzero(believed)
    inside = np.clip(frames, known[0], known[-1])
    rotations = Slerp(known, rotations[known])(inside) if len(known) > 1 else rotations
    angles = np.stack([np.interp(frames, known, column[known]) for column in angles.T], axis=1)
    angles = gaussian_filter1d(angles, 0.03 * evidence.fps, axis=0)
    quat = quat_continuous(np.roll(rotations.as_quat(), 1, axis=-1))
    quat = gaussian_filter1d(quat, 0.02 * evidence.fps, axis=0)
    return quat / np.linalg.norm(quat, axis=1, keepdims=True), angles, believed


def believable(rotations: Rotation, detected: np.ndarray, fps: float) -> np.ndarray:
    """The largest set of frames (T,) bool between which nobody would have to turn too fast.

    Seen from behind or in a fast spin, a landmark network now and then takes left for right for
    a few frames, and the whole body seems to turn about. Frames that were not ``detected`` (T,)
    have no say.
    """
    frames = len(rotations)
    reach = max(1, round(_LONGEST_GAP * fps))
    count, before = np.where(detected, 1.0, 0.0), np.full(frames, -1)
    known = np.flatnonzero(detected)
    for k, t in enumerate(known.tolist()):
        good = known[:k][known[:k] >= t - reach]
        if len(good):
            turn = (rotations[good].inv() * rotations[t]).magnitude()
            # whoever is upside down after a gap was taken for it, as far as anyone can tell
            good = good[turn <= np.minimum(MAX_TURN * (t - good) / fps, 0.75 * np.pi)]
        elif k:  # after a hole so long that nothing speaks against any turn
            good = known[:k][known[:k] >= known[k - 1] - reach]
        if len(good):
            # of equally long chains, the one with the nearest frame
            best = good[len(good) - 1 - np.argmax(count[good][::-1])]
            count[t], before[t] = count[best] + 1, best
    believed = np.zeros(frames, bool)
    t = int(np.argmax(count))
    while t >= 0:
        believed[t] = True
        t = int(before[t])
    return believed


def initial_path(evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """The root's rays (T, 2) and depths (T,) in metres, by weak perspective.

    The spread of the 3D landmarks across the view against that of the 2D ones gives the depth.
    """
    flat = (evidence.pixels.numpy() - evidence.centre) / evidence.focal
    depth = gaussian_filter1d(evidence.focal / evidence.scale, 0.15 * evidence.fps)
    left, right = (evidence.landmarks.marker(f"{side}_hip") for side in ("left", "right"))
    rays = 0.5 * (flat[:, left] + flat[:, right])
    return rays, depth


def _unit(v: np.ndarray) -> np.ndarray:
    return np.asarray(v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-9))


def _facing(forward: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Rotation matrices (T, 3, 3) with x along ``forward`` and y near ``left``."""
    x = _unit(forward)
    y = _unit(left - (left * x).sum(-1, keepdims=True) * x)
    return np.stack((x, y, np.cross(x, y)), axis=-1)


def _upright(up: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Rotation matrices (T, 3, 3) with z along ``up`` and y near ``left``."""
    z = _unit(up)
    y = _unit(left - (left * z).sum(-1, keepdims=True) * z)
    return np.stack((np.cross(y, z), y, z), axis=-1)


def _local(parent: np.ndarray, child: np.ndarray) -> np.ndarray:
    return np.swapaxes(parent, -1, -2) @ child


def _limb(
    parent: np.ndarray, a: np.ndarray, b: np.ndarray, c: np.ndarray, sign: float
) -> tuple[np.ndarray, np.ndarray]:
    """The upper link's frame (T, 3, 3) and the hinge's bend (T,) >= 0 of a limb a-b-c.

    ``sign`` is +1 where the lower link swings forward (elbow) and -1 where backward (knee).
    """
    upper, lower = _unit(b - a), _unit(c - b)
    across = lower - (lower * upper).sum(-1, keepdims=True) * upper
    sine = np.linalg.norm(across, axis=-1, keepdims=True)
    neutral = parent[:, :, 0] - (parent[:, :, 0] * upper).sum(-1, keepdims=True) * upper
    # A limb nearly stretched takes its parent's forward direction, blended by how bent it is.
    share = np.clip(sine / _LIMB_BEND, 0, 1)
    x = sign * across / np.maximum(sine, 1e-9) * share + (1 - share) * neutral
    z = -upper
    y = _unit(np.cross(z, x))
    bend = np.arctan2(sine[:, 0], (lower * upper).sum(-1))
    return np.stack((np.cross(y, z), y, z), axis=-1), bend


def _about_y(angle: np.ndarray) -> np.ndarray:
    return np.asarray(Rotation.from_euler("y", angle[:, None]).as_matrix())


def _rotvec(matrix: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Rotation vectors (T, 3) of rotations (T, 3, 3), within a joint's limits where they can be.

    A rotation has two vectors of less than a whole turn, opposite to each other. An arm overhead is
    half a turn, where they are equally long: the longer one may be what the joint does. Of all
    sequences of choices, the one is taken that breaks the limits least and jumps least.

    Args:
        limits: (3, 2) radians.
    """
    short = Rotation.from_matrix(matrix).as_rotvec()
    angle = np.maximum(np.linalg.norm(short, axis=1, keepdims=True), 1e-9)
    both = np.stack((short, short * (1 - 2 * np.pi / angle)), axis=1)  # (T, 2, 3)
    broken = np.maximum(both - limits[:, 1], 0) + np.maximum(limits[:, 0] - both, 0)
    cost = (broken**2).sum(-1)
    before = np.zeros((len(both), 2), int)
    for t in range(1, len(both)):
        jump = ((both[t, :, None] - both[t - 1, None]) ** 2).sum(-1)  # (now, before)
        total = cost[t - 1] + jump
        before[t] = total.argmin(1)
        cost[t] += total.min(1)
    choice = np.zeros(len(both), int)
    choice[-1] = cost[-1].argmin()
    for t in range(len(both) - 1, 0, -1):
        choice[t - 1] = before[t, choice[t]]
    return np.asarray(both[np.arange(len(both)), choice])
