"""Pictures that are shown again for want of new ones: 12 a second that are coded as 30."""

from __future__ import annotations

import av
import numpy as np

SIDE = 160  # pixels of the width at which pictures are compared
NEAR = 6  # pictures to either side among which there must be motion: of 10 a second shown as 60
MIN_MOTION = 0.3  # grey levels, mean over the picture
# Repeats change by this share of the motion before and after at most: where few do, as few pictures
# as these may. Without repeats a few pictures change by as little (a light that flickers around
# them); 25 pictures as 30 repeat one in six.
FEW, MIN_SHARE = 0.1, 0.12
# At a low quality what is coded again may differ by more; the others must come at a steady rate
MORE, MIN_REGULAR_SHARE = 0.4, 0.15
MIN_REGULAR = 8  # pictures that can tell
MAX_DRIFT = 1.2  # pictures, of those that come at a steady rate, rounded to the coded one


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
        # means, so that the smallest motion shows
        small = picture.reformat(width=SIDE, height=height, format="gray", interpolation="AREA")
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
    share = np.ones(len(change))
    for t in range(2, len(change) - 1):
        before, after = change[max(t - NEAR, 1) : t], change[t + 1 : t + 1 + NEAR]
        motion = min(before.max(), after.max())
        if motion >= MIN_MOTION:
            share[t] = change[t] / motion
    clear, likely = share < FEW, share < MORE
    if likely.mean() >= MIN_REGULAR_SHARE and _regular(np.flatnonzero(~likely)):
        repeats, most = likely, MORE
    elif clear.mean() >= MIN_SHARE:
        repeats, most = clear, FEW
    else:
        return np.zeros(len(change), bool)
    # the ends, where there is motion on one side only, follow the rest
    typical = float(np.median(change[1:][~repeats[1:]]))
    at = np.arange(len(change))
    ends = (at < NEAR) | (at >= len(change) - NEAR)
    return np.asarray(repeats | (ends & (at > 0) & (change < most * typical)))


def _regular(kept: np.ndarray) -> bool:
    """Whether pictures (K,) of a file come at a steady rate, ends apart."""
    inner = kept[1:-1]
    if len(inner) < MIN_REGULAR:
        return False
    line = np.polyval(np.polyfit(np.arange(len(inner)), inner, 1), np.arange(len(inner)))
    return bool(np.abs(inner - line).max() < MAX_DRIFT)
