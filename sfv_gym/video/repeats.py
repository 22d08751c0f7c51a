"""Pictures that are shown again for want of new ones: 12 a second that are coded as 30."""

from __future__ import annotations

import av
import numpy as np

SIDE = 160  # pixels of the width at which pictures are compared
NEAR = 6  # pictures to either side among which there must be motion: of 10 a second shown as 60
# Of the motion before and after. In 35 clips without repeats at most 8 % of the pictures change so
# little (a light that flickers around them); in one of 12 pictures as 30, 57 % do.
MAX_CHANGE = 0.1
MIN_MOTION = 0.3  # grey levels, mean over the picture
MIN_SHARE = 0.12  # 25 pictures as 30 repeat one in six


class Repeats:
    """Compares each picture with the one before.

    What a sensor takes twice differs by its noise, even where nothing moves; a picture that is
    coded again differs by next to nothing.
    """

    def __init__(self) -> None:
        self._change = [np.inf]
        self._before: np.ndarray | None = None

    def add(self, picture: av.VideoFrame) -> None:
        """Look at the next picture."""
        height = max(1, round(SIDE * picture.height / picture.width))
        # single pixels: a mean over several would hide the noise
        small = picture.reformat(width=SIDE, height=height, format="gray", interpolation="POINT")
        now = small.to_ndarray().astype(np.int16)
        if self._before is not None:
            same = self._before.shape == now.shape
            self._change.append(float(np.abs(now - self._before).mean()) if same else np.inf)
        self._before = now

    def found(self) -> np.ndarray:
        """Which of the pictures repeat the one before, (N,) bool; none if they are few."""
        return repeated_pictures(np.array(self._change))


def repeated_pictures(change: np.ndarray) -> np.ndarray:
    """Which pictures repeat the one before (N,), by their change from it (N,) in grey levels.

    Only what stands still between motions counts: a person who stands still is no repeat.
    """
    repeats = np.zeros(len(change), bool)
    for t in range(2, len(change) - 1):
        before, after = change[max(t - NEAR, 1) : t], change[t + 1 : t + 1 + NEAR]
        motion = min(before.max(), after.max())
        repeats[t] = motion >= MIN_MOTION and change[t] < MAX_CHANGE * motion
    # the ends, where there is motion on one side only, follow the rest
    if repeats.sum() < MIN_SHARE * len(repeats):
        return np.zeros(len(change), bool)
    moving = change[1:][~repeats[1:]]
    typical = float(np.median(moving[np.isfinite(moving)]))
    repeats[1:] |= (change[1:] < MAX_CHANGE * typical) & _at_an_end(len(change) - 1)
    return repeats


def _at_an_end(count: int) -> np.ndarray:
    at = np.arange(count)
    return (at < NEAR) | (at >= count - NEAR)
