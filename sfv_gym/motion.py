"""ReferenceMotion: what reconstruction writes and every environment reads.

One clip, character-independent, in one ``.npz`` that is read without pickle. ``Trajectory`` is
the part of it that can be sampled, for any set of joints: a character's own, too.
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
from sfv_gym.errors import MotionError
from sfv_gym.files import read_nested_json, read_npz, write_npz
from sfv_gym.rotations import (
    angular_velocity,
    heading,
    quat_conjugate,
    quat_multiply,
    quat_rotate,
    quat_slerp,
    quat_to_rotvec,
    rotvec_to_quat,
)
from sfv_gym.spans import runs

SCHEMA = 2
"""Of the files that are written. Schema 1 had no ``flights``; it is read all the same."""
LOOPS = ("wrap", "none")
LEAST_FPS, MOST_FPS = 1.0, 1000.0
"""Frames a second: outside, no movement of a person could be told or played."""
MIN_FLIGHT_SECONDS = 0.12
"""A shorter gap between contacts is no flight."""


@dataclass(frozen=True)
class MotionState:
    """A motion's pose and velocity at N times.

    Attributes:
        root_pos: (N, 3) metres, world.
        root_quat: (N, 4) wxyz, root to world.
        joint_quat: (N, J, 4) wxyz, link to parent.
        root_vel: (N, 3) m/s, world.
        root_ang_vel: (N, 3) rad/s in the root's own frame.
        joint_ang_vel: (N, J, 3) rad/s in each link's own frame.
    """

    root_pos: np.ndarray
    root_quat: np.ndarray
    joint_quat: np.ndarray
    root_vel: np.ndarray
    root_ang_vel: np.ndarray
    joint_ang_vel: np.ndarray


@dataclass
class Trajectory:
    """Poses of a free root and J joints at T frames, which can be sampled at any time.

    Attributes:
        fps: frames per second.
        root_pos: (T, 3) metres, world.
        root_quat: (T, 4) wxyz, root to world.
        joint_quat: (T, J, 4) wxyz, link to parent.
        loop: ``"wrap"`` for a cyclic motion or ``"none"``.
        loop_range: (2,) for a wrapped motion, the first and last frame of the cycle, which show
            the same pose; frames before it are an introduction. (0, T - 1) otherwise.
        loop_offset: (4,) what one cycle adds to the path: x, y, z in metres and yaw in radians,
            as the map p -> Rz(yaw) p + (x, y, z). Zero when not wrapped.
        joint_names: (J,) of the columns of ``joint_quat``.
    """

    fps: float
    root_pos: np.ndarray
    root_quat: np.ndarray
    joint_quat: np.ndarray
    loop: str = "none"
    loop_range: np.ndarray = field(default_factory=lambda: np.zeros(2, int))
    loop_offset: np.ndarray = field(default_factory=lambda: np.zeros(4))
    joint_names: tuple[str, ...] = skeleton.LINKS

    def __post_init__(self) -> None:
        if self.loop == "none":
            self.loop_range = np.array([0, len(self.root_pos) - 1])

    @property
    def num_frames(self) -> int:
        return len(self.root_pos)

    @property
    def duration(self) -> float:
        """Seconds from the first frame to the last."""
        return (self.num_frames - 1) / self.fps

    @property
    def cycle_start(self) -> float:
        """Seconds from the first frame to the cycle's first."""
        return float(self.loop_range[0]) / self.fps

    @property
    def period(self) -> float:
        """Seconds of one cycle of a wrapped motion; the duration otherwise."""
        return float(self.loop_range[1] - self.loop_range[0]) / self.fps

    def phase(self, t: np.ndarray) -> np.ndarray:
        """Phase (N,) in 0..1: through the cycle when wrapped, else through the clip."""
        t = np.asarray(t, float)
        if self.loop == "wrap":
            return ((t - self.cycle_start) / self.period) % 1.0
        return np.clip(t / self.duration, 0.0, 1.0)

    def pose(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Root position (N, 3), root rotation (N, 4) and joint rotations (N, J, 4) at times t.

        A wrapped motion goes on for ever and its closing error is spread evenly over the cycle;
        any other holds its first and last frame outside the clip.
        """
        t = np.atleast_1d(np.asarray(t, float))
        if self.loop != "wrap":
            return self._frames(np.clip(t * self.fps, 0, self.num_frames - 1))
        cycles = np.maximum(np.floor((t - self.cycle_start) / self.period), 0)
        t = t - cycles * self.period
        pos, root, joints = self._frames(np.clip(t * self.fps, 0, self.num_frames - 1))
        # the pose at the cycle's end, taken back by one cycle, should be the one at its start
        first, last = (self._frames(np.array([float(i)])) for i in self.loop_range)
        yaw, shift = self.loop_offset[3], self.loop_offset[:3]
        back = _yaw_quat(np.array([-yaw]))
        share = np.clip((t - self.cycle_start) / self.period, 0, 1)[:, None]
        pos = pos - share * quat_rotate(
            _yaw_quat(share[:, 0] * yaw), quat_rotate(back, last[0] - shift) - first[0]
        )
        root_gap = quat_to_rotvec(
            quat_multiply(quat_conjugate(first[1]), quat_multiply(back, last[1]))
        )
        joint_gap = quat_to_rotvec(quat_multiply(quat_conjugate(first[2]), last[2]))
        root = quat_multiply(root, rotvec_to_quat(-share * root_gap))
        joints = quat_multiply(joints, rotvec_to_quat(-share[:, :, None] * joint_gap))
        # cycles before this one: p -> Rz(yaw) p + shift, that many times
        for k in range(int(cycles.max(initial=0))):
            later = cycles > k
            turn = np.where(later, yaw, 0.0)
            pos = quat_rotate(_yaw_quat(turn), pos) + later[:, None] * shift
            root = quat_multiply(_yaw_quat(turn), root)
        return pos, root, joints

    def sample(self, t: np.ndarray) -> MotionState:
        """Pose and velocity at any array of times (N,) in seconds."""
        t = np.atleast_1d(np.asarray(t, float))
        return MotionState(*self.pose(t), *self.velocities(t))

    def velocities(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Root velocity (N, 3) world, root (N, 3) and joint (N, J, 3) angular, body frames.

        Central differences over one frame, one-sided at the ends of a clip that does not wrap.
        """
        t = np.atleast_1d(np.asarray(t, float))
        end = np.inf if self.loop == "wrap" else self.duration
        t = np.clip(t, 0.0, end)
        before = np.maximum(t - 0.5 / self.fps, 0.0)
        after = np.minimum(t + 0.5 / self.fps, end)
        dt = (after - before)[:, None]
        (p0, r0, j0), (p1, r1, j1) = self.pose(before), self.pose(after)
        return (
            (p1 - p0) / dt,
            angular_velocity(r0, r1, dt),
            angular_velocity(j0, j1, dt[:, :, None]),
        )

    def _frames(self, f: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Interpolate at fractional frames (N,): cubic positions, slerped rotations."""
        i = np.minimum(f.astype(int), self.num_frames - 2)
        u = (f - i)[:, None]
        p = self.root_pos
        tangent = np.gradient(p, axis=0)  # one-sided at the ends
        pos = (
            (2 * u**3 - 3 * u**2 + 1) * p[i]
            + (u**3 - 2 * u**2 + u) * tangent[i]
            + (3 * u**2 - 2 * u**3) * p[i + 1]
            + (u**3 - u**2) * tangent[i + 1]
        )
        root = quat_slerp(self.root_quat[i], self.root_quat[i + 1], u[:, 0])
        joints = quat_slerp(self.joint_quat[i], self.joint_quat[i + 1], u)
        return pos, root, joints


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
        person_offsets: (15, 3) metres, the person's own link offsets.
        person_root_pos: (T, 3) metres, the person's own path.
        person_root_quat, person_joint_quat: (T, 4) and (T, 15, 4) wxyz, the person's own rotations,
            as seen in the video, before the motion was made fit for the character.
        provenance: source, licence, frame range, clip hash, tool versions, settings, quality.
    """

    contacts: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    flights: np.ndarray = field(default_factory=lambda: np.zeros((0, 2), int))
    confidence: np.ndarray = field(default_factory=lambda: np.zeros(0))
    person_offsets: np.ndarray = field(default_factory=lambda: skeleton.OFFSETS.copy())
    person_root_pos: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    person_root_quat: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    person_joint_quat: np.ndarray = field(default_factory=lambda: np.zeros((0, 15, 4)))
    provenance: dict[str, Any] = field(default_factory=dict)

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
        first, last = (int(i) for i in self.loop_range)
        if not 0 <= first < last <= frames - 1:
            raise MotionError(
                f"loop_range must be 0 <= first < last < {frames}, it is {first, last}"
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the motion as one compressed ``.npz``, whole or not at all."""
        self.validate()
        fields: dict[str, Any] = {
            "schema": np.array(SCHEMA),
            "fps": np.array(float(self.fps)),
            "joint_names": np.array(self.joint_names),
            "loop": np.array(self.loop),
            "loop_range": np.asarray(self.loop_range, np.int64),
            "flights": np.asarray(self.flights, np.int64).reshape(-1, 2),
            "provenance": np.array(json.dumps(self.provenance, sort_keys=True)),
            **{name: np.asarray(getattr(self, name), np.float32) for name in _FLOAT_FIELDS},
        }
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
            if schema not in (1, SCHEMA):
                raise MotionError(
                    f"schema {schema}, this version reads 1 and {SCHEMA}; extract it again"
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
            motion = cls(
                fps=float(_scalar(fields, "fps")),
                joint_names=tuple(str(n) for n in np.atleast_1d(fields["joint_names"])),
                loop=str(_scalar(fields, "loop")),
                loop_range=np.asarray(fields["loop_range"], np.int64),
                flights=np.asarray(fields.get("flights", np.zeros((0, 2))), np.int64),
                provenance=read_nested_json(str(_scalar(fields, "provenance"))),
                **floats,
            )
            if schema == 1:
                motion.flights = _flights_of_schema_1(motion)
                motion.validate()
            return motion
        except MotionError as error:
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


def _flights_of_schema_1(motion: ReferenceMotion) -> np.ndarray:
    """(F, 2): what reconstruction wrote down among the figures of quality; where there is nothing,
    the times without contact in which the centre of mass falls at about g."""
    quality = motion.provenance.get("quality")
    if isinstance(quality, dict) and "flights" in quality:
        return np.asarray(quality["flights"], np.int64).reshape(-1, 2)
    pos, quat = skeleton.forward_kinematics(motion.root_pos, motion.root_quat, motion.joint_quat)
    height = skeleton.centre_of_mass(pos, quat)[:, 2]
    flights = []
    for first, last in runs(motion.contacts.max(1) < 0.5):
        frames = last + 1 - first
        if frames < max(3, round(MIN_FLIGHT_SECONDS * motion.fps)):
            continue
        pull = 2 * np.polyfit(np.arange(frames) / motion.fps, height[first : last + 1], 2)[0]
        if -20.0 < pull < -4.0:  # lying on the back touches nothing either
            flights.append((first, last))
    return np.array(flights, np.int64).reshape(-1, 2)


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


def _yaw_quat(yaw: np.ndarray) -> np.ndarray:
    return np.stack((np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)), axis=-1)


def loop_offset_between(
    first_pos: np.ndarray, first_quat: np.ndarray, last_pos: np.ndarray, last_quat: np.ndarray
) -> np.ndarray:
    """The loop_offset (4,) that carries the root at a cycle's start onto its end.

    The height difference is left out, so that a wrapped motion stays on the ground.
    """
    turn = quat_multiply(last_quat, quat_conjugate(first_quat))
    turn = heading(turn)
    yaw = 2 * np.arctan2(turn[3], turn[0])
    shift = last_pos - quat_rotate(turn, first_pos)
    shift[2] = 0.0
    return np.append(shift, yaw)
