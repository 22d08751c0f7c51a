"""ReferenceMotion: what reconstruction writes and every environment reads.

One clip, character-independent, in one ``.npz`` that is read without pickle.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sfv_gym import skeleton
from sfv_gym.errors import MotionError, SettingError, UnknownIdError
from sfv_gym.files import JSON, read_nested_json, read_npz, write_npz
from sfv_gym.motion.camera import MotionCamera
from sfv_gym.motion.clip_objects import as_fields, check_objects, from_fields
from sfv_gym.motion.older_files import (
    camera_of,
    flights_of_schema_1,
    made_from_of,
    person_scale_of,
    skill_of,
)
from sfv_gym.motion.trajectory import Trajectory
from sfv_gym.motion.verdict import Verdict
from sfv_gym.objects import SceneObject

SCHEMA = 2
"""Of the files that are written. Schema 1 had no ``flights``; it is read all the same."""
SCHEMA_WITH_OBJECTS = 3
"""Of those of motions with objects: who does not know of them must not play them without."""
LOOPS = ("wrap", "none")
LEAST_FPS, MOST_FPS = 1.0, 1000.0
"""Frames a second: outside, no movement of a person could be told or played."""

_QUATERNIONS = ("root_quat", "joint_quat", "person_root_quat", "person_joint_quat")
_FLOAT_FIELDS = (
    "root_pos",
    "root_quat",
    "joint_quat",
    "loop_offset",
    "contacts",
    "confidence",
    "person_offsets",
    "person_root_pos",
    "person_root_quat",
    "person_joint_quat",
)


@dataclass
class ReferenceMotion(Trajectory):
    """A motion on the canonical skeleton.

    The world is z-up, in metres, with the ground at z = 0 and the root's heading along x at
    frame 0. Frames are those of the clip: none is dropped.

    Attributes:
        fps, root_pos, root_quat, loop, loop_range, loop_offset: see ``Trajectory``.
        joint_quat: (T, 15, 4) wxyz, local rotations; entry 0 is the identity.
        joint_names: the 15 links, ``skeleton.LINKS``.
        contacts: (T, 4) in 0..1 for ``skeleton.END_EFFECTORS``.
        flights: (F, 2) first and last frame of each time in which nothing touches the ground and
            the body falls freely, in order and apart from each other.
        confidence: (T,) in 0..1, how well the video shows the frame.
        skill: what it shows, snake_case.
        person_offsets: (15, 3) metres, the person's own link offsets.
        person_scale: (9,) their lengths over the character's, in the order of
            ``fitting.canonical_body.PROPORTIONS``; None where nobody knows.
        person_root_pos: (T, 3) metres, the person's own path.
        person_root_quat, person_joint_quat: (T, 4) and (T, 15, 4) wxyz, the person's own rotations,
            as seen in the video, before the motion was made fit for the character.
        objects: what the person does it with or on, where it is and goes; see ``check_objects``.
        camera: that the person was seen with; None where there was none.
        verdict: how far the reconstruction can be believed, and why; None where nobody judged it.
        made_from: by whatever makes motions again and again, to tell whether this one is to be.
        provenance: source, licence, frame range, clip hash, tool versions, settings, quality: to be
            read by people; nothing depends on it.
    """

    contacts: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    flights: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), int))
    confidence: np.ndarray = field(default_factory=lambda: np.zeros(0))
    person_offsets: np.ndarray = field(default_factory=lambda: skeleton.OFFSETS.copy())
    person_root_pos: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    person_root_quat: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    person_joint_quat: np.ndarray = field(default_factory=lambda: np.zeros((0, 15, 4)))
    skill: str = ""
    person_scale: np.ndarray | None = None
    objects: tuple[SceneObject, ...] = ()
    camera: MotionCamera | None = None
    verdict: Verdict | None = None
    made_from: str = ""
    provenance: JSON = field(default_factory=dict)

    def __post_init__(self) -> None:
        frames = len(self.root_pos)
        if len(self.contacts) == 0:
            self.contacts = np.zeros((frames, 4))
        if len(self.confidence) == 0:
            self.confidence = np.ones(frames)
        for name in ("root_pos", "root_quat", "joint_quat"):  # a motion that no person made
            if len(getattr(self, f"person_{name}")) == 0:
                setattr(self, f"person_{name}", np.array(getattr(self, name)))
        super().__post_init__()
        self.validate()

    # --- checks and files -----------------------------------------------------------------

    def validate(self) -> None:
        """Raise MotionError, naming the field, unless every contract above holds."""
        frames = len(self.root_pos)
        if frames < 2:
            raise MotionError(f"a motion needs at least 2 frames, this one has {frames}")
        if not LEAST_FPS <= self.fps <= MOST_FPS:  # NaN is not, either
            raise MotionError(
                f"fps must lie between {LEAST_FPS:g} and {MOST_FPS:g}, it is {self.fps}"
            )
        if tuple(self.joint_names) != skeleton.LINKS:
            raise MotionError(f"joint_names must be {skeleton.LINKS}, not {self.joint_names}")
        if self.loop not in LOOPS:
            raise MotionError(f"loop must be one of {LOOPS}, not {self.loop!r}")
        links = len(skeleton.LINKS)
        shapes = {
            "root_pos": (frames, 3),
            "root_quat": (frames, 4),
            "joint_quat": (frames, links, 4),
            "loop_range": (2,),
            "loop_offset": (4,),
            "contacts": (frames, 4),
            "flights": (len(self.flights), 2),
            "confidence": (frames,),
            "person_offsets": (links, 3),
            "person_root_pos": (frames, 3),
            "person_root_quat": (frames, 4),
            "person_joint_quat": (frames, links, 4),
        }
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value.shape != shape:
                raise MotionError(f"{name} must have shape {shape}, it has {value.shape}")
            bad = ~np.isfinite(value)
            if bad.any():
                where = tuple(int(i) for i in np.argwhere(bad)[0])
                raise MotionError(f"{name} has {int(bad.sum())} NaN or infinite values ({where} …)")
        for name in _QUATERNIONS:
            error = abs(np.linalg.norm(getattr(self, name), axis=-1) - 1).max()
            if error > 1e-3:
                raise MotionError(
                    f"{name} must hold unit quaternions, a norm is off by {error:.3g}"
                )
        for name in ("contacts", "confidence"):
            value = getattr(self, name)
            if value.min() < 0 or value.max() > 1:
                raise MotionError(f"{name} must lie in 0..1")
        edges = np.asarray(self.flights)
        if edges.size and not (
            edges.min() >= 0
            and edges.max() < frames
            and (edges[:, 0] <= edges[:, 1]).all()
            and (edges[1:, 0] > edges[:-1, 1] + 1).all()
        ):
            raise MotionError(
                f"flights must be pairs 0 <= first <= last < {frames}, in order and apart, they "
                f"are {edges.tolist()}"
            )
        if self.person_scale is not None:
            scale = np.asarray(self.person_scale)
            if scale.shape != (9,) or not (np.isfinite(scale) & (scale > 0)).all():
                raise MotionError(f"person_scale must hold 9 positive numbers, not {scale}")
        if self.camera is not None:
            self.camera.validate(frames)
        for thing in self.objects:
            if not isinstance(thing, SceneObject):
                raise MotionError(f"objects must hold SceneObjects, not {thing!r}")
        try:
            if self.objects:
                check_objects(self.objects, self.joint_positions())
        except SettingError as error:
            raise MotionError(str(error)) from None
        first, last = (int(i) for i in self.loop_range)
        if not 0 <= first < last <= frames - 1:
            raise MotionError(
                f"loop_range must be 0 <= first < last < {frames}, it is {first, last}"
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the motion as one compressed ``.npz``, whole or not at all."""
        self.validate()
        fields: JSON = {
            "schema": np.array(SCHEMA_WITH_OBJECTS if self.objects else SCHEMA),
            "fps": np.array(float(self.fps)),
            "joint_names": np.array(self.joint_names),
            "loop": np.array(self.loop),
            "loop_range": np.asarray(self.loop_range, np.int64),
            "flights": np.asarray(self.flights, np.int64).reshape(-1, 2),
            "skill": np.array(self.skill),
            "made_from": np.array(self.made_from),
            "provenance": np.array(json.dumps(self.provenance, sort_keys=True)),
            **{name: np.asarray(getattr(self, name), np.float32) for name in _FLOAT_FIELDS},
            **as_fields(self.objects, self.num_frames),
        }
        if self.person_scale is not None:
            fields["person_scale"] = np.asarray(self.person_scale, np.float64)
        if self.verdict is not None:
            fields["verdict"] = np.array(self.verdict.to_json())
        if self.camera is not None:
            camera = {f"camera_{name}": value for name, value in vars(self.camera).items()}
            fields |= {k: np.asarray(v, np.float64) for k, v in camera.items() if v is not None}
        write_npz(path, **fields)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ReferenceMotion:
        """Read and check a motion file; raises MotionError with the file's name in front."""
        path = Path(path)
        fields = read_npz(path, "reference motion", MotionError)
        missing = sorted(
            {"schema", "fps", "joint_names", "loop", "loop_range", "provenance", *_FLOAT_FIELDS}
            - {name for name in _FLOAT_FIELDS if name.startswith("person_")}
            - set(fields)
        )
        if missing:
            raise MotionError(f"{path}: not a reference motion: no {', '.join(missing)}")
        try:
            schema = int(_scalar(fields, "schema"))
            if schema not in (1, SCHEMA, SCHEMA_WITH_OBJECTS):
                raise MotionError(
                    f"schema {schema}, this version reads 1 to {SCHEMA_WITH_OBJECTS}; extract it "
                    "again"
                )
            floats = {
                name: np.asarray(fields[name], np.float64)
                for name in _FLOAT_FIELDS
                if name in fields
            }
            for name in floats.keys() & set(_QUATERNIONS):  # float32 on disk: back to unit norm
                norm = np.linalg.norm(floats[name], axis=-1, keepdims=True)
                if np.isfinite(norm).all() and abs(norm - 1).max(initial=0.0) < 1e-3:
                    floats[name] /= norm
            if np.asarray(fields["loop_range"]).dtype.kind not in "iu":
                raise ValueError("loop_range must hold whole numbers")
            provenance = read_nested_json(str(_scalar(fields, "provenance")))
            motion = cls(
                fps=float(_scalar(fields, "fps")),
                joint_names=tuple(str(n) for n in np.atleast_1d(fields["joint_names"])),
                loop=str(_scalar(fields, "loop")),
                loop_range=np.asarray(fields["loop_range"], np.int64),
                flights=np.asarray(fields.get("flights", np.zeros((0, 2))), np.int64),
                skill=_text(fields, "skill", skill_of(provenance)),
                person_scale=_person_scale(fields, provenance),
                objects=from_fields(fields),
                camera=_camera(fields, provenance),
                verdict=_verdict(fields),
                made_from=_text(fields, "made_from", made_from_of(provenance)),
                provenance=provenance,
                **floats,
            )
            if schema == 1:
                motion.flights = flights_of_schema_1(motion, motion.contacts, provenance)
                motion.validate()
            return motion
        except MotionError as error:
            raise MotionError(f"{path}: {error}") from None
        except (SettingError, UnknownIdError) as error:
            raise MotionError(f"{path}: {error}") from None
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            raise MotionError(f"{path}: not a reference motion: {error}") from None

    def content_hash(self) -> str:
        """Hash of what a policy depends on: the motion itself, not its provenance."""
        digest = hashlib.sha256(f"1 {self.fps:.6f} {self.loop}".encode())
        for name in ("root_pos", "root_quat", "joint_quat", "loop_offset"):
            rounded = np.round(np.asarray(getattr(self, name), float), 4) + 0.0  # no negative zeros
            digest.update(rounded.astype("<f4").tobytes())
        digest.update(np.asarray(self.loop_range, "<i8").tobytes())
        for value in as_fields(self.objects, self.num_frames).values():
            text = value.dtype.kind == "U"
            digest.update(
                repr(value.tolist()).encode() if text else (np.round(value, 4) + 0.0).tobytes()
            )
        return digest.hexdigest()[:16]

    # --- poses ----------------------------------------------------------------------------

    def joint_positions(self, person: bool = False) -> np.ndarray:
        """World positions (T, 15, 3) in metres of the links, in the order of joint_names.

        Args:
            person: in the person's own proportions and path, which is what accuracy is
                measured on, instead of the character's.
        """
        if person:
            pose = self.person_root_pos, self.person_root_quat, self.person_joint_quat
            return skeleton.forward_kinematics(*pose, self.person_offsets)[0]
        return skeleton.forward_kinematics(self.root_pos, self.root_quat, self.joint_quat)[0]


def _scalar(fields: Mapping[str, np.ndarray], name: str) -> Any:
    value = fields[name]
    if value.size != 1:
        raise ValueError(f"{name} must be a single value, it has shape {value.shape}")
    return value.reshape(())[()]


def _text(fields: Mapping[str, np.ndarray], name: str, otherwise: str) -> str:
    return str(_scalar(fields, name)) if name in fields else otherwise


def _person_scale(fields: Mapping[str, np.ndarray], provenance: JSON) -> np.ndarray | None:
    if "person_scale" in fields:
        return np.asarray(fields["person_scale"], np.float64)
    return person_scale_of(provenance)


def _verdict(fields: Mapping[str, np.ndarray]) -> Verdict | None:
    return Verdict.from_json(str(_scalar(fields, "verdict"))) if "verdict" in fields else None


def _camera(fields: Mapping[str, np.ndarray], provenance: JSON) -> MotionCamera | None:
    if "camera_rotation" not in fields:
        return camera_of(provenance, frames=len(fields["root_pos"]))
    missing = {"camera_position", "camera_focal_px", "camera_centre_px"} - set(fields)
    if missing:
        raise ValueError(f"a camera without {', '.join(sorted(missing))}")
    turns, zooms = (
        None if (path := fields.get(f"camera_{name}")) is None else np.asarray(path, np.float64)
        for name in ("turns", "zooms")
    )
    return MotionCamera(
        np.asarray(fields["camera_rotation"], np.float64),
        np.asarray(fields["camera_position"], np.float64),
        float(_scalar(fields, "camera_focal_px")),
        np.asarray(fields["camera_centre_px"], np.float64),
        turns,
        zooms,
    )
