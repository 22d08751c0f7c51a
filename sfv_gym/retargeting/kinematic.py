"""Canonical motion to the joint angles of a hinge-jointed character, by inverse kinematics.

Every frame is a small bounded least-squares problem (``mujoco.minimize``), solved twice. The first
pass matches the pose alone: directions of limbs, orientations of trunk and feet, and the centre of
mass above the feet. It says how high the root has to be and where the feet come down. The second
pass puts the whole body into the world: planted feet and hands stay where they are, the centre of
mass follows the scaled path of the original, and in flight the parabola that gravity prescribes.
Momentum and torques are left to ``feasible``, which goes on from here.
"""

from __future__ import annotations

import numpy as np

from sfv_gym.motion import ReferenceMotion
from sfv_gym.retargeting.frame_problem import FrameProblem
from sfv_gym.retargeting.plan import Plan, fly
from sfv_gym.retargeting.rig import Poses, Retargeted, Rig
from sfv_gym.retargeting.targets import Targets, close_cycle
from sfv_gym.spans import blur

MAX_SPEED = 12.0  # rad/s, of a hinge

# Weights of residuals of hinge angles, in radians.
_STEADY = 0.05  # first pass: each hinge to its angle in the frame before
_SWEEPS, _NEIGHBOURS = 2, 0.4  # after it: each hinge to the mean of the frames around it
_FIRST_PASS = 0.15  # second pass: each hinge to the first pass's result
_SLOWED = 1.5  # the same where that turned it too fast


def solve_kinematics(motion: ReferenceMotion, rig: Rig) -> Retargeted:
    """Find the character's joint angles that show a motion best."""
    targets = Targets(motion, rig)
    wraps = motion.loop == "wrap"
    pose = _first_pass(rig, targets)
    for sweep in range(_SWEEPS):
        if wraps:
            close_cycle(pose.hinges, motion.loop_range)
        _smooth(rig, targets, pose, backwards=sweep % 2 == 0)
    if wraps:
        close_cycle(pose.hinges, motion.loop_range)
    plan = Plan(motion, rig, targets, pose)
    placed = _second_pass(rig, targets, pose, plan)
    if wraps:
        close_cycle(placed.hinges, motion.loop_range)
    np.clip(placed.hinges, rig.lower, rig.upper, out=placed.hinges)
    _settle(rig, targets, placed)
    return Retargeted(rig.qpos(placed), rig.scale)


def _first_pass(rig: Rig, targets: Targets) -> Poses:
    """The pose at every frame, the root being at the origin."""
    frames = len(targets)
    poses = Poses(np.zeros((frames, 3)), np.zeros((frames, 4)), np.zeros((frames, len(rig.stand))))
    unknowns = np.concatenate((np.zeros(6), rig.stand))
    for t in range(frames):
        problem = FrameProblem(rig, targets, t, shift=False)
        problem.hinge_pulls = [(rig.rest_pulls, rig.stand)]
        if t:
            problem.hinge_pulls.append((_STEADY, poses.hinges[t - 1]))
        unknowns = problem.solve(unknowns, max_iter=40 if t else 200)
        _, poses.root_quat[t], poses.hinges[t] = problem.pose(unknowns)
    return poses


def _smooth(rig: Rig, targets: Targets, poses: Poses, backwards: bool) -> None:
    """Solve every frame again, in place, with its hinges pulled to the mean of its neighbours'.

    Where a limb hangs straight down or is stretched, two of its hinges turn it about the same
    axis, and the first pass lets them spin by more than a motor could within a frame.
    """
    last = len(targets) - 1
    for t in range(last, -1, -1) if backwards else range(last + 1):
        problem = FrameProblem(rig, targets, t, shift=False)
        problem.base_quat = poses.root_quat[t]
        mean = 0.5 * (poses.hinges[max(t - 1, 0)] + poses.hinges[min(t + 1, last)])
        problem.hinge_pulls = [(rig.rest_pulls, rig.stand), (_NEIGHBOURS, mean)]
        solution = problem.solve(np.concatenate((np.zeros(6), poses.hinges[t])))
        _, poses.root_quat[t], poses.hinges[t] = problem.pose(solution)


def _second_pass(rig: Rig, targets: Targets, first: Poses, plan: Plan) -> Poses:
    """Every frame's pose in the world, close to the first pass's."""
    frames = len(targets)
    poses = Poses(np.zeros((frames, 3)), np.zeros((frames, 4)), np.zeros_like(first.hinges))
    wanted, pulls = _slow_down(blur(first.hinges), MAX_SPEED / targets.fps)
    for t in range(frames):
        problem = FrameProblem(rig, targets, t, shift=True)
        problem.base_pos, problem.base_quat = plan.root_pos[t], first.root_quat[t]
        problem.hinge_pulls = [(pulls[t], wanted[t])]
        problem.plan = plan
        start = np.concatenate((np.zeros(6), first.hinges[t]))
        poses.root_pos[t], poses.root_quat[t], poses.hinges[t] = problem.pose(problem.solve(start))
    return poses


def _slow_down(hinges: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Smooth hinge angles (T, H) where they change by more than ``step`` radians a frame.

    Returns:
        the angles, and the weights (T, H) with which they are to be kept.
    """
    hinges = hinges.copy()
    weights = np.full(hinges.shape, _FIRST_PASS)
    for _ in range(200):
        frames, fast = np.nonzero(abs(np.diff(hinges, axis=0)) > step)
        if len(frames) == 0:
            break
        near = np.zeros(hinges.shape, bool)
        for shift in range(-1, 3):
            near[np.clip(frames + shift, 0, len(hinges) - 1), fast] = True
        hinges = np.where(near, blur(hinges), hinges)
        weights[near] = _SLOWED
    return hinges, weights


def _settle(rig: Rig, targets: Targets, poses: Poses) -> None:
    """Move flights, in place, so that the centre of mass is on its parabola exactly."""
    if not targets.flights:
        return
    centre = np.zeros((len(targets), 3))
    for t in range(len(targets)):
        rig.place(poses, t)
        centre[t] = rig.centre_of_mass()
    settled = centre.copy()
    fly(targets, settled, rig.scale)
    poses.root_pos += settled - centre
