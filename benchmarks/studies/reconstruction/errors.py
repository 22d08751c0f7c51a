"""Errors of joints against the truth."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from sfv_gym.skeleton import LINKS

_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
TRUTH_JOINTS = tuple(f"{side}_{part}" for part in _PARTS for side in ("l", "r"))
LINK_COLUMNS = [LINKS.index(f"{side}_{p}") for p in _PARTS for side in ("left", "right")]
ORIENTED_LINKS = [LINKS.index(name) for name in ("root", "chest", "neck")]
"""Those whose orientations a truth may know."""
_HIPS, _ANKLES = slice(6, 8), slice(10, 12)
SEGMENT = 100
"""Frames over which errors in the world are measured at once, as in WHAM and GVHMR."""
VIEWED = 6
"""Instants of a clip that are drawn."""
BONES = np.array(
    ((0, 2), (2, 4), (1, 3), (3, 5), (6, 8), (8, 10), (7, 9), (9, 11), (0, 1), (6, 7), (0, 6),
     (1, 7))
)  # fmt: skip
"""Pairs of TRUTH_JOINTS."""
RAW, FULL, TRUTH = "raw MediaPipe", "full", "truth"
Row = dict[str, float]
"""Errors by the names of ``joint_errors``, and ``mpjae_deg``; NaN, or not there, where one says
nothing."""
OF_PATHS = ("clip_mm", "wa_mm", "w_mm", "skate_mm")
"""What hip-centred joints, which have no path, say nothing of."""
Views = dict[str, list[list[list[float]]]]
"""Joints (VIEWED, 12, 3) of raw, full and the truth."""


def aligned(source: np.ndarray, target: np.ndarray, by: slice = slice(None)) -> np.ndarray:
    """``source`` (T, J, 3) moved, turned and scaled by the one similarity that brings its frames
    ``by`` nearest to ``target``'s (Umeyama 1991)."""
    a, b = source[by].reshape(-1, 3), target[by].reshape(-1, 3)
    turn = _turn(a - a.mean(0), b - b.mean(0))
    return np.asarray((source - a.mean(0)) @ turn + b.mean(0))


def joint_errors(
    joints: np.ndarray, truth: np.ndarray, fps: float, planted: np.ndarray | None = None
) -> Row:
    """Errors of 12 limb joints (T, 12, 3) against the truth (T, 12, 3).

    ``e`` is the mean over frames and joints of ``|p - q|``, q the truth, in millimetres.

    Returns:
        pa_mm: PA-MPJPE, e after one similarity a frame (Procrustes; Kanazawa et al., HMR, 2018).
        root_mm: e, hip-centred, after one rotation and scale a clip.
        clip_mm: e after one similarity a clip, the path included.
        wa_mm, w_mm: WA-MPJPE and W-MPJPE, e in segments of SEGMENT frames after one similarity for
            each, found from all of its frames or from its first two (Ye et al., SLAHMR, 2023; Shin
            et al., WHAM, 2024; Shen et al., GVHMR, 2024). The last segment may be shorter.
        mpjve_mms: MPJVE, mean of ``|dp - dq| fps``, d between successive frames, as for root_mm
            (Pavllo et al., VideoPose3D, 2019, who leave fps out).
        accel_ms2: mean of ``|ddp - ddq| fps^2`` after one rotation and scale, the path included
            (Kanazawa et al., HMMR, 2019).
        jitter: mean of ``|dddp| fps^3`` in units of 10 m/s^3, of the joints as they are (Yi et al.,
            TransPose, 2021; in WHAM's unit). It grows with the frame rate where it is noise.
        skate_mm: the ankles' drift per frame where ``planted`` (T, 2).
    """
    centred, goal = _centred(joints), _centred(truth)
    centred = centred @ _turn(centred, goal)
    steps = np.diff(centred - goal, axis=0) * fps
    jolt = np.diff(joints @ _turn(_centred(joints), goal) - truth, n=2, axis=0) * fps**2
    frames = [aligned(p[None], q[None]) for p, q in zip(joints, truth, strict=True)]
    return {
        "pa_mm": 1e3 * _distance(np.concatenate(frames), truth),
        "root_mm": 1e3 * _distance(centred, goal),
        "clip_mm": 1e3 * _distance(aligned(joints, truth), truth),
        "wa_mm": 1e3 * _distance(_in_segments(joints, truth, slice(None)), truth),
        "w_mm": 1e3 * _distance(_in_segments(joints, truth, slice(2)), truth),
        "mpjve_mms": 1e3 * _length(steps),
        "accel_ms2": _length(jolt),
        "jitter": jitter(joints, fps),
        "skate_mm": _skate(joints, planted),
    }


def jitter(joints: np.ndarray, fps: float) -> float:
    """Mean size of the third derivative of joints (T, J, 3), in units of 10 m/s^3."""
    return _length(np.diff(joints, n=3, axis=0)) * fps**3 / 10.0


def mpjae_deg(
    turns: np.ndarray, truth_turns: np.ndarray, joints: np.ndarray, truth: np.ndarray
) -> float:
    """MPJAE: the mean angle between orientations (T, L, 3, 3) and the truth's, in degrees.

    Both are of links in their worlds (Kaufmann et al., EMDB, 2023), which the rotation that brings
    the joints (T, 12, 3) nearest to the truth's makes one.
    """
    a, b = joints.reshape(-1, 3), truth.reshape(-1, 3)
    turn = _turn(a - a.mean(0), b - b.mean(0))
    onto = (turn / np.cbrt(np.linalg.det(turn))).T
    between = np.swapaxes(truth_turns, -1, -2) @ onto @ turns
    angles = Rotation.from_matrix(between.reshape(-1, 3, 3)).magnitude()
    return float(np.degrees(angles.mean()))


def _in_segments(joints: np.ndarray, truth: np.ndarray, by: slice) -> np.ndarray:
    starts = range(0, len(truth), SEGMENT)
    parts = ((joints[i : i + SEGMENT], truth[i : i + SEGMENT]) for i in starts)
    return np.concatenate([aligned(p, q, by) for p, q in parts])


def _skate(joints: np.ndarray, planted: np.ndarray | None) -> float:
    both = planted[1:] & planted[:-1] if planted is not None else np.zeros(0, bool)
    if not both.any():
        return float("nan")
    steps = np.linalg.norm(np.diff(joints[:, _ANKLES, :2], axis=0), axis=-1)
    return 1e3 * float(steps[both].mean())


def _centred(joints: np.ndarray) -> np.ndarray:
    """Joints (T, 12, 3) with the middle of the hips at the origin."""
    return np.asarray(joints - joints[:, _HIPS].mean(1, keepdims=True))


def _turn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation with scale (3, 3) by which ``source @ turn`` is nearest to ``target``."""
    u, s, vt = np.linalg.svd(source.reshape(-1, 3).T @ target.reshape(-1, 3))
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return np.asarray((s * flip).sum() / (source**2).sum() * (u * flip) @ vt)


def views(raw: np.ndarray, full: np.ndarray, truth: np.ndarray) -> Views:
    """Some instants of a clip, hip-centred, in metres along the camera's right, down and away.

    Args:
        raw: (T, 12, 3) in the camera's frame, NaN where nobody was seen. full, truth: in a world.

    Returns:
        (VIEWED, 12, 3) lists for raw, full and the truth, the first two turned and scaled onto the
        truth as for the root-relative error.
    """
    seen = np.flatnonzero(np.isfinite(raw).all((1, 2)))
    at = seen[np.linspace(0, len(seen) - 1, VIEWED).round().astype(int)]
    goal = _centred(truth)
    turn = _turn(_centred(raw[seen]), goal[seen])
    scale = np.linalg.det(turn) ** (1 / 3)
    to_camera = (turn / scale).T
    found = {
        RAW: _centred(raw[at]) * scale,
        FULL: _centred(full)[at] @ _turn(_centred(full), goal) @ to_camera,
        TRUTH: goal[at] @ to_camera,
    }
    return {name: joints.round(3).tolist() for name, joints in found.items()}


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return _length(a - b)


def _length(vectors: np.ndarray) -> float:
    return float(np.linalg.norm(vectors, axis=-1).mean())
