"""SAM 3D Body's keypoints: 70 a person, in pixels and in metres in the camera's frame.

Field names and order: ``sam_3d_body/sam_3d_body_estimator.py`` (what ``process_one_image`` returns:
a list of people, each with ``pred_keypoints_2d``, ``pred_keypoints_3d``) and
``sam_3d_body/metadata/mhr70.py``. The program itself writes pictures and no file of numbers: a file
is that list for every frame, as JSON or a pickle, or the arrays stacked over the frames, as .npz.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sfv_gym.errors import PoseFileError
from sfv_gym.pose.files.sightings import Seen, Sightings, numbers
from sfv_gym.pose.layouts import MHR, MHR_COLUMNS, MHR_COUNT

_FLAT, _SOLID = "pred_keypoints_2d", "pred_keypoints_3d"


def is_sam3d(data: Any) -> bool:
    """Whether plain data is of SAM 3D Body."""
    if isinstance(data, dict):
        return _SOLID in data or is_sam3d(data.get("frames"))
    if not isinstance(data, list):
        return False
    people = next((entry for entry in data if entry), None)
    if isinstance(people, dict):
        return _SOLID in people
    return isinstance(people, list) and isinstance(people[0], dict) and _SOLID in people[0]


def read_sam3d(data: Any) -> Sightings:
    """The people of plain data; see `is_sam3d`."""
    if isinstance(data, dict) and _SOLID in data:
        return Sightings("SAM 3D Body", MHR, _stacked(data), _focal([data]))
    frames = data["frames"] if isinstance(data, dict) else data
    everyone = [[people] if isinstance(people, dict) else people or [] for people in frames]
    found = [
        [_seen(one, f"frame {frame}") for one in people] for frame, people in enumerate(everyone)
    ]
    focal = _focal([one for people in everyone for one in people])
    return Sightings("SAM 3D Body", MHR, found, focal)


def _focal(parts: list[dict[str, Any]]) -> float | None:
    """Pixels: the median of what it says of every picture."""
    said = [np.ravel(part["focal_length"]) for part in parts if "focal_length" in part]
    return float(np.median(np.concatenate(said))) if said else None


def _stacked(data: dict[str, Any]) -> list[list[Seen]]:
    solid = np.asarray(data[_SOLID], float)
    flat = np.asarray(data.get(_FLAT, ()), float)
    if solid.ndim == 3:  # one person
        solid, flat = solid[:, None], flat[:, None]
    solid = numbers(solid, _SOLID, None, None, MHR_COUNT, 3)
    flat = numbers(flat, _FLAT, *solid.shape[:3], 2)
    return [
        [_body(f, s) for f, s in zip(*people, strict=True) if np.isfinite(s).all()]
        for people in zip(flat, solid, strict=True)
    ]


def _seen(one: Any, where: str) -> Seen:
    if not isinstance(one, dict) or _FLAT not in one or _SOLID not in one:
        raise PoseFileError(f"{where}: a person needs {_FLAT} and {_SOLID}")
    return _body(
        numbers(one[_FLAT], f"{where}: {_FLAT}", MHR_COUNT, 2),
        numbers(one[_SOLID], f"{where}: {_SOLID}", MHR_COUNT, 3),
    )


def _body(flat: np.ndarray, solid: np.ndarray) -> Seen:
    columns = list(MHR_COLUMNS)
    return Seen(flat[columns], np.ones(len(columns)), solid[columns])
