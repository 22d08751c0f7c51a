"""What a step measures: observations, and how far each character is from its reference."""

from __future__ import annotations

import numpy as np

from sfv_gym.array_types import Float, Int
from sfv_gym.characters.shapes import Shapes
from sfv_gym.envs.kernel import HeightOffsets, Layout, Measures, State, measure_batch
from sfv_gym.envs.object_batch import ObjectBatch
from sfv_gym.envs.observations import COMMON_PARTS, OBJECT_SIZE, slices
from sfv_gym.envs.reference import HANDS_AND_FEET, References
from sfv_gym.envs.rewards import TrackingErrors
from sfv_gym.envs.task import Task
from sfv_gym.physics import Physics
from sfv_gym.rotations import quat_rotate
from sfv_gym.terrains import Ground

OBJECT_FIGURES = ("object_position_error", "object_rotation_error")
"""In ``info``, of the object that is farthest off its path: metres and rad."""


class Measurement:
    """Measures N simulations against rows of their references.

    Attributes:
        state: the fields of MuJoCo that it reads, live.
    """

    def __init__(
        self,
        task: Task,
        physics: Physics,
        references: References,
        ground: Ground,
        objects: ObjectBatch,
    ) -> None:
        self._references, self._ground, self._objects = references, ground, objects
        self._num_envs, self._size = physics.num_envs, task.observation_size
        self.state = State(*(physics.data(name) for name in State._fields))
        self._geom_xpos, self._geom_xmat = physics.data("geom_xpos"), physics.data("geom_xmat")
        joints, self._links = task.character.joints, task.character.link_ids
        columns = slices(task.observation_parts)
        common = task.observation_parts[:COMMON_PARTS]
        phase = columns.get("phase", slice(-1, common[-1].columns.stop))
        self._height_map = columns.get("height_map", slice(0))
        first = columns.get("object_position_0", slice(0)).start
        self._of_objects = slice(first, first and first + OBJECT_SIZE * len(objects))
        # to the row before each that is seen: a row of the tables holds the next one's coordinates
        self._steps = np.array(task.observation.window, int) - 1
        self._layout = Layout(
            links=self._links,
            hands_feet=HANDS_AND_FEET,
            quat_qpos=joints.quat_qpos,
            quat_dof=joints.quat_dof,
            hinge_qpos=joints.hinge_qpos,
            hinge_dof=joints.hinge_dof,
            reference=tuple(part.start for part in references.columns.values()),
            observation=tuple(part.start for part in common),
            phase=phase.start,
            window=phase.stop,
        )
        self._joints = len(joints.quat_qpos) + len(joints.hinge_qpos)
        self._level = np.zeros(self._num_envs)

    def measure(
        self,
        ids: Int[np.ndarray, " n"],
        row: Int[np.ndarray, " n"],
        end: Int[np.ndarray, " n"],
    ) -> tuple[Float[np.ndarray, "n D"], TrackingErrors, Float[np.ndarray, "n 4"]]:
        """Observations (n, D), errors, and distances (n, 4) of the environments ``ids`` (n,).

        Args:
            row, end: (n,) the rows of the references now, and the last ones of their motions.
        """
        n, references, state = len(ids), self._references, self.state
        before = np.minimum(row[:, None] + self._steps, end[:, None])
        if self._ground.is_flat:
            zero = self._level[:n]
            offsets = HeightOffsets(zero, zero, zero, np.zeros(before.shape))
        else:
            path, root = references.qpos[:, :2], state.qpos[ids, :2]
            following = np.minimum(row + 1, end)
            ahead = np.minimum(before + 1, end[:, None])
            places = path[row], path[following], root, path[ahead]
            offsets = HeightOffsets(*(self._ground.height_offset(ids, xy) for xy in places))
        out = Measures(
            observation=np.empty((n, self._size), np.float32),
            rotation=np.empty((n, self._joints)),
            angular_velocity=np.empty((n, self._joints)),
            end_effector=np.empty((n, len(HANDS_AND_FEET))),
            centre_of_mass=np.empty(n),
            distance=np.empty((n, 4)),
        )
        measure_batch(ids, row, before, references.rows, offsets, state, self._layout, out)
        if not self._ground.is_flat:
            cos, sin = heading_angle(state.qpos[ids])
            self._ground.height_map(ids, root, cos, sin, out.observation[:, self._height_map])
        off_path: tuple[np.ndarray | None, np.ndarray | None] = None, None
        if len(self._objects):
            out.observation[:, self._of_objects] = self._objects.observe(
                ids, np.minimum(row + 1, end), state.qpos[ids, :3], heading_angle(state.qpos[ids])
            )
            if len(self._objects.tracked):
                off_path = self._objects.errors(ids, row)
        errors = TrackingErrors(
            out.rotation, out.angular_velocity, out.end_effector, out.centre_of_mass, *off_path
        )
        return out.observation, errors, out.distance

    def clearance(self, shapes: Shapes, ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Distance (n,) in metres from the ground up to the lowest of the geoms."""
        whole = len(ids) == self._num_envs
        xpos = self._geom_xpos if whole else self._geom_xpos[ids]
        xmat = self._geom_xmat if whole else self._geom_xmat[ids]
        bottom = shapes.bottom_of_frames(xpos, xmat)
        if not self._ground.is_flat:
            bottom -= self._ground.height(ids, xpos[:, shapes.geoms, :2])
        return bottom.min(-1)

    def link_offset(
        self, ids: Int[np.ndarray, " N"], row: Int[np.ndarray, " N"]
    ) -> Float[np.ndarray, "N 15 3"]:
        """Way (N, 15, 3) in metres from each link of the reference to the character's."""
        offset = self.state.xpos[:, self._links] - self._references.link_pos[row]
        if not self._ground.is_flat:
            raised = self._ground.height_offset(ids, self._references.qpos[row, :2])
            offset[..., 2] -= raised[:, None]
        return offset

    def root_tilt(self, row: Int[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Angle (N,) in rad between the up axes of the root and of the reference's root."""
        up = np.array([0.0, 0.0, 1.0])
        ref_quat = self._references.qpos[row, 3:7]
        axes = quat_rotate(self.state.qpos[:, 3:7], up), quat_rotate(ref_quat, up)
        return np.arccos(np.clip((axes[0] * axes[1]).sum(-1), -1.0, 1.0))


def figures(errors: TrackingErrors, distance: Float[np.ndarray, "n 4"]) -> dict[str, np.ndarray]:
    """What ``info`` holds (n,) beside the reward's parts, of distances (n, 4), see ``Measures``; of
    objects that may be moved, the largest errors."""
    found = {
        "link_distance": distance[:, 1],
        "joint_error": distance[:, 2],
        "joint_error_root": distance[:, 3],
    }
    if errors.object_position is not None and errors.object_rotation is not None:
        off_path = errors.object_position, errors.object_rotation
        found |= {name: e.max(-1) for name, e in zip(OBJECT_FIGURES, off_path, strict=True)}
    return found


def heading_angle(
    qpos: Float[np.ndarray, "n q"],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Cosine and sine (n,) of the root's heading."""
    w, z = qpos[:, 3], qpos[:, 6]
    ww, zz = w * w, z * z
    norm = ww + zz
    # exactly upside down about a horizontal axis there is no heading: take 0
    lost = norm < 1e-18
    if lost.any():
        ww, norm = np.where(lost, 1.0, ww), np.where(lost, 1.0, norm)
    return (ww - zz) / norm, 2.0 * w * z / norm
