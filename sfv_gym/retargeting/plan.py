"""Where a character's feet, hands and centre of mass should be in the world."""

from __future__ import annotations

import numpy as np

from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.motion import ReferenceMotion
from sfv_gym.retargeting.rig import Poses, Rig
from sfv_gym.retargeting.targets import Targets
from sfv_gym.spans import runs

# Weights of the second pass's residuals, in metres.
_PINNED, _SWINGING = 60.0, 4.0  # hands and feet to their targets
_CENTRE, _FALLING = 8.0, 40.0  # centre of mass to its path, on the ground / in flight


class Plan:
    """Where the character's feet, hands and centre of mass should be in the world.

    Attributes:
        root_pos: (T, 3) metres, a first guess.
        effector_pos, effector_weights: (T, 4, 3) metres and (T, 4), of skeleton.END_EFFECTORS.
        centre, centre_weights: (T, 3) metres and (T, 3), the centre of mass.
    """

    def __init__(self, motion: ReferenceMotion, rig: Rig, targets: Targets, poses: Poses) -> None:
        frames = len(targets)
        centre = np.zeros((frames, 3))
        middle = np.zeros((frames, 4, 3))
        low = np.zeros((frames, 4))
        lowest = np.zeros(frames)
        for t in range(frames):
            rig.place(poses, t)
            centre[t], lowest[t] = rig.centre_of_mass(), rig.lowest()
            for e in range(4):
                points = rig.touching_points(e)
                middle[t, e], low[t, e] = points.mean(0), points[:, 2].min() - rig.radii[e]
        root = np.zeros((frames, 3))
        root[:, :2] = rig.scale * targets.centre[:, :2] - centre[:, :2]
        root[:, 2] = _root_height(rig, targets, low, lowest)
        self.centre = centre + root
        fly(targets, self.centre, rig.scale)
        root = self.centre - centre
        self.root_pos = root

        # hands and feet: planted ones at one place each, the others carried along with them
        middle += root[:, None]
        low += root[:, None, 2]
        self.effector_pos = middle.copy()
        for e in range(4):
            stretches = runs(targets.planted[:, e] >= 0.5)
            if not stretches:
                continue
            places = [
                rig.scale * targets.effector_pos[a : b + 1, e, :2].mean(0) for a, b in stretches
            ]
            if motion.loop == "wrap":
                _join_places(motion, rig.scale, stretches, places)
            known: list[int] = []
            correction: list[np.ndarray] = []
            for (first, last), place in zip(stretches, places, strict=True):
                for t in range(first, last + 1):
                    lift = targets.effector_low[t, e] - low[t, e]
                    known.append(t)
                    correction.append(np.append(place - middle[t, e, :2], lift))
            moved = np.array(correction)
            for k in range(3):
                self.effector_pos[:, e, k] += np.interp(np.arange(frames), known, moved[:, k])
        touched = targets.planted.max(0) >= 0.5  # an effector that never touches hangs free
        self.effector_weights = touched * np.where(targets.planted >= 0.5, _PINNED, _SWINGING)
        self.centre_weights = np.tile([_CENTRE, _CENTRE, 0.5 * _CENTRE], (frames, 1))
        for first, last in targets.flights:
            self.centre_weights[first : last + 1] = _FALLING


def _join_places(
    motion: ReferenceMotion,
    scale: float,
    stretches: list[tuple[int, int]],
    places: list[np.ndarray],
) -> None:
    """A foot that is planted across a cycle's end comes down where it stood at its start."""
    start, end = (int(i) for i in motion.loop_range)
    ends = [
        next((i for i, (a, b) in enumerate(stretches) if a <= frame <= b), None)
        for frame in (start, end)
    ]
    if ends[0] is None or ends[1] is None or ends[0] == ends[1]:
        return
    x, y, _, yaw = motion.loop_offset
    turn = np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    places[ends[1]] = turn @ places[ends[0]] + scale * np.array([x, y])


def _root_height(rig: Rig, targets: Targets, low: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Height of the root (T,) in metres that puts what bears the body onto the ground.

    Args:
        low: (T, 4) lowest point of each end effector, and ``lowest`` (T,) of the whole body, both
            from the root.
    """
    bears = targets.bears
    total = bears.sum(1)
    scaled = rig.scale * targets.root_pos[:, 2]
    held = total > 1e-6
    wanted = (bears * (targets.effector_low - low)).sum(1) / np.maximum(total, 1e-9)
    height = scaled
    if held.any():  # what nothing labelled bears is as much higher or lower as its neighbours
        frames = np.arange(len(low))
        height = scaled + np.interp(frames, frames[held], (wanted - scaled)[held])
    in_air = np.zeros(len(low), bool)
    for first, last in targets.flights:
        in_air[first : last + 1] = True
    free = ~held & ~in_air
    return np.where(free, np.maximum(height, -lowest), height)


def fly(targets: Targets, centre: np.ndarray, scale: float) -> None:
    """Put the centre of mass (T, 3) on parabolas in flight, in place.

    It takes the time that the original takes, however long the legs are. Just before the first
    and after the last frame in the air the ground may still push: that much, the original's
    distance from its own parabola, is kept.
    """
    fps, last_frame = targets.fps, len(centre) - 1
    for first, last in targets.flights:
        t = np.arange(first, last + 1)
        flat = np.polyfit(t, scale * targets.centre[t, :2], 1)
        centre[t, :2] = t[:, None] * flat[0] + flat[1]
        fall = -0.5 * GRAVITY * ((t - first) / fps) ** 2
        slope, level = np.polyfit(t, targets.centre[t, 2] - fall, 1)

        def own(frame: int, slope: float = slope, level: float = level, a: int = first) -> float:
            """Height of the original's parabola."""
            return float(slope * frame + level - 0.5 * GRAVITY * ((frame - a) / fps) ** 2)

        # what has to be added to the original's parabola at either end
        ends = [
            (k, centre[k, 2] - targets.centre[k, 2])
            for k in (first - 1, last + 1)
            if 0 <= k <= last_frame
        ]
        if not ends:
            ends = [(first, (scale - 1) * float(targets.centre[t, 2].mean()))]
        frames, gaps = zip(*ends, strict=True)
        centre[t, 2] = [own(int(k)) for k in t] + np.interp(t, frames, gaps)
