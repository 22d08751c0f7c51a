"""Reference motions, resampled to control steps in a character's coordinates."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, fields

import mujoco
import numpy as np

from sfv_gym import skeleton
from sfv_gym.characters import Character
from sfv_gym.motion import Trajectory
from sfv_gym.objects import SceneObject
from sfv_gym.rotations import heading, quat_conjugate, quat_rotate

HANDS_AND_FEET = np.array([skeleton.link_index(name) for name in skeleton.END_EFFECTORS])
TRAVEL_SECONDS, TRAVEL_METRES = 1.0, 0.3
"""A motion that covers this distance in this time has a direction of travel."""
SKILL_TOUCHES_GROUND = 0.03
"""Metres: a skill whose reference brings trunk or head this near the ground is a ground skill."""
NEVER = np.iinfo(np.int64).max // 2
"""The row at which a cyclic motion ends."""
KEPT_TABLES, KEPT_BYTES = 64, 2**24
"""Tables that are kept for further environments of the same motion, and the largest of them."""
_recent: dict[Hashable, ReferenceTable] = {}


@dataclass(frozen=True)
class ReferenceTable:
    """Everything the environment looks up per step; row s is the time s times the control step.

    Attributes:
        qpos: (S, nq), qvel: (S, nv): the reference state.
        link_pos: (S, 15, 3) metres, world: the bodies that stand for the canonical links.
        rows: (S, R) what a step compares the state of row s with, in one array so that one
            gather fetches it all; ``columns`` names the parts.
        columns: ``pose`` quaternions of the root and the ball joints, ``hinge`` angles,
            ``velocity`` (qvel), ``link_pos``, ``end_effector`` (hands and feet from the root, in
            its heading frame), ``com``; ``target``: PD targets that bring the character to row
            s, which are the joint vector of the reference ``lead`` seconds later, to make up for
            the actuators' lag; ``next_pos``, ``next_quat``, ``next_joints``: root and joint
            vector of row s + 1; ``phase``: its sine and cosine, of the full turn when cyclic, so
            that the end meets the start, of half a turn when not.
        yaw: (S,) rad, the direction of travel, or the heading where there is none.
        num_starts: rows that an episode may start from.
        last: the row at which an acyclic motion ends; None when cyclic.
        touches_ground: whether the motion itself takes trunk or head to the ground.
    """

    qpos: np.ndarray
    qvel: np.ndarray
    link_pos: np.ndarray
    rows: np.ndarray
    columns: dict[str, slice]
    yaw: np.ndarray
    num_starts: int
    last: int | None
    touches_ground: bool

    def part(self, name: str) -> np.ndarray:
        """The columns (S, ...) of ``rows`` called ``name``."""
        return self.rows[:, self.columns[name]]

    @classmethod
    def build(
        cls,
        trajectory: Trajectory,
        character: Character,
        control_dt: float,
        horizon: int,
        lead: float,
        lookahead: int = 1,
    ) -> ReferenceTable:
        """Resample ``trajectory`` for episodes of at most ``horizon`` control steps, which see
        ``lookahead`` steps ahead."""
        joints = character.joints
        cyclic = trajectory.loop == "wrap"
        if cyclic:
            last = None
            num_starts = max(int((trajectory.cycle_start + trajectory.period) / control_dt), 1)
        else:
            last = max(int(trajectory.duration / control_dt + 1e-6), 1)
            num_starts = max(last - 2, 1)  # a start on the last frames teaches nothing
        count = num_starts + horizon + 1 + lookahead
        if last is not None:
            count = min(count, last + 2)
        t = np.arange(count) * control_dt
        names = trajectory.joint_names
        qpos, qvel = joints.coordinates(trajectory.sample(t), names)
        ahead, _ = joints.coordinates(trajectory.sample(t + lead), names)
        link_pos, com, lowest = _kinematics(character, qpos)
        joint_vector = joints.joint_vector(qpos)
        following = np.minimum(np.arange(count) + 1, count - 1)
        angle = (2 * np.pi if cyclic else np.pi) * trajectory.phase(t)
        hands_feet = link_pos[:, HANDS_AND_FEET] - link_pos[:, :1]
        to_heading = quat_conjugate(heading(qpos[:, 3:7]))[:, None]
        parts = {
            "pose": np.concatenate((qpos[:, 3:7], qpos[:, joints.ball_qpos.ravel()]), axis=1),
            "hinge": qpos[:, joints.hinge_qpos],
            "velocity": qvel,
            "link_pos": link_pos.reshape(count, -1),
            "end_effector": quat_rotate(to_heading, hands_feet).reshape(count, -1),
            "com": com,
            "target": joints.joint_vector(ahead),
            "next_pos": qpos[following, :3],
            "next_quat": qpos[following, 3:7],
            "next_joints": joint_vector[following],
            "phase": np.stack((np.sin(angle), np.cos(angle)), axis=-1),
        }
        ends = np.cumsum([part.shape[1] for part in parts.values()])
        return cls(
            qpos=qpos,
            qvel=qvel,
            link_pos=link_pos,
            rows=np.concatenate(list(parts.values()), axis=1),
            columns={
                name: slice(int(end) - part.shape[1], int(end))
                for (name, part), end in zip(parts.items(), ends, strict=True)
            },
            yaw=_direction_of_travel(qpos, round(TRAVEL_SECONDS / control_dt)),
            num_starts=num_starts,
            last=last,
            touches_ground=bool(lowest[: num_starts + 2].min() < SKILL_TOUCHES_GROUND),
        )

    def reach(self, horizon: int) -> tuple[float, float]:
        """How far (m) any episode's root gets from its start, along its yaw and against it."""
        ahead = behind = 0.0
        for start in range(self.num_starts):
            path = self.qpos[start : start + horizon + 2, :2] - self.qpos[start, :2]
            along = path @ (np.cos(self.yaw[start]), np.sin(self.yaw[start]))
            ahead, behind = max(ahead, along.max()), max(behind, -along.min())
        return float(ahead), float(behind)


@dataclass(frozen=True)
class ObjectTable:
    """Where K objects are to be, row by row as the tables of the motions.

    Attributes:
        pos, vel: (S, K, 3) metres and m/s, world.
        quat: (S, K, 4) wxyz. spin: (S, K, 3) rad/s in their own frames.
    """

    pos: np.ndarray
    quat: np.ndarray
    vel: np.ndarray
    spin: np.ndarray

    @classmethod
    def build(
        cls, objects: Sequence[SceneObject], motion: Trajectory, t: np.ndarray
    ) -> ObjectTable:
        """Objects of a motion at times t (S,) in seconds. A path goes on over the end of a motion
        that wraps, as the root's does."""
        table = cls(*(np.zeros((len(t), len(objects), width)) for width in (3, 4, 3, 3)))
        frames = motion.num_frames
        for k, thing in enumerate(objects):
            if not thing.moves:  # nor does it come along with a motion that wraps
                table.pos[:, k], table.quat[:, k] = thing.places[0], thing.turns[0]
                continue
            path = Trajectory(
                fps=motion.fps,
                root_pos=np.broadcast_to(thing.places, (frames, 3)),
                root_quat=np.broadcast_to(thing.turns, (frames, 4)),
                joint_quat=np.zeros((frames, 0, 4)),
                loop=motion.loop,
                loop_range=motion.loop_range,
                loop_offset=motion.loop_offset,
                joint_names=(),
            ).sample(t)
            table.pos[:, k], table.quat[:, k] = path.root_pos, path.root_quat
            table.vel[:, k], table.spin[:, k] = path.root_vel, path.root_ang_vel
        return table

    @classmethod
    def joined(cls, tables: Sequence[ObjectTable]) -> ObjectTable:
        """Those of several motions, one after the other."""
        names = [one.name for one in fields(cls)]
        return cls(*(np.concatenate([getattr(table, name) for table in tables]) for name in names))


def reference_table(
    trajectory: Trajectory,
    character: Character,
    control_dt: float,
    horizon: int,
    lead: float,
    lookahead: int = 1,
) -> ReferenceTable:
    """``ReferenceTable.build``, or what it gave for the same before: nobody writes to a table."""
    values = (getattr(trajectory, one.name) for one in fields(Trajectory))
    content = (v if isinstance(v, Hashable) else np.asarray(v).tobytes() for v in values)
    key = (*content, character, control_dt, horizon, lead, lookahead)
    table = _recent.pop(key, None) or ReferenceTable.build(
        trajectory, character, control_dt, horizon, lead, lookahead
    )
    if table.rows.nbytes <= KEPT_BYTES:
        _recent[key] = table  # the most recent one is last
        if len(_recent) > KEPT_TABLES:
            del _recent[next(iter(_recent))]
    return table


class References:
    """The tables of several motions in one, one after the other.

    Attributes:
        qpos, qvel, link_pos, rows, columns, yaw: as of ``ReferenceTable``, over all S rows.
        first, end: (M,) the first and the last row of each motion.
        last: (M,) the row at which an acyclic motion ends, and so its episodes; ``NEVER`` where it
            is cyclic.
        num_starts: (M,) rows that an episode may start from.
        touches_ground: (M,) bool, see ``ReferenceTable``.
    """

    def __init__(self, tables: Sequence[ReferenceTable]) -> None:
        self._tables = tuple(tables)
        self.columns = self._tables[0].columns
        self.qpos, self.qvel, self.link_pos, self.rows, self.yaw = (
            np.concatenate([getattr(table, name) for table in tables])
            for name in ("qpos", "qvel", "link_pos", "rows", "yaw")
        )
        sizes = np.array([len(table.qpos) for table in tables])
        self.first = np.cumsum(sizes) - sizes
        self.end = self.first + sizes - 1
        self.last = self.first + [NEVER if t.last is None else t.last for t in tables]
        self.num_starts = np.array([table.num_starts for table in tables])
        self.touches_ground = np.array([table.touches_ground for table in tables])

    def __len__(self) -> int:
        return len(self._tables)

    def part(self, name: str) -> np.ndarray:
        """The columns (S, ...) of ``rows`` called ``name``."""
        return self.rows[:, self.columns[name]]

    def reach(self, horizon: int) -> tuple[float, float]:
        """How far (m) any episode's root gets from its start, along its yaw and against it."""
        reached = np.array([table.reach(horizon) for table in self._tables])
        ahead, behind = reached.max(axis=0)
        return float(ahead), float(behind)

    def last_start(self, motion: np.ndarray) -> np.ndarray:
        """The last step (n,) of motions (n,) that an episode may begin at."""
        last = np.where(self.last < NEVER, self.last - self.first - 1, self.num_starts - 1)
        return last[motion]


def _kinematics(
    character: Character, qpos: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Link positions (S, 15, 3), centre of mass (S, 3), and the height (S,) of the lowest point of
    trunk and head, in the states qpos (S, nq)."""
    model, links = character.model, character.link_ids
    data, shapes = mujoco.MjData(model), character.fall_shapes()
    link_pos, com = np.empty((len(qpos), len(links), 3)), np.empty((len(qpos), 3))
    lowest = np.empty(len(qpos))
    for i, state in enumerate(qpos):
        data.qpos[:] = state
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        link_pos[i], com[i] = data.xpos[links], data.subtree_com[1]
        lowest[i] = shapes.bottom_of_frames(data.geom_xpos[None], data.geom_xmat[None]).min()
    return link_pos, com, lowest


def _direction_of_travel(qpos: np.ndarray, steps: int) -> np.ndarray:
    """Yaw (S,) from each row to where the root is ``steps`` rows later, else its heading."""
    later = np.minimum(np.arange(len(qpos)) + steps, len(qpos) - 1)
    way = qpos[later, :2] - qpos[:, :2]
    turn = heading(qpos[:, 3:7])
    facing = 2 * np.arctan2(turn[:, 3], turn[:, 0])
    far = np.hypot(way[:, 0], way[:, 1]) > TRAVEL_METRES
    return np.where(far, np.arctan2(way[:, 1], way[:, 0]), facing)
