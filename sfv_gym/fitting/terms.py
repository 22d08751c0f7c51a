"""The terms of the fit, each a sum over the clip of squares in units of their spread.

Every weight is one over a standard deviation that can be argued about: pixels, radians, metres,
m/s2. Paper section 3 (motion reconstruction) has l_2D, l_3D and l_sm; ground and gravity are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from sfv_gym.fitting.articulation import ContactSurface, Pose
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.fitting.contacts import Contacts
from sfv_gym.fitting.tensors import (
    DTYPE,
    second_difference,
    second_difference_back,
    with_gradient,
)


def cauchy(square: torch.Tensor, scale: float) -> torch.Tensor:
    """Robust version of a squared residual: grows as a logarithm beyond ``scale`` deviations."""
    return scale**2 * torch.log1p(square / scale**2)


def _robust_sum(
    square: torch.Tensor, weights: torch.Tensor, sigma: float, scale: float
) -> torch.Tensor:
    """The weighted sum of ``cauchy`` of squares in units of ``sigma``."""
    return scale**2 * (weights * torch.log1p(square / (scale * sigma) ** 2)).sum()


def reprojection(
    projected: torch.Tensor, pixels: torch.Tensor, weights: torch.Tensor, sigma_px: float
) -> torch.Tensor:
    """l_2D: robust distance (T, M, 2) between projected markers and landmarks."""
    return _robust_sum((projected - pixels).square().sum(-1), weights, sigma_px, 3.0)


def smoothness(
    pos: torch.Tensor,
    root_rot: torch.Tensor,
    angles: torch.Tensor,
    fps: float,
    sigma_pos: float,
    sigma_rot: float,
    size: torch.Tensor | None = None,
) -> torch.Tensor:
    """l_sm: accelerations of the links (m/s2), of the root's rotation and the angles (rad/s2).

    Robust from one spread on: most of a motion is calmer than that, and the rest, a take-off or a
    foot that strikes the ground, may be as sudden as it looks.

    Args:
        pos: (T, B, 3) metres. root_rot: (T, 3, 3). angles: (T, N) radians.
        size: of the body, which ``sigma_pos`` grows with; 1 by default.
    """
    size = torch.ones(1, dtype=DTYPE) if size is None else size
    term = _smoothness(pos.shape[1], angles.shape[1], fps, sigma_pos, sigma_rot)
    return with_gradient(term, pos, root_rot, angles, size)


@lru_cache(maxsize=8)
def _smoothness(
    links: int, angles: int, fps: float, sigma_pos: float, sigma_rot: float
) -> Callable[..., tuple[float, list[np.ndarray]]]:
    sigmas = np.array([sigma_pos] * links + [sigma_rot] * (1 + angles))
    scales = np.array([1.0] * links + [1.5] * (1 + angles))
    # which squares of numbers' second differences make a residual's, in units of its spread and of
    # the scale from which on it is robust, and what the residuals' logarithms count
    groups = np.zeros((3 * links + 9 + angles, len(scales)))
    groups[: 3 * links, :links] = np.tile(np.eye(links), (3, 1))
    groups[3 * links : -angles, links] = 0.5
    groups[-angles:, -angles:] = np.eye(angles)
    groups *= (fps**2 / (sigmas * scales)) ** 2
    # frame rates differ: the sum stands for an integral over time
    weights = scales**2 * min(1.0, 30.0 / fps)
    rotation, bends = 3 * links, 3 * links + 9

    def term(
        pos: np.ndarray, root_rot: np.ndarray, joints: np.ndarray, size: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        frames = len(pos)
        every = np.empty((bends + angles, frames))
        every[:rotation] = pos.T.reshape(-1, frames)
        every[:rotation] /= size
        every[rotation:bends] = root_rot.reshape(frames, 9).T
        every[bends:] = joints.T
        jolt = second_difference(every.T).T
        squares = groups.T @ (jolt * jolt)
        value = float((weights @ np.log1p(squares)).sum())
        by = 2 * jolt * (groups @ (weights[:, None] / (1 + squares)))
        back = second_difference_back(by.T).T
        back[:rotation] /= size
        by_size = -np.vdot(back[:rotation], every[:rotation])
        return value, [
            back[:rotation].reshape(3, links, frames).T,
            back[rotation:bends].T.reshape(frames, 3, 3),
            back[bends:].T,
            np.full(size.shape, by_size),
        ]

    return term


def stillness(angles: torch.Tensor, fps: float, frames: np.ndarray, sigma: float) -> torch.Tensor:
    """Velocities (rad/s) of the angles (T, N) into or out of ``frames`` (T,) bool."""
    moves = torch.as_tensor(frames[1:] | frames[:-1])
    speed = (angles[1:] - angles[:-1])[moves] * fps / sigma
    return speed.square().sum() * min(1.0, 30.0 / fps)


def ground(
    surface: ContactSurface, contacts: Contacts, *, sigma_height: float, sigma_slide: float
) -> torch.Tensor:
    """What touches lies at z = 0, or on its object's top, and does not slide unless it may; nothing
    goes below the ground.

    Args:
        sigma_height, sigma_slide: metres, and metres per frame.
    """
    lifts, slides = contacts.weights(surface.height_weights, surface.slide_weights)
    # what is below the ground is surely wrong, what is above it may be a lifted heel
    up, down, along = sigma_height**-2, 4 * sigma_height**-2, sigma_slide**-2
    unattributed = None if contacts.unattributed is None else contacts.unattributed.numpy()
    raised = None if contacts.raised is None else contacts.raised.numpy()

    def term(
        place: np.ndarray, height: np.ndarray, bottoms: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        if raised is not None:
            height = height - raised
        by_height = lifts * height
        value = up * float(np.vdot(by_height, height))
        below = np.minimum(bottoms, 0.0)
        value += down * float(np.vdot(below, below))
        by_bottoms = 2 * down * below
        if unattributed is not None:
            lowest, frames = bottoms.argmin(1), np.arange(len(bottoms))
            above = np.maximum(bottoms[frames, lowest], 0.0)
            value += up * float(unattributed @ above**2)
            by_bottoms[frames, lowest] += 2 * up * unattributed * above
        step = place[1:, :, :2] - place[:-1, :, :2]
        by_step = slides[..., None] * step
        value += along * float(np.vdot(by_step, step))
        by_place = np.zeros_like(place)
        by_step *= 2 * along
        by_place[1:, :, :2] = by_step
        by_place[:-1, :, :2] -= by_step
        return value, [by_place, 2 * up * by_height, by_bottoms]

    return with_gradient(term, surface.points, surface.height, surface.bottoms)


def com_dynamics(
    com: torch.Tensor,
    in_air: torch.Tensor,
    fps: float,
    *,
    flight: float,
    support: float,
    contact_acceleration: float,
) -> torch.Tensor:
    """Accelerations of the centre of mass (T, 3): gravity in the air, else a bounded ground force.

    Args:
        in_air: (T,) in 0..1, where nothing touches.
        flight, support, contact_acceleration: spreads in m/s2, see ``free_fall``,
            ``friction_cone`` and ``stance_acceleration``.
    """
    air = in_air.numpy()

    def term(place: np.ndarray) -> tuple[float, list[np.ndarray]]:
        acceleration = second_difference(place) * fps**2
        parts = (
            (flight, free_fall(acceleration, air)),
            (support, friction_cone(acceleration)),
            (contact_acceleration, stance_acceleration(acceleration, air)),
        )
        value = sum(cost / sigma**2 for sigma, (cost, _) in parts)
        by_acceleration = np.sum([by / sigma**2 for sigma, (_, by) in parts], axis=0)
        return value, [second_difference_back(fps**2 * by_acceleration)]

    return with_gradient(term, com)


def free_fall(acceleration: np.ndarray, in_air: np.ndarray) -> tuple[float, np.ndarray]:
    """The centre of mass, of ``acceleration`` (T - 2, 3), falls with g in the frames (T,)
    where nothing touches: the cost in (m/s2)^2, and its gradient.

    Only frames whose neighbours are in the air too count, so an error of a frame in the instant
    of take-off does no harm.
    """
    inner = in_air[1:-1] * in_air[2:] * in_air[:-2]
    off = acceleration + np.array([0.0, 0.0, GRAVITY])
    by = inner[:, None] * off
    return float(np.vdot(by, off)), 2 * by


def friction_cone(acceleration: np.ndarray, friction: float = 1.0) -> tuple[float, np.ndarray]:
    """The ground pushes and never pulls: the force on the centre of mass lies in a cone.

    Per unit of mass it is ``acceleration`` (T - 2, 3) minus gravity; its vertical part is not
    negative and its horizontal part at most ``friction`` times that. Holds in contact and in
    flight alike. Returns the cost in (m/s2)^2 and its gradient.
    """
    up = acceleration[:, 2] + GRAVITY
    along = np.sqrt((acceleration[:, :2] ** 2).sum(1) + 1e-6)
    pull = np.minimum(up, 0.0)
    slip = np.maximum(along - friction * np.maximum(up, 0.0), 0.0)
    by = np.empty_like(acceleration)
    by[:, :2] = (2 * slip / along)[:, None] * acceleration[:, :2]
    by[:, 2] = 2 * pull - 2 * friction * slip * (up > 0)
    return float(pull @ pull + slip @ slip), by


def stance_acceleration(acceleration: np.ndarray, in_air: np.ndarray) -> tuple[float, np.ndarray]:
    """The centre of mass's ``acceleration`` (T - 2, 3) in m/s2 where something touches
    (``in_air`` (T,)): no blows, no jumps. Returns the cost in (m/s2)^2 and its gradient."""
    by = (1 - in_air[1:-1])[:, None] * acceleration
    return float(np.vdot(by, acceleration)), 2 * by


def constant_spin(
    spin: torch.Tensor, flights: tuple[tuple[int, int], ...], sigma: float
) -> torch.Tensor:
    """In flight the angular momentum (T - 1, 3) about the centre of mass keeps its value.

    Args:
        sigma: kg m2/s.
    """
    total = torch.zeros((), dtype=DTYPE)
    for first, last in flights:
        if last > first:
            during = spin[first:last]
            total = total + (during - during.mean(0)).square().sum()
    return total / sigma**2


def closing(angles: torch.Tensor, pose: Pose, cycle: tuple[int, int]) -> torch.Tensor:
    """How far a cycle's two ends differ, in pose, in root height, and one frame on and back."""
    first, last = cycle
    total = 10 * (pose.pos[first, 0, 2] - pose.pos[last, 0, 2]).square()
    for step in (-1, 0, 1):
        a, b = first + step, last + step
        if a < 0 or b >= len(angles):
            continue
        total = total + (angles[a] - angles[b]).square().sum()
        total = total + 0.5 * (pose.rot[a, 0] - pose.rot[b, 0]).square().sum()
    return total
