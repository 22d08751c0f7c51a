"""Errors of joints against the truth."""

from __future__ import annotations

import numpy as np

from sfv_gym.skeleton import LINKS

_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
TRUTH_JOINTS = tuple(f"{side}_{part}" for part in _PARTS for side in ("l", "r"))
LINK_COLUMNS = [LINKS.index(f"{side}_{p}") for p in _PARTS for side in ("left", "right")]
_HIPS, _ANKLES = slice(6, 8), slice(10, 12)
VIEWED = 6
"""Instants of a clip that are drawn."""
BONES = np.array(
    ((0, 2), (2, 4), (1, 3), (3, 5), (6, 8), (8, 10), (7, 9), (9, 11), (0, 1), (6, 7), (0, 6),
     (1, 7))
)  # fmt: skip
"""Pairs of TRUTH_JOINTS."""
RAW, FULL, TRUTH = "raw MediaPipe", "full", "truth"
Row = dict[str, float]
"""Errors by the names of ``joint_errors``; NaN where one says nothing."""
Views = dict[str, list[list[list[float]]]]
"""Joints (VIEWED, 12, 3) of raw, full and the truth."""


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``source`` (N, 3) moved, turned and scaled onto ``target`` (N, 3) (Umeyama)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (s * flip).sum() / (a**2).sum()
    return np.asarray(scale * a @ (u * flip) @ vt + target.mean(0))


def joint_errors(
    joints: np.ndarray, truth: np.ndarray, fps: float, planted: np.ndarray | None = None
) -> Row:
    """Errors of 12 limb joints (T, 12, 3) against the truth (T, 12, 3).

    Returns:
        pa_mm: Procrustes per frame. root_mm: hip-centred, one rotation and scale a clip.
        clip_mm: one similarity a clip, the path included. accel_ms2: of the joints after one
        rotation and scale. skate_mm: the ankles' drift per frame where ``planted`` (T, 2).
    """
    pa = [_distance(similarity(p, q), q) for p, q in zip(joints, truth, strict=True)]
    centred, goal = _centred(joints), _centred(truth)
    turn = _turn(centred, goal)
    whole = similarity(joints.reshape(-1, 3), truth.reshape(-1, 3))
    jolt = np.diff(joints @ turn - truth, n=2, axis=0) * fps**2
    skate = float("nan")
    if planted is not None:
        both = planted[1:] & planted[:-1]
        if both.any():
            steps = np.linalg.norm(np.diff(joints[:, _ANKLES, :2], axis=0), axis=-1)
            skate = 1e3 * float(steps[both].mean())
    return {
        "pa_mm": 1e3 * float(np.mean(pa)),
        "root_mm": 1e3 * _distance(centred @ turn, goal),
        "clip_mm": 1e3 * _distance(whole, truth.reshape(-1, 3)),
        "accel_ms2": float(np.linalg.norm(jolt, axis=-1).mean()),
        "skate_mm": skate,
    }


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
    return float(np.linalg.norm(a - b, axis=-1).mean())
