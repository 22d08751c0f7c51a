"""A retargeted motion brought within a character's physics: its own masses and its own motors.

Inverse kinematics solves frame by frame, and knows neither momentum nor torque. A robot whose trunk
and arms are heavy then swings itself out of balance, spins up in the air, and asks its ankles for
ten times what they have. Here the whole trajectory is solved at once, by the same objective as the
humanoid's (``fitting.grounded``), and on top of it: joint torques by inverse dynamics within the
motors' limits, and a zero-moment point that the ankles can hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.ballistics import enforce_ballistic_flight
from sfv_gym.fitting.contacts import Contacts
from sfv_gym.fitting.grounded import GroundedProblem, GroundedWeights
from sfv_gym.fitting.hinge_body import HingeBody
from sfv_gym.fitting.kinematics import rotation_matrix
from sfv_gym.fitting.solver import Variables, one_thread
from sfv_gym.fitting.tensors import DTYPE, matrices, tensor
from sfv_gym.motion import ReferenceMotion
from sfv_gym.retargeting.rig import Retargeted, Rig
from sfv_gym.retargeting.targets import Targets, close_cycle
from sfv_gym.rotations import quat_continuous

WEIGHTS = GroundedWeights()
HINGE = 0.6
"""Radians, a joint's angle against the inverse kinematics'."""
TORQUE_SHARE, TORQUE_SPREAD = 0.8, 0.1
"""Of a motor's limit: what costs nothing, and how much more costs 1. The cost grows as the square:
one that forgives large torques gathers what a motor lacks in single frames, with jumps in velocity
that no motor follows, and what comes after them is lost as well."""
ITERATIONS = 250


def make_feasible(
    kinematic: Retargeted,
    motion: ReferenceMotion,
    rig: Rig,
    callback: Callable[[], None] | None = None,
) -> Retargeted:
    """The trajectory nearest to a kinematic one that the character could follow.

    Args:
        kinematic: what `kinematic.solve_kinematics` found for ``motion`` and ``rig``.
        callback: called after each of at most ``ITERATIONS`` iterations.

    Raises:
        MotionError: the solver came to values that are not finite.
    """
    with one_thread():
        body = HingeBody(rig)
        touch, contacts = _contacts(body, Targets(motion, rig))
        root, rot = tensor(kinematic.qpos[:, :3]), matrices(kinematic.qpos[:, 3:7])
        angles = tensor(np.clip(kinematic.qpos[:, 7:], rig.lower, rig.upper))
        cycle = None
        if motion.loop == "wrap":
            cycle = int(motion.loop_range[0]), int(motion.loop_range[1])
        problem = GroundedProblem(
            body, root, rot, angles, contacts, motion.fps,
            weights=WEIGHTS, cycle=cycle, averaged=False,
            own=_own_terms(body, angles, touch, motion, kinematic.scale, cycle),
        )  # fmt: skip
        found = problem.solve((rig.lower, rig.upper), ITERATIONS, callback)
        root_pos, hinges = found["root"].numpy(), found["angles"].numpy()
        quat = Rotation.from_matrix(problem.rotations(found).numpy()).as_quat()
        quat = quat_continuous(np.roll(quat, 1, axis=-1))
        if motion.loop == "wrap":
            close_cycle(hinges, motion.loop_range)
        np.clip(hinges, rig.lower, rig.upper, out=hinges)
        pose = body.pose(tensor(root_pos), matrices(quat), tensor(hinges))
        com = body.centre_of_mass(pose).numpy()
    root_pos = enforce_ballistic_flight(root_pos, com, contacts.flights, motion.fps)
    return Retargeted(np.concatenate((root_pos, quat, hinges), axis=1), kinematic.scale)


def _contacts(body: HingeBody, targets: Targets) -> tuple[torch.Tensor, Contacts]:
    """Which of the character's end effectors touch (T, 4), and what of the body does with them;
    where none does and it does not fly, something else lies on the ground."""
    air = np.zeros(len(targets))
    for first, last in targets.flights:
        air[first : last + 1] = 1.0
    touch = tensor((targets.planted >= 0.5) & (air == 0)[:, None])  # (T, 4)
    in_air = tensor(air)
    return touch, Contacts(
        active=body.points_of(touch),
        in_air=in_air,
        flights=tuple(targets.flights),
        unattributed=(1 - in_air) * (1 - touch.amax(1)),
        raised=None if targets.raised is None else body.points_of(tensor(targets.raised)),
    )


def _own_terms(
    body: HingeBody,
    angles: torch.Tensor,
    touch: torch.Tensor,
    motion: ReferenceMotion,
    scale: float,
    cycle: tuple[int, int] | None,
) -> Callable[[Variables, Pose], torch.Tensor]:
    """What a robot's trajectory is asked for besides: hinges near the given angles (T, H), torques
    within the motors' limits, and a cycle that ends where the next one begins."""
    # the ground may help a hinge beyond which something touches it
    helped = touch[1:-1] @ tensor(body.distal_effectors).T
    alone = (helped == 0).to(DTYPE)
    step = tensor(scale * motion.loop_offset[:3])
    turn = rotation_matrix(tensor(np.array([0.0, 0.0, motion.loop_offset[3]])))

    def own(v: Variables, pose: Pose) -> torch.Tensor:
        total = (v["angles"] - angles).square().sum() / HINGE**2
        share = body.torques(pose, motion.fps).abs() / body.limits
        over = torch.relu(share - TORQUE_SHARE) / TORQUE_SPREAD
        total = total + (alone * over.square()).sum()
        if cycle is not None:
            first, last = cycle
            again = turn @ v["root"][first] + step
            total = total + (v["root"][last] - again).square().sum() / WEIGHTS.contact_height**2
        return total

    return own
