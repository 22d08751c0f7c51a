"""Where the camera stands: pure geometry, in metres and degrees."""

from __future__ import annotations

import numpy as np

SIDE_VIEW = 90.0
"""Azimuth, degrees: from -y towards +y, so that walking along x goes from left to right."""
ELEVATION = -8.0
DISTANCE = 3.0
LOOK_HEIGHT = 0.92
"""Metres above the ground: half the standing character's height, and some ground."""
MARGIN = 0.94
"""Share of the picture, from its middle, that the character may take up."""
SMOOTHING_SECONDS = 0.3


def camera_axes(azimuth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """World directions (3,) of the picture's right, its up, and of the line of sight."""
    a, e = np.radians(azimuth), np.radians(ELEVATION)
    ahead = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
    right = np.array([np.sin(a), -np.cos(a), 0.0])
    return right, np.cross(right, ahead), ahead


def keep_in_picture(
    centres: np.ndarray,
    radii: np.ndarray,
    lookat: np.ndarray,
    azimuth: float,
    tangents: tuple[float, float],
) -> tuple[np.ndarray, float]:
    """The nearest look-at point (3,) and the distance that show every ball in full.

    Args:
        centres, radii: (G, 3) and (G,) metres.
        tangents: of half the horizontal and the vertical field of view.
    """
    right, up, ahead = camera_axes(azimuth)
    lookat, distance = lookat.copy(), DISTANCE
    for _ in range(3):  # a shift along up also changes the depth, so do it again
        relative = centres - lookat
        nearness = distance / (distance + relative @ ahead)
        need = 0.0
        for axis, tangent in ((right, tangents[0]), (up, tangents[1])):
            offset = relative @ axis
            low, high = ((offset - radii) * nearness).min(), ((offset + radii) * nearness).max()
            half = MARGIN * distance * tangent
            need = max(need, 0.5 * (high - low) / half)
            over, under = max(high - half, 0.0), min(low + half, 0.0)
            lookat += axis * (over + under if over * under == 0 else 0.5 * (low + high))
        distance *= max(need, 1.0)
    return lookat, distance


def camera_path(root_pos: np.ndarray, hz: float, ground: np.ndarray | None = None) -> np.ndarray:
    """Where to look (T, 3) in each of T pictures so that the camera glides, without lagging.

    Args:
        root_pos: (T, 3) metres, the character's root.
        hz: pictures a second.
        ground: (T,) metres, the height of the ground under the root; 0 by default.
    """
    sigma = SMOOTHING_SECONDS * hz
    reach = int(3 * sigma)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
    height = np.zeros(len(root_pos)) if ground is None else ground
    path = np.stack((root_pos[:, 0], root_pos[:, 1], height), axis=-1)
    # Reflecting through the end points keeps a walker in the middle at both ends.
    padded = np.pad(path, ((reach, reach), (0, 0)), mode="reflect", reflect_type="odd")
    smooth = [np.convolve(column, kernel / kernel.sum(), mode="valid") for column in padded.T]
    return np.stack(smooth, axis=-1) + np.array([0.0, 0.0, LOOK_HEIGHT])
