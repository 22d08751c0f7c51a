"""A camera that pans or zooms: landmarks as a camera at rest would have seen them.

A camera that turns or zooms where it stands changes directions, not depths: a rotation and a focal
length for each frame, found from how the background moves, take every landmark into the view of the
clip's middle frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy.optimize import least_squares
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
STEADY_TURN = np.radians(2.0)
"""A camera that turns by less is as good as one at rest."""
STEADY_ZOOM = 0.15
"""A focal length that changes by less is taken not to: while a camera pans, an error of the focal
length itself looks like a little zoom."""
_LOOKS_PER_SECOND = 8.0
"""At which is looked whether a camera is at rest."""

_Matches = tuple[np.ndarray, np.ndarray] | None
"""Pixels (N, 2) of the same points of the background in a frame and in the next; None: lost."""


@dataclass(frozen=True)
class CameraPath:
    """How a camera turned and zoomed.

    Attributes:
        turns: (T, 3) rotation vectors from each frame's camera to the middle frame's.
        zooms: (T,) each frame's focal length over the middle frame's.
        lost: frames whose background could not be followed; they count as not moved.
    """

    turns: np.ndarray
    zooms: np.ndarray
    lost: int

    @property
    def found(self) -> bool:
        """Whether the background was followed well enough to believe it."""
        return self.lost <= MAX_LOST * len(self.turns)

    @property
    def widest(self) -> float:
        """Radians by which the view's middle turns away from the middle frame's at most."""
        ahead = Rotation.from_rotvec(self.turns).as_matrix()[:, 2, 2]
        return float(np.arccos(np.clip(ahead, -1.0, 1.0)).max())

    @property
    def steady(self) -> bool:
        """Whether it is as good as at rest."""
        turns = Rotation.from_rotvec(self.turns)
        turned = float((turns[0].inv() * turns).magnitude().max())
        return turned <= STEADY_TURN and self.zoomed <= 1.0 + STEADY_ZOOM

    @property
    def zoomed(self) -> float:
        """The longest focal length over the shortest."""
        return float(self.zooms.max() / self.zooms.min())

    def __str__(self) -> str:
        zoom = f" and zoomed by {self.zoomed:.2g}" if self.zoomed > 1.0 + STEADY_ZOOM else ""
        return f"camera turned by {np.degrees(self.widest):.0f} degrees{zoom}"


def follow_camera(
    poses: PoseSequence, frames: Iterable[np.ndarray], focal: float, *, quick: bool = False
) -> CameraPath:
    """How the camera moved, from the background.

    Args:
        poses: of the person, who does not count as background.
        frames: (H, W, 3) RGB uint8, those that the poses were found in.
        focal: focal length in pixels, of the middle frame.
        quick: look at a few frames a second alone; the path has those then.
    """
    every = max(1, round(poses.fps / _LOOKS_PER_SECOND)) if quick else 1
    some = ((t, frame) for t, frame in enumerate(frames) if t % every == 0)
    matches = list(_matches(poses, some))
    centre = np.array([0.5 * poses.width, 0.5 * poses.height])
    rotations, zooms, lost = _path(matches, focal, centre)
    middle = len(zooms) // 2
    if zooms.max() / zooms.min() <= 1.0 + STEADY_ZOOM:
        rotations, zooms, lost = _path(matches, focal, centre, zooms=False)
    else:  # the first frame's focal length is another
        rotations, zooms, lost = _path(matches, focal / zooms[middle], centre)
    turns = (rotations[middle].inv() * rotations).as_rotvec()
    return CameraPath(turns, zooms / zooms[middle], lost)


def moves(poses: PoseSequence, frames: Iterable[np.ndarray], focal: float) -> bool:
    """Whether the camera turns or zooms by more than a camera at rest; a quick look, which says no
    where there is too little background to tell. The arguments are those of ``follow_camera``."""
    path = follow_camera(poses, frames, focal, quick=True)
    return path.found and not path.steady


def stabilize(poses: PoseSequence, path: CameraPath, focal: float) -> PoseSequence:
    """The same landmarks in the view of the clip's middle frame.

    Args:
        path: of every frame, see ``follow_camera``.
        focal: of the middle frame, in pixels.

    Raises:
        PoseError: the background could not be followed, or the camera turns by more than 100
            degrees.
    """
    if not path.found:
        raise PoseError(
            f"the background could not be followed in {path.lost} of {len(path.turns)} frames; if "
            "the camera is at rest, say so: --camera static"
        )
    if path.widest > MAX_PAN:
        raise PoseError(
            f"the camera turns by {np.degrees(path.widest):.0f} degrees from the clip's middle; "
            f"{np.degrees(MAX_PAN):.0f} is the most that one flat view can hold: choose a shorter "
            "range"
        )
    centre = np.array([0.5 * poses.width, 0.5 * poses.height])
    rays = _rays(poses.landmarks_2d, focal * path.zooms[:, None, None], centre)
    rays = np.einsum("tij,tmj->tmi", Rotation.from_rotvec(path.turns).as_matrix(), rays)
    return replace(
        poses,
        landmarks_2d=centre + focal * rays[..., :2] / rays[..., 2:],
        source={
            **poses.source,
            "camera": "moving",
            "notes": [*poses.source.get("notes", []), str(path)],
        },
    )


def _path(
    matches: list[_Matches], focal: float, centre: np.ndarray, *, zooms: bool = True
) -> tuple[Rotation, np.ndarray, int]:
    """Rotations of each frame's camera to the first one's, zooms (T,) over the first one's, and in
    how many frames nothing was found.

    Args:
        focal: the first frame's.
        zooms: whether it may change.
    """
    turns, focals, lost = [Rotation.identity()], [1.0], 0
    for pair in matches:
        step = None if pair is None else _step(*pair, focal * focals[-1], centre, zooms=zooms)
        lost += step is None
        turn, zoom = step or (Rotation.identity(), 1.0)
        turns.append(turns[-1] * turn)
        focals.append(focals[-1] * zoom)
    return Rotation.concatenate(turns), np.array(focals), lost


def _matches(poses: PoseSequence, frames: Iterable[tuple[int, np.ndarray]]) -> Iterator[_Matches]:
    """Points of the background that were found in a frame and in the next of ``frames``."""
    before: tuple[int, np.ndarray] | None = None
    for t, frame in frames:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        if before is not None:
            yield _tracked(before[1], grey, _background(poses, before[0]))
        before = (t, grey)


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


def _tracked(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> _Matches:
    """Corners of the one picture, where ``mask`` is set, and their places in the other."""
    corners = cv2.goodFeaturesToTrack(before, 400, 0.01, 8, mask=mask)
    if corners is None or len(corners) < MIN_FEATURES:
        return None
    moved, found, _ = cv2.calcOpticalFlowPyrLK(before, after, corners, corners.copy())
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(after, before, moved, moved.copy())
    error = np.linalg.norm((back - corners)[:, 0], axis=1)
    good = (found[:, 0] == 1) & (found_back[:, 0] == 1) & (error < 1.0)
    if good.sum() < MIN_FEATURES:
        return None
    return corners[good, 0] + 0.5, moved[good, 0] + 0.5


def _step(
    first: np.ndarray, second: np.ndarray, focal: float, centre: np.ndarray, *, zooms: bool
) -> tuple[Rotation, float] | None:
    """The rotation from the later camera to the earlier one, and the later one's focal length over
    ``focal``, the earlier one's; None if too few points move together.

    Args:
        first, second: pixels (N, 2) in the earlier frame and in the later one.
        zooms: whether the focal length may change.
    """

    def apart(step: np.ndarray) -> np.ndarray:
        rays = _rays(second, focal * np.exp(step[3:].sum()), centre)
        rays = rays @ Rotation.from_rotvec(step[:3]).as_matrix().T
        pixels = centre + focal * rays[:, :2] / np.maximum(rays[:, 2:], 1e-3)
        return np.asarray((pixels - first) / INLIER_PX)

    def residuals(step: np.ndarray) -> np.ndarray:
        return apart(step).ravel()

    scales = np.full(4 if zooms else 3, 0.01)
    step = least_squares(residuals, np.zeros(len(scales)), x_scale=scales).x
    # what moves by itself, such as a shadow, drops out
    step = least_squares(residuals, step, x_scale=scales, loss="cauchy").x
    if (np.linalg.norm(apart(step), axis=1) < 1.0).sum() < MIN_FEATURES:
        return None
    return Rotation.from_rotvec(step[:3]), float(np.exp(step[3:].sum()))


def _rays(points: np.ndarray, focal: float | np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Directions (..., 3), 1 deep, of pixels (..., 2)."""
    flat = (points - centre) / focal
    return np.concatenate((flat, np.ones((*flat.shape[:-1], 1))), axis=-1)
