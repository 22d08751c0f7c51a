"""Trajectories that can be sampled at any time, for any set of joints."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sfv_gym import skeleton
from sfv_gym.array_types import Float, Int, Shaped
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

    root_pos: Float[np.ndarray, "N 3"]
    root_quat: Float[np.ndarray, "N 4"]
    joint_quat: Float[np.ndarray, "N J 4"]
    root_vel: Float[np.ndarray, "N 3"]
    root_ang_vel: Float[np.ndarray, "N 3"]
    joint_ang_vel: Float[np.ndarray, "N J 3"]


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
    root_pos: Float[np.ndarray, "T 3"]
    root_quat: Float[np.ndarray, "T 4"]
    joint_quat: Float[np.ndarray, "T J 4"]
    loop: str = "none"
    loop_range: Int[np.ndarray, "2"] = field(default_factory=lambda: np.zeros(2, int))
    loop_offset: Float[np.ndarray, "4"] = field(default_factory=lambda: np.zeros(4))
    joint_names: tuple[str, ...] = skeleton.LINKS

    def __post_init__(self) -> None:
        if self.loop == "none":
            self.loop_range = np.array([0, len(self.root_pos) - 1])

    @property
    def num_frames(self) -> int:
        """T; of a wrapped motion, the frames outside its cycle are counted too."""
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

    def phase(self, t: Shaped[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Phase (N,) in 0..1: through the cycle when wrapped, else through the clip."""
        t = np.asarray(t, float)
        if self.loop == "wrap":
            return ((t - self.cycle_start) / self.period) % 1.0
        return np.clip(t / self.duration, 0.0, 1.0)

    def pose(
        self, t: Shaped[np.ndarray, " N"]
    ) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 4"], Float[np.ndarray, "N J 4"]]:
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

    def sample(self, t: Shaped[np.ndarray, " N"]) -> MotionState:
        """Pose and velocity at any array of times (N,) in seconds."""
        t = np.atleast_1d(np.asarray(t, float))
        return MotionState(*self.pose(t), *self.velocities(t))

    def velocities(
        self, t: Shaped[np.ndarray, " N"]
    ) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"], Float[np.ndarray, "N J 3"]]:
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


def _yaw_quat(yaw: np.ndarray) -> np.ndarray:
    return np.stack((np.cos(yaw / 2), 0 * yaw, 0 * yaw, np.sin(yaw / 2)), axis=-1)


def loop_offset_between(
    first_pos: Float[np.ndarray, "3"],
    first_quat: Float[np.ndarray, "4"],
    last_pos: Float[np.ndarray, "3"],
    last_quat: Float[np.ndarray, "4"],
) -> Float[np.ndarray, "4"]:
    """The loop_offset (4,) that carries the root at a cycle's start onto its end.

    The height difference is left out, so that a wrapped motion stays on the ground.
    """
    turn = quat_multiply(last_quat, quat_conjugate(first_quat))
    turn = heading(turn)
    yaw = 2 * np.arctan2(turn[3], turn[0])
    shift = last_pos - quat_rotate(turn, first_pos)
    shift[2] = 0.0
    return np.append(shift, yaw)
