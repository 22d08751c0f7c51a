"""Joints of one person in space, over time: what motion capture gives, with no camera."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sfv_gym.errors import PoseFileError
from sfv_gym.pose.files.names import columns_of
from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.layouts import joint_centres

UNITS: dict[str, float] = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
"""Metres in each."""
GUESSED_UNITS = ("m", "cm", "mm")
LEG = (0.5, 1.3)
"""Metres from hip to ankle, of whoever a unit is guessed by: a child of eight to a giant."""
AXES: dict[str, np.ndarray] = {
    "x": np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], float),
    "-x": np.array([[0, -1, 0], [0, 0, 1], [-1, 0, 0]], float),
    "y": np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], float),
    "-y": np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float),
    "z": np.eye(3),
    "-z": np.diag([1.0, -1.0, -1.0]),
}
"""(3, 3) rotation into our world, z up, of a world in which this axis is up."""
UPRIGHT, CLEARLY = 0.3, 1.5
"""Mean component of the trunk along the axis that is taken for up, at least, and how many times as
large it is as along any other."""
MOST_FPS = 60.0
"""Frames per second that are kept, as of a video."""


@dataclass(frozen=True)
class JointSequence:
    """Positions of a person's joints.

    Attributes:
        landmarks: the K that were measured, see ``layouts.joint_centres``.
        positions: (T, K, 3) metres, z up, NaN where one was not measured.
        fps: frames per second.
        source: file, kind, unit and axis, for a motion's provenance.
    """

    landmarks: LandmarkSet
    positions: np.ndarray
    fps: float
    source: dict[str, Any] = field(default_factory=dict)

    def between(self, start: float | None, end: float | None) -> JointSequence:
        """The frames from second ``start`` to second ``end``.

        Raises:
            PoseFileError: there are none.
        """
        first = 0 if start is None else round(start * self.fps)
        last = len(self.positions) if end is None else round(end * self.fps)
        kept = self.positions[max(first, 0) : max(last, 0)]
        if first < 0 or len(kept) == 0:
            seconds = len(self.positions) / self.fps
            raise PoseFileError(f"no frames in that range: the file has {seconds:.2f} s")
        return replace(self, positions=kept)

    def at_most(self, fps: float) -> JointSequence:
        """The same with every second, third, ... frame, so that there are no more a second."""
        step = int(np.ceil(self.fps / fps - 0.02))
        if step < 2:
            return self
        return replace(self, positions=self.positions[::step], fps=self.fps / step)


def in_our_world(
    names: Sequence[str],
    positions: np.ndarray,
    fps: float,
    *,
    unit: str = "auto",
    up: str = "auto",
    otherwise: str | None = None,
    source: dict[str, Any] | None = None,
) -> JointSequence:
    """The joints that we know, in metres and z up.

    Args:
        names: (J,) as the file has them. positions: (T, J, 3), NaN where there is none.
        unit: ``m``, ``cm``, ``mm``, ``in``, metres as a number, or ``auto`` for the one of m, cm
            and mm in which the legs have a person's length.
        up: the axis, such as ``y`` or ``-y``; or ``auto`` for the one that the trunk points along.
        otherwise: the axis where the trunk does not say.

    Raises:
        PoseFileError: a joint is missing, nothing is finite, or unit or axis are unclear.
    """
    columns = columns_of(names)
    landmarks = joint_centres(columns)
    places = np.asarray(positions, float)[:, list(columns.values())]
    if not np.isfinite(fps) or fps <= 0:
        raise PoseFileError(f"frames per second must be positive, they are {fps}")
    if not np.isfinite(places).any():
        raise PoseFileError("none of its positions is a finite number")
    at = {name: places[:, i] for i, name in enumerate(columns)}
    metres, unit_said = _unit(at, unit)
    axis = _axis(at, otherwise) if up == "auto" else up
    if axis not in AXES:
        raise PoseFileError(f"up must be auto or one of {', '.join(AXES)}, not {up!r}")
    facts = {**(source or {}), "unit": unit_said, "up": axis, "fps": fps}
    return JointSequence(landmarks, metres * places @ AXES[axis].T, fps, facts)


def _unit(at: dict[str, np.ndarray], unit: str) -> tuple[float, str]:
    if unit in UNITS:
        return UNITS[unit], unit
    if unit != "auto":
        try:
            metres = float(unit)
        except ValueError:
            metres = np.nan
        if not (np.isfinite(metres) and metres > 0):
            raise PoseFileError(
                f"unit must be auto, {', '.join(UNITS)}, or metres such as 0.0564, not {unit!r}"
            )
        return metres, unit
    bones = [
        np.nanmedian(np.linalg.norm(at[f"{side}_{a}"] - at[f"{side}_{b}"], axis=-1))
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    leg = 0.5 * float(sum(bones))
    for name in GUESSED_UNITS:
        if LEG[0] <= leg * UNITS[name] <= LEG[1]:
            return UNITS[name], name
    raise PoseFileError(
        f"its legs are {leg:.4g} long, which is a person's in neither m, cm nor mm: say what it is "
        "in with --unit, such as in, or metres such as 0.0564"
    )


def _axis(at: dict[str, np.ndarray], otherwise: str | None) -> str:
    trunk = sum(at[f"{side}_shoulder"] - at[f"{side}_hip"] for side in ("left", "right"))
    trunk = np.asarray(trunk) / np.linalg.norm(trunk, axis=-1, keepdims=True)
    mean = np.nanmean(trunk, axis=0)
    best = int(np.abs(mean).argmax())
    second = np.sort(np.abs(mean))[1]
    if abs(mean[best]) >= max(UPRIGHT, CLEARLY * second):
        return ("-" if mean[best] < 0 else "") + "xyz"[best]
    if otherwise is None:
        raise PoseFileError("nobody stands upright in it: say which axis is up with --up y or z")
    return otherwise
