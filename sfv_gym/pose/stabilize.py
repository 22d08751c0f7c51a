"""A camera that pans after the person: landmarks as a camera at rest would have seen them.

A camera that turns without moving changes directions, not depths: a rotation for each frame,
found from how the background moves, takes every landmark into the view of the clip's middle frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from sfv_gym.errors import PoseError
from sfv_gym.pose.sequence import PoseSequence

MAX_PAN = np.radians(50.0)
"""Beyond it a flat picture plane stretches what it shows too far."""
MIN_FEATURES = 12
MARGIN = 0.25
"""Share of the person's size around them that does not count as background."""
INLIER_PX = 1.5
MAX_LOST = 0.1
"""Share of frames whose background may not be found in the next."""
WORTH_MENTIONING = np.radians(2.0)
"""A camera that turns by less is as good as one at rest."""
_LOOKS_PER_SECOND = 8.0
"""At which a camera that is said to be at rest is looked after."""


def stabilize(
    poses: PoseSequence, frames: Iterable[np.ndarray], focal: float
) -> tuple[PoseSequence, np.ndarray]:
    """The same landmarks in the view of the clip's middle frame.

    Args:
        frames: (H, W, 3) RGB uint8, those that the poses were found in.
        focal: focal length in pixels.

    Raises:
        PoseError: the background cannot be followed, or the camera turns by more than 100 degrees.

    Returns:
        the landmarks in that view, and the rotation vectors (T, 3) from each frame's camera to the
        middle frame's.
    """
    centre = np.array([0.5 * poses.width, 0.5 * poses.height])
    to_first, lost = _rotations(poses, enumerate(frames), focal, centre)
    if lost > MAX_LOST * len(to_first):
        raise PoseError(
            f"the background could not be followed in {lost} of {len(to_first)} frames; if the "
            "camera is at rest, do without --camera moving"
        )
    to_middle = to_first[len(to_first) // 2].T @ to_first
    ahead = to_middle[:, :, 2]
    widest = float(np.arccos(np.clip(ahead[:, 2], -1.0, 1.0)).max())
    if widest > MAX_PAN:
        raise PoseError(
            f"the camera turns by {np.degrees(widest):.0f} degrees from the clip's middle; the "
            f"most that can be compensated is {np.degrees(MAX_PAN):.0f}: choose a shorter range"
        )
    rays = np.concatenate(
        ((poses.landmarks_2d - centre) / focal, np.ones((*poses.landmarks_2d.shape[:2], 1))), -1
    )
    rays = np.einsum("tij,tmj->tmi", to_middle, rays)
    notes = [*poses.source.get("notes", []), f"camera turned by {np.degrees(widest):.0f} degrees"]
    still = replace(
        poses,
        landmarks_2d=centre + focal * rays[..., :2] / rays[..., 2:],
        source={**poses.source, "camera": "moving", "notes": notes},
    )
    return still, Rotation.from_matrix(to_middle).as_rotvec()


def camera_turn(poses: PoseSequence, frames: Iterable[np.ndarray], focal: float) -> float:
    """By how much the camera turns from the first frame at most, in radians; 0 if there is too
    little background to tell. A quick look at a few frames a second."""
    centre = np.array([0.5 * poses.width, 0.5 * poses.height])
    every = max(1, round(poses.fps / _LOOKS_PER_SECOND))
    some = ((t, frame) for t, frame in enumerate(frames) if t % every == 0)
    rotations, lost = _rotations(poses, some, focal, centre)
    if lost > MAX_LOST * len(rotations):
        return 0.0
    return float(Rotation.from_matrix(rotations).magnitude().max())


def _rotations(
    poses: PoseSequence,
    frames: Iterable[tuple[int, np.ndarray]],
    focal: float,
    centre: np.ndarray,
) -> tuple[np.ndarray, int]:
    """Rotations (N, 3, 3) from the camera of each of these frames to the first one's, and in how
    many the background could not be followed: they count as not turned."""
    out = [np.eye(3)]
    before: tuple[int, np.ndarray] | None = None
    lost = 0
    for t, frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if before is not None:
            turn = _turn(before[1], grey, _background(poses, before[0]), focal, centre)
            if turn is None:
                lost += 1
                turn = np.eye(3)
            out.append(out[-1] @ turn)
        before = (t, grey)
    return np.array(out), lost


def _background(poses: PoseSequence, t: int) -> np.ndarray:
    """Mask (H, W) uint8 of what is away from the person; all of it where nobody was found."""
    mask = np.full((poses.height, poses.width), 255, np.uint8)
    if poses.detected[t]:
        low, high = poses.landmarks_2d[t].min(0), poses.landmarks_2d[t].max(0)
        margin = MARGIN * float((high - low).max())
        left, top = np.maximum(low - margin, 0).astype(int)
        right, bottom = np.maximum(high + margin, 0).astype(int)
        mask[top:bottom, left:right] = 0
    return mask


def _turn(
    before: np.ndarray, after: np.ndarray, mask: np.ndarray, focal: float, centre: np.ndarray
) -> np.ndarray | None:
    """The rotation (3, 3) from the later camera to the earlier one; None if too little is seen."""
    corners = cv2.goodFeaturesToTrack(before, 400, 0.01, 8, mask=mask)
    if corners is None or len(corners) < MIN_FEATURES:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, corners.copy())
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, moved, moved.copy())
    error = np.linalg.norm((back - corners)[:, 0], axis=1)
    good = (found[:, 0] == 1) & (found_back[:, 0] == 1) & (error < 1.0)
    if good.sum() < MIN_FEATURES:
        return None
    first, second = (_rays(p[good, 0] + 0.5, focal, centre) for p in (corners, moved))
    weight = np.ones(len(first))
    turn = np.eye(3)
    for _ in range(8):  # reweighted: what moves by itself, such as a shadow, drops out
        u, _, vt = np.linalg.svd((weight[:, None] * first).T @ second)
        turn = u @ np.diag([1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        apart = np.linalg.norm(first - second @ turn.T, axis=1) * focal / INLIER_PX
        weight = 1.0 / np.square(1.0 + np.square(apart))
    if (apart < 1.0).sum() < MIN_FEATURES:
        return None
    return np.asarray(turn)


def _rays(points: np.ndarray, focal: float, centre: np.ndarray) -> np.ndarray:
    """Unit vectors (N, 3) of pixels (N, 2)."""
    rays = np.concatenate(((points - centre) / focal, np.ones((len(points), 1))), axis=1)
    return np.asarray(rays / np.linalg.norm(rays, axis=1, keepdims=True))
