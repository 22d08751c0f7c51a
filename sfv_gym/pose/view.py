"""A closer look at one person: a square of the frame, turned, scaled and maybe mirrored.

MediaPipe's detector looks for faces and upright people; someone who is upside down or lies it
finds only where the picture is turned so that they stand in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from sfv_gym.pose.person import Person

CONTRAST, TILES = 3.0, (8, 8)
"""Of the local equalization: how far it goes, and in how many parts of the view."""


@dataclass(frozen=True)
class View:
    """Where in the frame a square picture is taken from, and how.

    Attributes:
        x, y: its centre, and side: its side, pixels of the frame.
        angle: radians, of the frame's direction that is up in the view, clockwise from up.
        pixels: side of the picture that is made of it.
        mirrored: whether left and right change places in the picture.
        equalized: whether contrast is evened out locally, which brings out people against light,
            and the noise of a picture that is not fine.
    """

    x: float
    y: float
    side: float
    angle: float
    pixels: int
    mirrored: bool = False
    equalized: bool = False

    @property
    def is_fine(self) -> bool:
        """Whether the frame has as many pixels as the view; else there is noise to bring out."""
        return self.side >= self.pixels

    @property
    def _turn(self) -> np.ndarray:
        """(2, 2) from directions in the view to directions in the frame."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([[cos, -sin], [sin, cos]])

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """The view (pixels, pixels, 3) of a frame (H, W, 3); black beyond the frame's edge."""
        turn = self._turn * (self.side / self.pixels)
        # OpenCV's pixels have their middle at whole numbers, ours at halves
        shift = np.array([self.x, self.y]) - turn @ np.full(2, 0.5 * self.pixels - 0.5) - 0.5
        picture = cv2.warpAffine(
            frame,
            np.column_stack((turn, shift)),
            (self.pixels, self.pixels),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        )
        if self.equalized:
            colour = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)
            colour[..., 0] = cv2.createCLAHE(CONTRAST, TILES).apply(colour[..., 0])
            picture = cv2.cvtColor(colour, cv2.COLOR_LAB2RGB)
        return np.ascontiguousarray(picture[:, ::-1]) if self.mirrored else picture

    def in_frame(self, person: Person) -> Person:
        """The person as the whole frame shows them, who was seen in the view's picture."""
        if self.mirrored:
            person = person.mirrored(self.pixels)
        metres = person.landmarks_3d.copy()
        metres[:, :2] = metres[:, :2] @ self._turn.T
        pixels = (person.landmarks_2d - 0.5 * self.pixels) * (self.side / self.pixels)
        return replace(
            person,
            landmarks_2d=np.array([self.x, self.y]) + pixels @ self._turn.T,
            landmarks_3d=metres,
        )
