"""What files of earlier versions say elsewhere, or not at all.

Schema 1 had no flights. Before the camera, the person's scale, the skill's name and what a motion
was made from had fields of their own, they stood in the provenance, rounded.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from sfv_gym import skeleton
from sfv_gym.errors import MotionError
from sfv_gym.files import JSON
from sfv_gym.motion.camera import MotionCamera
from sfv_gym.motion.trajectory import Trajectory
from sfv_gym.spans import runs

MIN_FLIGHT_SECONDS = 0.12
"""A shorter gap between contacts is no flight."""


def skill_of(provenance: JSON) -> str:
    """Empty where there is none."""
    return str(provenance.get("skill", ""))


def made_from_of(provenance: JSON) -> str:
    """Empty where there is none."""
    return json.dumps(provenance["library"], sort_keys=True) if "library" in provenance else ""


def camera_of(provenance: JSON, frames: int) -> MotionCamera | None:
    """None where there is none, or it cannot be read."""
    facts: Any = provenance.get("camera")
    source = provenance.get("source")
    turns = source.get("camera_turns") if isinstance(source, dict) else None
    try:
        camera = MotionCamera(
            np.asarray(facts["rotation"], float),
            np.asarray(facts["position"], float),
            float(facts["focal_px"]),
            np.asarray(facts["centre_px"], float),
            None if turns is None else np.asarray(turns, float),
        )
        camera.validate(frames)
    except (KeyError, TypeError, ValueError, MotionError):
        return None
    return camera


def person_scale_of(provenance: JSON) -> np.ndarray | None:
    """(9,), to three digits; None where there is none, or it cannot be read."""
    try:
        scale = np.asarray(provenance["quality"]["person_scale"], float)
    except (KeyError, TypeError, ValueError):
        return None
    return scale if scale.shape == (9,) and (scale > 0).all() else None


def flights_of_schema_1(motion: Trajectory, contacts: np.ndarray, provenance: JSON) -> np.ndarray:
    """(F, 2): what reconstruction wrote down among the figures of quality; where there is nothing,
    the times in which the contacts (T, 4) are none and the centre of mass falls at about g."""
    quality = provenance.get("quality")
    if isinstance(quality, dict) and "flights" in quality:
        return np.asarray(quality["flights"], np.int64).reshape(-1, 2)
    pos, quat = skeleton.forward_kinematics(motion.root_pos, motion.root_quat, motion.joint_quat)
    height = skeleton.centre_of_mass(pos, quat)[:, 2]
    flights = []
    for first, last in runs(contacts.max(1) < 0.5):
        frames = last + 1 - first
        if frames < max(3, round(MIN_FLIGHT_SECONDS * motion.fps)):
            continue
        pull = 2 * np.polyfit(np.arange(frames) / motion.fps, height[first : last + 1], 2)[0]
        if -20.0 < pull < -4.0:  # lying on the back touches nothing either
            flights.append((first, last))
    return np.array(flights, np.int64).reshape(-1, 2)
