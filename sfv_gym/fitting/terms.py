"""The terms of the fit, each a sum over the clip of squares in units of their spread.

Every weight is one over a standard deviation that can be argued about: pixels, radians, metres,
m/s2. Paper section 3 (motion reconstruction) has l_2D, l_3D and l_sm; ground and gravity are ours.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from sfv_gym.fitting.articulation import Articulation, Pose, Underside
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.fitting.contacts import Contacts
from sfv_gym.fitting.tensors import DTYPE, acceleration

_DOWN = torch.tensor([0.0, 0.0, GRAVITY], dtype=DTYPE)


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


def direction_agreement(
    lines: torch.Tensor,
    directions: torch.Tensor,
    weights: torch.Tensor,
    sigma: float,
    across: float = 0.3,
) -> torch.Tensor:
    """l_3D: lines between markers (T, D, 3) in the camera's frame against unit directions.

    Directions and not positions: a landmark network's lengths change with the view.

    Args:
        across: how much of the residual across the view counts. The 2D landmarks know that part
            better, and a direction seen too flat would shorten the bone instead of turning it.
    """
    length = torch.sqrt(lines.square().sum(-1, keepdim=True) + 1e-8)
    off = (lines / length - directions) * torch.tensor([across, across, 1.0], dtype=DTYPE)
    return _robust_sum(off.square().sum(-1), weights, sigma, 3.0)


def smoothness(
    pos: torch.Tensor,
    root_rot: torch.Tensor,
    angles: torch.Tensor,
    fps: float,
    sigma_pos: float,
    sigma_rot: float,
) -> torch.Tensor:
    """l_sm: accelerations of the links (m/s2), of the root's rotation and the angles (rad/s2).

    Robust from one spread on: most of a motion is calmer than that, and the rest, a take-off or a
    foot that strikes the ground, may be as sudden as it looks.

    Args:
        pos: (T, B, 3) metres. root_rot: (T, 3, 3). angles: (T, N) radians.
    """
    every = torch.cat((pos.flatten(1), root_rot.flatten(1), angles), 1)
    squares, scales = _smooth_groups(pos.shape[1], angles.shape[1], fps, sigma_pos, sigma_rot)
    return (torch.log1p(acceleration(every).square() @ squares) @ scales).sum()


@lru_cache(maxsize=8)
def _smooth_groups(
    links: int, angles: int, fps: float, sigma_pos: float, sigma_rot: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which squares of numbers' second differences make a residual's, in units of its spread and
    of the scale from which on it is robust (3 B + 9 + N, B + 1 + N), and what the residuals'
    logarithms count."""
    groups = torch.block_diag(
        torch.eye(links, dtype=DTYPE).repeat_interleave(3, 0),
        torch.full((9, 1), 0.5, dtype=DTYPE),
        torch.eye(angles, dtype=DTYPE),
    )
    sigmas = torch.tensor([sigma_pos] * links + [sigma_rot] * (1 + angles), dtype=DTYPE)
    scales = torch.tensor([1.0] * links + [1.5] * (1 + angles), dtype=DTYPE)
    # frame rates differ: the sum stands for an integral over time
    return groups * (fps**2 / (sigmas * scales)) ** 2, scales**2 * min(1.0, 30.0 / fps)


def stillness(angles: torch.Tensor, fps: float, frames: np.ndarray, sigma: float) -> torch.Tensor:
    """Velocities (rad/s) of the angles (T, N) into or out of ``frames`` (T,) bool."""
    moves = torch.as_tensor(frames[1:] | frames[:-1])
    speed = (angles[1:] - angles[:-1])[moves] * fps / sigma
    return speed.square().sum() * min(1.0, 30.0 / fps)


def ground(
    under: Underside, contacts: Contacts, *, sigma_height: float, sigma_slide: float
) -> torch.Tensor:
    """What touches lies at z = 0, and does not slide unless it may; nothing goes below it.

    Args:
        sigma_height, sigma_slide: metres, and metres per frame.
    """
    lift = (contacts.held * under.firmness * under.height.square()).sum()
    if contacts.resting is not None:
        lowest = under.bottoms.amin(1)
        lift = lift + (contacts.resting * torch.relu(lowest).square()).sum()
    sink = torch.clamp(under.bottoms, max=0.0).square().sum()
    step = torch.diff(under.place[..., :2], dim=0).square()
    slide = ((contacts.held_on * under.grip)[..., None] * step).sum()
    # what is below the ground is surely wrong, what is above it may be a lifted heel
    return lift / sigma_height**2 + sink * (4 / sigma_height**2) + slide / sigma_slide**2


REACH_DOWN = 5.0
"""Metres off the support for each metre that a point is off the ground, see ``borne``."""
LOW = 0.03
"""Metres above the ground below which a point bears as if it touched, see ``borne``."""


def borne(
    com: torch.Tensor,
    spin: torch.Tensor,
    mass: float,
    under: Underside,
    fps: float,
    *,
    sigma_height: float | torch.Tensor,
    sigma_balance: float | torch.Tensor,
) -> torch.Tensor:
    """Something low bears the body, though nobody knows yet what: ``ground`` and ``balance`` for
    a scene in which no contacts were found so far.

    The lowest point lies at z = 0, and the zero-moment point among the points of the body, each of
    which reaches the less far the higher it is. It is smooth in everything, so that a scene that is
    turned the wrong way can be turned back; robust, since in flight neither holds.

    Args:
        com, spin, mass: see ``zero_moment_point``.
        sigma_height, sigma_balance: metres.
    """
    com, spin = _averages(len(com)) @ com, _averages(len(spin)) @ spin
    point = zero_moment_point(com, spin, mass, fps)
    reach = under.bearing[1:-1, :, :2] @ _AROUND.T  # (T - 2, P, 16)
    reach = reach - REACH_DOWN * torch.relu(under.height[1:-1] - LOW)[..., None]
    beyond = torch.relu(point @ _AROUND.T - reach.amax(1)).amax(-1)
    off = cauchy((under.bottoms.amin(1) / sigma_height).square(), 2.0).sum()
    return off + cauchy((beyond / sigma_balance).square(), 3.0).sum()


def free_fall(push: torch.Tensor, in_air: torch.Tensor, sigma: float) -> torch.Tensor:
    """The centre of mass, of acceleration ``push`` (T - 2, 3), falls with g in the frames (T,)
    where nothing touches.

    Only frames whose neighbours are in the air too count, so an error of a frame in the instant
    of take-off does no harm.
    """
    inner = in_air[1:-1] * in_air[2:] * in_air[:-2]
    return ((push + _DOWN).square().sum(-1) @ inner) / sigma**2


def support(push: torch.Tensor, sigma: float, friction: float = 1.0) -> torch.Tensor:
    """The ground pushes and never pulls: the force on the centre of mass lies in a cone.

    Per unit of mass it is acceleration ``push`` (T - 2, 3) minus gravity; its vertical part is not
    negative and its horizontal part at most ``friction`` times that. Holds in contact and in
    flight alike.
    """
    up = push[:, 2] + GRAVITY
    along = torch.sqrt(push[:, :2].square().sum(-1) + 1e-6)
    pull = torch.clamp(up, max=0.0).square().sum()
    slip = torch.relu(along - friction * torch.relu(up)).square().sum()
    return (pull + slip) / sigma**2


def effort(push: torch.Tensor, in_air: torch.Tensor, sigma: float) -> torch.Tensor:
    """The centre of mass's acceleration ``push`` (T - 2, 3) in m/s2 where something touches
    (``in_air`` (T,)): no blows, no jumps."""
    return (push.square().sum(-1) @ (1 - in_air[1:-1])) / sigma**2


def steady_spin(
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


def balance(
    com: torch.Tensor,
    spin: torch.Tensor,
    mass: float,
    bearing: torch.Tensor,
    contacts: Contacts,
    fps: float,
    sigma: float | torch.Tensor,
    *,
    averaged: bool = True,
) -> torch.Tensor:
    """The ground's push acts between the points that touch: the zero-moment point is among them.

    A single camera hardly sees depth, so the body leans towards or away from it; a body that
    leans beyond its feet falls, whatever its joints do.

    Args:
        com, spin, mass: see ``zero_moment_point``.
        bearing: see ``Underside``.
        contacts: frames without any do not count.
        sigma: metres.
        averaged: of the push over five frames, or else of that of every single one.
    """
    if averaged:
        com, spin = _averages(len(com)) @ com, _averages(len(spin)) @ spin
    beyond = _beyond(zero_moment_point(com, spin, mass, fps), bearing, contacts)
    return cauchy((beyond / sigma).square(), 3.0).sum()


def out_of_balance(body: Articulation, pose: Pose, contacts: Contacts, fps: float) -> torch.Tensor:
    """Metres (held,) by which the zero-moment point lies beyond what touches, where anything does.

    The distance is that to the convex hull, measured along 16 directions.
    """
    com, spin = body.centre_of_mass(pose), body.angular_momentum(pose, fps)
    com, spin = _averages(len(com)) @ com, _averages(len(spin)) @ spin
    point = zero_moment_point(com, spin, body.mass, fps)
    return _beyond(point, body.underside(pose).bearing, contacts)


def _beyond(point: torch.Tensor, bearing: torch.Tensor, contacts: Contacts) -> torch.Tensor:
    """Metres (held,) from the hull of what touches to the zero-moment point (T - 2, 2), 0 in it."""
    standing = contacts.standing
    if not len(standing.frames):
        return torch.zeros(0, dtype=DTYPE)
    spots = bearing.movedim(-1, 0)[:2, 1:-1, standing.points].index_select(1, standing.frames)
    # frames in the air are left out, not masked: their reach is infinite and so its gradient NaN
    reach = (_AROUND @ spots.flatten(1)).view(-1, *spots.shape[1:]) + standing.barrier
    beyond = _AROUND @ point.index_select(0, standing.frames).T - reach.amax(-1)
    return torch.relu(beyond.amax(0))


_AROUND = torch.stack(
    [f(torch.arange(16, dtype=DTYPE) * (2 * torch.pi / 16)) for f in (torch.cos, torch.sin)], 1
)
"""(16, 2) unit vectors."""


def zero_moment_point(
    com: torch.Tensor, spin: torch.Tensor, mass: float, fps: float
) -> torch.Tensor:
    """(T - 2, 2) metres, where on z = 0 the ground's push acts.

    Args:
        com: (T, 3) metres. spin: (T - 1, 3) kg m2/s about it, between frames.
    """
    force = mass * (acceleration(com, fps) + _DOWN)  # (T - 2, 3)
    torque = torch.diff(spin[:, :2], dim=0).flip(1) * torch.tensor([-fps, fps], dtype=DTYPE)
    up = torch.clamp(force[:, 2:], min=0.25 * GRAVITY * mass)
    centre = com[1:-1]
    # (p - c) x F = dL/dt for a point p on the ground, solved for its x and y
    return centre[:, :2] + (torque - centre[:, 2:] * force[:, :2]) / up


@lru_cache(maxsize=32)
def _averages(frames: int) -> torch.Tensor:
    """(T, T), by which a sequence becomes its binomial average over five frames; ends are held."""
    found = torch.zeros(frames, frames, dtype=DTYPE)
    at = torch.arange(frames)
    for shift, tap in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
        found += tap / 16 * torch.eye(frames, dtype=DTYPE)[(at + shift).clamp(0, frames - 1)]
    return found


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
