"""SMPL's parameters as GVHMR, WHAM, PromptHMR and AMASS write them, and its joints where they are.

Field names: GVHMR's ``tools/demo/demo.py`` (``smpl_params_incam``, ``smpl_params_global``,
``K_fullimg``), WHAM's ``demo.py`` (``pose``, ``trans``, ``pose_world``, ``trans_world``,
``frame_ids`` of each person), PromptHMR's ``pipeline/pipeline.py`` and ``world.py`` (``people``,
each with ``frames``, ``smplx_cam`` and ``smplx_world``; ``camera``), AMASS's ``.npz`` (``poses``,
``trans``, ``mocap_framerate``).

The body model itself has no open licence and is not here. Rotations are taken as they are; bones
have the lengths of an average adult on our own skeleton in SMPL's rest pose, a T. ``betas`` are not
used: the fit finds how large somebody is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from sfv_gym import skeleton
from sfv_gym.errors import PoseFileError
from sfv_gym.pose.files.sightings import Seen, Sightings, numbers
from sfv_gym.pose.layouts import SMPL, SMPL_JOINTS

PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19
)  # fmt: skip
"""The published tree of the 22 joints."""
COUNT = len(PARENTS)
PELVIS_OVER_HIPS = 0.09
"""Metres: SMPL's first joint lies above the hip joints, ours between them."""
PELVIS_BELOW_ORIGIN = {"smpl": 0.22, "smplx": 0.35}
"""Metres: a translation moves the model's origin, which lies by so much above its first joint."""


@dataclass(frozen=True)
class Track:
    """One person.

    Attributes:
        model: ``smpl`` or ``smplx``.
        frames: (T,) of the video.
        camera, world: rotation vectors (T, 22, 3) and translations (T, 3) in metres, in the
            camera's frame (x right, y down, z away) and in a world of any orientation; None where
            the file has none.
        joints: (T, 22, 3) metres in the world, where the file has them.
    """

    model: str
    frames: np.ndarray
    camera: tuple[np.ndarray, np.ndarray] | None
    world: tuple[np.ndarray, np.ndarray] | None
    joints: np.ndarray | None = None

    def world_joints(self) -> np.ndarray:
        """(T, 22, 3) metres; raises PoseFileError where the file has no world."""
        if self.joints is not None:
            return self.joints
        if self.world is None:
            raise PoseFileError("it has no motion in the world, only in the camera's frame")
        return joint_positions(*self.world)


@dataclass(frozen=True)
class Tracks:
    """Everyone in a file, and its camera as for `Sightings`.

    Attributes:
        up: axis of the world that is, where nobody stands upright.
    """

    kind: str
    people: list[Track]
    fps: float | None = None
    focal: float | None = None
    centre: np.ndarray | None = None
    up: str | None = "y"

    def sightings(self) -> Sightings:
        """The people as a camera sees them; raises PoseFileError where the file has no camera."""
        named = np.concatenate([track.frames for track in self.people])
        if named.min() < 0 or named.max() > 100 * len(named) + 1000:
            raise PoseFileError(f"frame {named.min()} to {named.max()} are named, of {len(named)}")
        frames = int(named.max()) + 1
        found: list[list[Seen]] = [[] for _ in range(frames)]
        for track in self.people:
            if track.camera is None:
                raise PoseFileError("it has no poses in a camera's frame: use sfv import")
            rotations, moved = track.camera
            metres = joint_positions(rotations, np.zeros_like(moved))
            place = moved - [0.0, PELVIS_BELOW_ORIGIN[track.model], 0.0]
            scores = np.ones(COUNT)
            for frame, solid, at in zip(track.frames, metres, place, strict=True):
                found[int(frame)].append(Seen(None, scores, solid, at))
        return Sightings(self.kind, SMPL, found, self.focal, self.centre)


def joint_positions(rotations: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """(T, 22, 3) metres of joints from rotation vectors (T, 22, 3), the first one at ``moved``."""
    local = Rotation.from_rotvec(rotations.reshape(-1, 3)).as_matrix()
    local = local.reshape(*rotations.shape, 3)
    rest = _rest()
    turned, places = [local[:, 0]], [moved]
    for i, parent in enumerate(PARENTS[1:], start=1):
        places.append(places[parent] + turned[parent] @ rest[i])
        turned.append(turned[parent] @ local[:, i])
    return np.stack(places, axis=1)


def _rest() -> np.ndarray:
    """(22, 3) metres from parent to joint, in SMPL's axes: x left, y up, z ahead."""
    from sfv_gym.fitting.canonical_body import ADULT_LENGTHS, ADULT_SIZE, Body

    offsets = Body(ADULT_SIZE * ADULT_LENGTHS.exp()).offsets.numpy()
    ours = {name: offsets[i] for i, name in enumerate(skeleton.LINKS)}
    trunk = float((ours["chest"] + ours["left_shoulder"])[2]) - PELVIS_OVER_HIPS
    behind = float(ours["left_shoulder"][0])
    rest = {name: np.zeros(3) for name in SMPL_JOINTS}
    rest["spine1"] = np.array([0.0, 0.3 * trunk, 0.0])
    rest["spine2"] = np.array([0.0, 0.3 * trunk, 0.0])
    rest["spine3"] = np.array([0.0, 0.1 * trunk, 0.0])
    rest["neck"] = np.array([0.0, 0.45 * trunk, 0.0])
    rest["head"] = np.array([0.0, 0.09 * ADULT_SIZE, 0.0])
    for side, sign in (("left", 1.0), ("right", -1.0)):
        out = np.array([sign, 0.0, 0.0])
        width = float(ours["left_shoulder"][1])
        rest[f"{side}_hip"] = ours["left_hip"][1] * out - [0.0, PELVIS_OVER_HIPS, 0.0]
        rest[f"{side}_knee"] = np.array([0.0, ours["left_knee"][2], 0.0])
        rest[f"{side}_ankle"] = np.array([0.0, ours["left_ankle"][2], 0.0])
        rest[f"{side}_foot_index"] = ADULT_SIZE * np.array([0.0, -0.035, 0.12])
        rest[f"{side}_collar"] = 0.4 * width * out + [0.0, 0.2 * trunk, 0.0]
        rest[f"{side}_shoulder"] = 0.6 * width * out + [0.0, 0.1 * trunk, behind]
        rest[f"{side}_elbow"] = -ours["left_elbow"][2] * out
        rest[f"{side}_wrist"] = -ours["left_wrist"][2] * out
    return np.stack([rest[name] for name in SMPL_JOINTS])


# --- files -------------------------------------------------------------------------------------


def is_smpl(data: Any) -> bool:
    """Whether plain data holds SMPL's parameters or joints."""
    return isinstance(data, dict) and _reader(data) is not None


def read_smpl(data: dict[Any, Any]) -> Tracks:
    """Everyone of plain data, longest in view first; see `is_smpl`."""
    reader = _reader(data)
    assert reader is not None
    tracks = reader(data)
    if not tracks.people or not any(len(track.frames) for track in tracks.people):
        raise PoseFileError("there is nobody in it")
    tracks.people.sort(key=lambda track: -len(track.frames))
    return tracks


def _reader(data: dict[Any, Any]) -> Any:
    if "smpl_params_incam" in data or "smpl_params_global" in data:
        return _gvhmr
    if isinstance(data.get("people"), dict):
        return _prompthmr
    if data and all(isinstance(one, dict) and "pose_world" in one for one in data.values()):
        return _wham
    if "poses" in data or "global_orient" in data:
        return _amass
    if "joints" in data and np.ndim(data["joints"]) == 3:
        return _joints
    return None


def _gvhmr(data: dict[str, Any]) -> Tracks:
    parts = {}
    for name in ("incam", "global"):
        if (found := data.get(f"smpl_params_{name}")) is not None:
            parts[name] = _parameters(found, f"smpl_params_{name}")
    frames = np.arange(len(next(iter(parts.values()))[1]))
    track = Track("smplx", frames, parts.get("incam"), parts.get("global"))
    focal = centre = None
    if "K_fullimg" in data:
        lens = numbers(data["K_fullimg"], "K_fullimg", None, 3, 3)[0]
        focal, centre = float(lens[0, 0]), lens[:2, 2]
    return Tracks("GVHMR", [track], None, focal, centre)


def _parameters(found: dict[str, Any], what: str) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and translations of separate ``global_orient``, ``body_pose`` and ``transl``."""
    for name in ("global_orient", "body_pose", "transl"):
        if name not in found:
            raise PoseFileError(f"{what} has no {name}")
    moved = numbers(found["transl"], f"{what}: transl", None, 3)
    root, body = (np.asarray(found[k], float) for k in ("global_orient", "body_pose"))
    pose = np.concatenate([x.reshape(len(x), -1) for x in (root, body)], axis=1)
    return _rotations(pose, what, len(moved)), moved


def _rotations(pose: Any, what: str, frames: int) -> np.ndarray:
    """(T, 22, 3) of rotation vectors one after another, root first."""
    flat = np.asarray(pose, float)
    flat = numbers(flat.reshape(len(flat), -1), f"{what}: pose", frames, None)
    if flat.shape[1] < 3 * COUNT:
        raise PoseFileError(f"{what}: a pose needs {3 * COUNT} numbers, not {flat.shape[1]}")
    return flat[:, : 3 * COUNT].reshape(frames, COUNT, 3)


def _wham(data: dict[Any, dict[str, Any]]) -> Tracks:
    people = []
    for name, one in data.items():
        frames = numbers(one.get("frame_ids"), f"person {name}: frame_ids", None).astype(int)
        parts = {}
        for end in ("", "_world"):
            moved = numbers(one.get(f"trans{end}"), f"person {name}: trans{end}", len(frames), 3)
            what = f"person {name}: pose{end}"
            parts[end] = _rotations(one.get(f"pose{end}"), what, len(frames)), moved
        people.append(Track("smpl", frames, parts[""], parts["_world"]))
    return Tracks("WHAM", people)


def _prompthmr(data: dict[str, Any]) -> Tracks:
    people = []
    for name, one in data["people"].items():
        frames = numbers(one.get("frames"), f"person {name}: frames", None).astype(int)
        camera = _smplx(one.get("smplx_cam"), f"person {name}: smplx_cam")
        world = _smplx(one.get("smplx_world"), f"person {name}: smplx_world")
        joints = (one.get("smplx_world") or {}).get("joints")
        if joints is not None:
            joints = numbers(joints, f"person {name}: joints", len(frames), COUNT, 3)
        people.append(Track("smplx", frames, camera, world, joints))
    lens = data.get("camera_world") or data.get("camera") or {}
    focal, centre = lens.get("img_focal"), lens.get("img_center")
    if focal is None or centre is None:
        return Tracks("PromptHMR", people)
    centre = numbers(centre, "img_center", 2)
    return Tracks("PromptHMR", people, None, float(np.ravel(focal)[0]), centre)


def _smplx(found: Any, what: str) -> tuple[np.ndarray, np.ndarray] | None:
    if not found or "trans" not in found:
        return None
    moved = numbers(found["trans"], f"{what}: trans", None, 3)
    if "pose" in found:
        return _rotations(found["pose"], what, len(moved)), moved
    if "rotmat" in found:
        matrices = np.asarray(found["rotmat"], float)[:, :COUNT]
        matrices = numbers(matrices, f"{what}: rotmat", len(moved), COUNT, 3, 3)
        vectors = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_rotvec()
        return vectors.reshape(-1, COUNT, 3), moved
    return None


def _amass(data: dict[str, Any]) -> Tracks:
    if "poses" in data:
        moved = numbers(data.get("trans"), "trans", None, 3)
        world = _rotations(data["poses"], "poses", len(moved)), moved
    else:
        world = _parameters(data, "the file")
    track = Track("smplx", np.arange(len(world[1])), None, world)
    return Tracks("SMPL parameters", [track], _rate(data), up="z")


def _joints(data: dict[str, Any]) -> Tracks:
    joints = np.asarray(data["joints"], float)[:, :COUNT]
    joints = numbers(joints, "joints", None, COUNT, 3)
    track = Track("smpl", np.arange(len(joints)), None, None, joints)
    return Tracks("SMPL joints", [track], _rate(data), up=None)


def _rate(data: dict[str, Any]) -> float | None:
    names: Iterator[str] = (n for n in ("mocap_framerate", "mocap_frame_rate", "fps") if n in data)
    name = next(names, None)
    return None if name is None else float(np.ravel(data[name])[0])
