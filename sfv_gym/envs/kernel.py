"""What a step computes for each environment, compiled: one pass over its state.

The same in NumPy takes some eighty calls, each of which brings the state of all environments back
into the processor's cache, where the physics has just been: at 256 environments it cost three
times as much, and with a single one more than the physics. An environment's numbers are made
from its own state alone and in a fixed order, so they do not depend on how many there are.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np


class Layout(NamedTuple):
    """Where things are in the state, in a reference row and in the observation.

    Attributes:
        links: (15,) bodies that stand for the canonical links; hands_feet: (4,) among the 15.
        quat_qpos: (1 + B, 4) the root's rotation and the ball joints' in qpos;
            quat_dof: (1 + B, 3) the same in qvel.
        hinge_qpos, hinge_dof: (H,).
        reference: first column of each of the 11 parts of a reference row, in the order of
            ``ReferenceTable.columns``.
        observation: first column of each of the observation's 10 parts that every layout has.
        phase: first column of the phase, or -1 where it is not observed.
        window: first column of what is seen of the reference ahead; the K times follow each
            other, each with position, axes and joints.
    """

    links: np.ndarray
    hands_feet: np.ndarray
    quat_qpos: np.ndarray
    quat_dof: np.ndarray
    hinge_qpos: np.ndarray
    hinge_dof: np.ndarray
    reference: tuple[int, ...]
    observation: tuple[int, ...]
    phase: int
    window: int


class State(NamedTuple):
    """Live (N, ...) arrays of the batch."""

    qpos: np.ndarray
    qvel: np.ndarray
    xpos: np.ndarray
    xmat: np.ndarray
    subtree_com: np.ndarray


class HeightOffsets(NamedTuple):
    """Root height offsets (n,) in metres by which the ground raises the reference: now, at the next
    row, and that which the height of the character's own root is counted from; and (n, K) at the
    rows of the window."""

    now: np.ndarray
    next: np.ndarray
    under_root: np.ndarray
    ahead: np.ndarray


class Measures(NamedTuple):
    """What is filled: see ``TrackingErrors`` and ``StepResult``; all (n, ...).

    ``distance``: of the root, the largest over links, the mean over links, and the mean relative
    to the root, in metres from the reference's.
    """

    observation: np.ndarray
    rotation: np.ndarray
    angular_velocity: np.ndarray
    end_effector: np.ndarray
    centre_of_mass: np.ndarray
    distance: np.ndarray


@numba.njit(cache=True)
def _rotation_vector(w: float, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Of a unit quaternion, the shorter way round."""
    sine = math.sqrt(x * x + y * y + z * z)
    factor = 2.0 if sine < 1e-12 else 2.0 * math.atan2(sine, abs(w)) / sine
    if w < 0.0:
        factor = -factor
    return factor * x, factor * y, factor * z


@numba.njit(cache=True, nogil=True, error_model="numpy")
def measure_batch(
    ids: np.ndarray,
    row: np.ndarray,
    before: np.ndarray,
    rows: np.ndarray,
    offsets: HeightOffsets,
    state: State,
    layout: Layout,
    out: Measures,
) -> None:
    """Fill ``out`` for the environments ``ids`` (n,).

    Args:
        row: (n,) the reference row of each. rows: (S, R) the reference.
        before: (n, K) the rows before those of the window, which hold the coordinates of the next.
    """
    pose, hinge, velocity, link_pos, effector, com, _, next_pos, next_quat, next_joints, phase = (
        layout.reference
    )
    (
        at_height,
        at_rotation,
        at_velocity,
        at_spin,
        at_joints,
        at_joint_velocity,
        at_links,
        at_next_pos,
        at_next_rotation,
        at_next_joints,
    ) = layout.observation
    num_links, num_quats, num_hinges = (
        len(layout.links),
        len(layout.quat_qpos),
        len(layout.hinge_qpos),
    )
    num_joints = 3 * (num_quats - 1) + num_hinges
    root = layout.links[0]
    num_ahead, stride = before.shape[1], 9 + num_joints
    for k in range(len(ids)):
        i = ids[k]
        ref, obs = rows[row[k]], out.observation[k]
        qpos, qvel, xpos = state.qpos[i], state.qvel[i], state.xpos[i]
        up = offsets.now[k]

        # heading frame; exactly upside down about a horizontal axis there is no heading: take 0
        w, z = qpos[3], qpos[6]
        norm = w * w + z * z
        cos, sin = 1.0, 0.0
        if norm >= 1e-18:
            cos, sin = (w * w - z * z) / norm, 2.0 * w * z / norm

        obs[at_height] = qpos[2] - offsets.under_root[k]
        axes = state.xmat[i, root]
        for a in range(2):  # the root's x axis and its z axis
            x, y = axes[2 * a], axes[3 + 2 * a]
            obs[at_rotation + 3 * a] = cos * x + sin * y
            obs[at_rotation + 3 * a + 1] = cos * y - sin * x
            obs[at_rotation + 3 * a + 2] = axes[6 + 2 * a]
        obs[at_velocity] = cos * qvel[0] + sin * qvel[1]
        obs[at_velocity + 1] = cos * qvel[1] - sin * qvel[0]
        obs[at_velocity + 2] = qvel[2]
        for a in range(3):
            obs[at_spin + a] = qvel[3 + a]
        for j in range(num_joints):
            obs[at_joint_velocity + j] = qvel[6 + j]

        # links: the observation's positions, and the distances from the reference's
        rx, ry, rz = xpos[root, 0], xpos[root, 1], xpos[root, 2]
        dx, dy = rx - ref[link_pos], ry - ref[link_pos + 1]
        dz = rz - (ref[link_pos + 2] + up)
        root_distance = math.sqrt(dx * dx + dy * dy + dz * dz)
        largest, total, total_from_root = root_distance, root_distance, 0.0
        for b in range(1, num_links):
            body = layout.links[b]
            px, py, pz = xpos[body, 0], xpos[body, 1], xpos[body, 2]
            x, y = px - rx, py - ry
            to = at_links + 3 * (b - 1)
            obs[to] = cos * x + sin * y
            obs[to + 1] = cos * y - sin * x
            obs[to + 2] = pz - rz
            at = link_pos + 3 * b
            ex, ey, ez = px - ref[at], py - ref[at + 1], pz - (ref[at + 2] + up)
            distance = math.sqrt(ex * ex + ey * ey + ez * ez)
            largest = max(largest, distance)
            total += distance
            ex, ey, ez = ex - dx, ey - dy, ez - dz
            total_from_root += math.sqrt(ex * ex + ey * ey + ez * ez)
        out.distance[k, 0], out.distance[k, 1] = root_distance, largest
        out.distance[k, 2] = total / num_links
        out.distance[k, 3] = total_from_root / num_links
        for e in range(len(layout.hands_feet)):
            body, at = layout.links[layout.hands_feet[e]], effector + 3 * e
            x, y = xpos[body, 0] - rx, xpos[body, 1] - ry
            ex = cos * x + sin * y - ref[at]
            ey = cos * y - sin * x - ref[at + 1]
            ez = xpos[body, 2] - rz - ref[at + 2]
            out.end_effector[k, e] = math.sqrt(ex * ex + ey * ey + ez * ez)
        centre = state.subtree_com[i, root]
        ex, ey = centre[0] - ref[com], centre[1] - ref[com + 1]
        ez = centre[2] - (ref[com + 2] + up)
        out.centre_of_mass[k] = math.sqrt(ex * ex + ey * ey + ez * ez)

        # the way to the next reference root
        x, y = ref[next_pos] - qpos[0], ref[next_pos + 1] - qpos[1]
        obs[at_next_pos] = cos * x + sin * y
        obs[at_next_pos + 1] = cos * y - sin * x
        obs[at_next_pos + 2] = ref[next_pos + 2] + offsets.next[k] - qpos[2]
        w, x, y, z = qpos[3], -qpos[4], -qpos[5], -qpos[6]
        nw, nx = ref[next_quat], ref[next_quat + 1]
        ny, nz = ref[next_quat + 2], ref[next_quat + 3]
        turn = _rotation_vector(
            w * nw - x * nx - y * ny - z * nz,
            w * nx + x * nw + y * nz - z * ny,
            w * ny - x * nz + y * nw + z * nx,
            w * nz + x * ny - y * nx + z * nw,
        )
        for a in range(3):
            obs[at_next_rotation + a] = turn[a]

        # root and ball joints, then hinges
        for q in range(num_quats):
            first = layout.quat_qpos[q, 0]
            w, x, y, z = qpos[first], qpos[first + 1], qpos[first + 2], qpos[first + 3]
            at = pose + 4 * q
            cosine = abs(w * ref[at] + x * ref[at + 1] + y * ref[at + 2] + z * ref[at + 3])
            out.rotation[k, q] = 2.0 * math.acos(min(cosine, 1.0))
            dof = layout.quat_dof[q, 0]
            ex = qvel[dof] - ref[velocity + dof]
            ey = qvel[dof + 1] - ref[velocity + dof + 1]
            ez = qvel[dof + 2] - ref[velocity + dof + 2]
            out.angular_velocity[k, q] = math.sqrt(ex * ex + ey * ey + ez * ez)
            if q > 0:
                vector = _rotation_vector(w, x, y, z)
                for a in range(3):
                    j = dof - 6 + a
                    obs[at_joints + j] = vector[a]
                    obs[at_next_joints + j] = ref[next_joints + j] - vector[a]
                    for f in range(num_ahead):
                        at = layout.window + stride * f + 9 + j
                        obs[at] = rows[before[k, f], next_joints + j] - vector[a]
        for h in range(num_hinges):
            angle, dof = qpos[layout.hinge_qpos[h]], layout.hinge_dof[h]
            out.rotation[k, num_quats + h] = abs(angle - ref[hinge + h])
            out.angular_velocity[k, num_quats + h] = abs(qvel[dof] - ref[velocity + dof])
            j = dof - 6
            obs[at_joints + j] = angle
            obs[at_next_joints + j] = ref[next_joints + j] - angle
            for f in range(num_ahead):
                at = layout.window + stride * f + 9 + j
                obs[at] = rows[before[k, f], next_joints + j] - angle
        if layout.phase >= 0:
            obs[layout.phase], obs[layout.phase + 1] = ref[phase], ref[phase + 1]

        # the window: where the reference's root will be, and how it will be turned
        for f in range(num_ahead):
            later, at = rows[before[k, f]], layout.window + stride * f
            x, y = later[next_pos] - qpos[0], later[next_pos + 1] - qpos[1]
            obs[at] = cos * x + sin * y
            obs[at + 1] = cos * y - sin * x
            obs[at + 2] = later[next_pos + 2] + offsets.ahead[k, f] - qpos[2]
            # its x and z axes in the root's frame; the turn as a vector would jump at half a turn
            w, x = later[next_quat], later[next_quat + 1]
            y, z = later[next_quat + 2], later[next_quat + 3]
            for a in range(3):
                ax, ay, az = axes[a], axes[3 + a], axes[6 + a]
                obs[at + 3 + a] = (
                    ax * (1.0 - 2.0 * (y * y + z * z))
                    + ay * (2.0 * (x * y + w * z))
                    + az * (2.0 * (x * z - w * y))
                )
                obs[at + 6 + a] = (
                    ax * (2.0 * (x * z + w * y))
                    + ay * (2.0 * (y * z - w * x))
                    + az * (1.0 - 2.0 * (x * x + y * y))
                )
