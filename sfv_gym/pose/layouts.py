"""The landmarks of other people's files, in their order, under our names.

Sources: COCO's and COCO-WholeBody's order from MMPose's ``configs/_base_/datasets/coco.py`` and
``coco_wholebody.py`` (the first 23 of the 133: body, then feet); BODY_25's from OpenPose's
``doc/02_output.md``; the 70 of SAM 3D Body from its ``sam_3d_body/metadata/mhr70.py``; SMPL's
joints from the order in which SMPL, SMPL-H and SMPL-X share their first 22.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sfv_gym.pose.landmarks import JOINTS, LandmarkSet, Marker, marker_pair
from sfv_gym.pose.mediapipe.landmarks import BONES
from sfv_gym.pose.mediapipe.markers import DIRECTIONS, LANDMARKS

_FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
_FEET = tuple(
    f"{side}_{part}" for side in ("left", "right") for part in ("foot_index", "small_toe", "heel")
)

COCO = LANDMARKS.subset("coco17", (*_FACE, *JOINTS))
WHOLEBODY = LANDMARKS.subset("coco_wholebody", (*COCO.names, *_FEET))
BODY_25 = LANDMARKS.subset(
    "body_25",
    (
        "nose", "neck",
        "right_shoulder", "right_elbow", "right_wrist",
        "left_shoulder", "left_elbow", "left_wrist",
        "mid_hip", "right_hip", "right_knee", "right_ankle",
        "left_hip", "left_knee", "left_ankle",
        "right_eye", "left_eye", "right_ear", "left_ear", *_FEET,
    ),
)  # fmt: skip
_MHR: dict[str, int] = {
    **{name: i for i, name in enumerate((*_FACE, *(j for j in JOINTS if "wrist" not in j)))},
    **{name: 15 + i for i, name in enumerate(_FEET)},
    "right_wrist": 41,
    "left_wrist": 62,
}
MHR_COUNT = 70
MHR_COLUMNS: tuple[int, ...] = tuple(_MHR.values())
"""Those of the 70 that the body's landmarks are in."""
MHR = replace(LANDMARKS.subset("mhr70", _MHR), cropped=False)

_CENTRES: tuple[Marker, ...] = (
    Marker("nose", "neck", (0.115, 0.0, 0.135), 0.3),
    Marker("right_ear", "neck", (0.01, -0.075, 0.145), 0.3),
    Marker("left_ear", "neck", (0.01, 0.075, 0.145), 0.3),
    Marker("head", "neck", (0.0, 0.0, 0.09), 0.1),
    *(
        marker
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for marker in marker_pair(part, part, 0.0, 0.0, 0.0)
    ),
    *marker_pair("heel", "ankle", -0.05, 0.0, -0.035, 0.3),
    *marker_pair("foot_index", "ankle", 0.12, 0.0, -0.035, 0.3),
)
EXTRA: tuple[str, ...] = tuple(m.landmark for m in _CENTRES if m.landmark not in JOINTS)
"""What a set of joints may have beside those of JOINTS."""


def joint_centres(names: Iterable[str], name: str = "joints") -> LandmarkSet:
    """A set of joints' centres, which landmarks on the skin are not.

    Args:
        names: JOINTS, and any of EXTRA.
    """
    kept = tuple(names)
    return LandmarkSet(
        name,
        kept,
        tuple(marker for marker in _CENTRES if marker.landmark in kept),
        tuple(line for line in DIRECTIONS if line[0] in kept and line[1] in kept),
        tuple(bone for bone in BONES if bone[0] in kept and bone[1] in kept),
        cropped=False,
    )


SMPL_JOINTS: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot_index", "right_foot_index", "neck",
    "left_collar", "right_collar", "head", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist",
)  # fmt: skip
"""The first 22 of SMPL, SMPL-H and SMPL-X; SMPL's ``foot`` joints lie at the root of the toes."""
SMPL = joint_centres(SMPL_JOINTS, "smpl")


def in_space(landmarks: LandmarkSet) -> LandmarkSet:
    """The same landmarks whose metres are along the camera's axes, not along the ray to a crop."""
    return replace(landmarks, name=f"{landmarks.name}_3d", cropped=False)


LAYOUTS: dict[str, LandmarkSet] = {
    layout.name: layout for flat in (COCO, WHOLEBODY, BODY_25) for layout in (flat, in_space(flat))
} | {MHR.name: MHR, SMPL.name: SMPL}
"""By name, for files of poses that hold them."""
