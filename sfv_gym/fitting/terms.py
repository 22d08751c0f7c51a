"""The terms of the fit, each a sum over the clip of squares in units of their spread.

Every weight is one over a standard deviation that can be argued about: pixels, radians, metres,
m/s2. Paper section 3 (motion reconstruction) has l_2D, l_3D and l_sm; ground and gravity are ours.
"""

from __future__ import annotations

import numpy as np
import torch

from sfv_gym.fitting.articulation import Articulation, P, Pose
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.fitting.contacts import Contacts
from sfv_gym.fitting.tensors import DTYPE


def cauchy(square: torch.Tensor, scale: float) -> torch.Tensor:
    """Robust version of a squared residual: grows as a logarithm beyond ``scale`` deviations."""
    return scale**2 * torch.log1p(square / scale**2)


def reprojection(
    projected: torch.Tensor, pixels: torch.Tensor, weights: torch.Tensor, sigma_px: float
) -> torch.Tensor:
    """l_2D: robust distance (T, M, 2) between projected markers and landmarks."""
    square = ((projected - pixels) / sigma_px).square().sum(-1)
    return (weights * cauchy(square, 3.0)).sum()


def direction_agreement(
    markers: torch.Tensor,
    pairs: torch.Tensor,
    directions: torch.Tensor,
    weights: torch.Tensor,
    sigma: float,
    across: float = 0.3,
) -> torch.Tensor:
    """l_3D: markers (T, M, 3) in the camera's frame against unit directions (T, D, 3).

    Directions and not positions: a landmark network's lengths change with the view.

    Args:
        across: how much of the residual across the view counts. The 2D landmarks know that part
            better, and a direction seen too flat would shorten the bone instead of turning it.
    """
    line = markers[:, pairs[:, 1]] - markers[:, pairs[:, 0]]
    line = line / torch.sqrt(line.square().sum(-1, keepdim=True) + 1e-8)
    square = (line - directions).square()
    square = (across**2 * square[..., :2].sum(-1) + square[..., 2]) / sigma**2
    return (weights * cauchy(square, 3.0)).sum()


def acceleration(positions: torch.Tensor, fps: float) -> torch.Tensor:
    """Second differences (T - 2, ...) of positions (T, ...) per second squared."""
    return (positions[2:] - 2 * positions[1:-1] + positions[:-2]) * fps**2


def smoothness(
    pose: Pose, angles: torch.Tensor, fps: float, sigma_pos: float, sigma_rot: float
) -> torch.Tensor:
    """l_sm: accelerations of the links (m/s2), of the root's rotation and the angles (rad/s2).

    Robust from one spread on: most of a motion is calmer than that, and the rest, a take-off or a
    foot that strikes the ground, may be as sudden as it looks.
    """
    links = acceleration(pose.pos, fps).square().sum(-1) / sigma_pos**2
    turn = acceleration(pose.rot[:, 0], fps).square().sum((-1, -2)) / (2 * sigma_rot**2)
    bend = acceleration(angles, fps).square() / sigma_rot**2
    total = cauchy(links, 1.0).sum() + cauchy(turn, 1.5).sum() + cauchy(bend, 1.5).sum()
    # frame rates differ: the sum stands for an integral over time
    return total * min(1.0, 30.0 / fps)


def stillness(angles: torch.Tensor, fps: float, frames: np.ndarray, sigma: float) -> torch.Tensor:
    """Velocities (rad/s) of the angles (T, N) into or out of ``frames`` (T,) bool."""
    moves = torch.as_tensor(frames[1:] | frames[:-1])
    speed = (angles[1:] - angles[:-1])[moves] * fps / sigma
    return speed.square().sum() * min(1.0, 30.0 / fps)


def ground(
    body: Articulation[P],
    pose: P,
    contacts: Contacts,
    *,
    sigma_height: float | torch.Tensor,
    sigma_slide: float | torch.Tensor,
) -> torch.Tensor:
    """What touches lies at z = 0, and does not slide unless it may; nothing goes below it.

    Args:
        sigma_height, sigma_slide: metres, and metres per frame.
    """
    under = body.underside(pose)
    lift = sink = slide = torch.zeros((), dtype=DTYPE)
    for patch, held in zip(under.patches, contacts.held, strict=True):
        lift = lift + patch.firmness * (held * patch.height.square()).sum()
    if contacts.resting is not None:
        lowest = torch.cat(under.bottoms, 1).amin(1)
        lift = lift + (contacts.resting * torch.relu(lowest).square()).sum()
    for bottoms in under.bottoms:
        sink = sink + torch.relu(-bottoms).square().sum()
    for patch, held in zip(under.patches, contacts.held, strict=True):
        if not patch.slides:
            both = torch.minimum(held[1:], held[:-1])
            step = patch.place[1:, :, :2] - patch.place[:-1, :, :2]
            slide = slide + (both * step.square().sum(-1)).sum()
    # what is below the ground is surely wrong, what is above it may be a lifted heel
    return ((lift + 4 * sink) / sigma_height**2 + slide / sigma_slide**2).sum()


REACH_DOWN = 2.0
"""Metres off the support for each metre that a point is off the ground, see ``borne``."""
LOW = 0.03
"""Metres above the ground below which a point bears as if it touched, see ``borne``."""


def borne(
    body: Articulation[P],
    pose: P,
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
        sigma_height, sigma_balance: metres.
    """
    under = body.underside(pose)
    lowest = torch.cat(under.bottoms, 1).amin(1)
    com, spin = _smooth(body.centre_of_mass(pose)), _smooth(body.angular_momentum(pose, fps))
    point = zero_moment_point(com, spin, body.mass, fps)
    spots = torch.cat([patch.bearing[..., :2] for patch in under.patches], 1)
    heights = torch.cat(
        [patch.height.expand(patch.bearing.shape[:2]) for patch in under.patches], 1
    )
    directions = _compass(point)
    reach = spots @ directions.T - REACH_DOWN * torch.relu(heights - LOW)[..., None]
    beyond = torch.relu(point @ directions.T - reach[1:-1].amax(1)).amax(-1)
    off = cauchy(lowest.square() / sigma_height**2, 2.0).sum()
    return off + cauchy(beyond.square() / sigma_balance**2, 3.0).sum()


def free_fall(
    com: torch.Tensor, in_air: torch.Tensor, fps: float, sigma: float | torch.Tensor
) -> torch.Tensor:
    """The centre of mass (T, 3) falls with g in the frames (T,) where nothing touches.

    Only frames whose neighbours are in the air too count, so an error of a frame in the instant
    of take-off does no harm.
    """
    pull = acceleration(com, fps)
    pull = pull + torch.tensor([0.0, 0.0, GRAVITY], dtype=com.dtype)
    inner = in_air[1:-1] * in_air[2:] * in_air[:-2]
    return ((inner[:, None] * pull.square()).sum() / sigma**2).sum()


def support(
    com: torch.Tensor, fps: float, sigma: float | torch.Tensor, friction: float = 1.0
) -> torch.Tensor:
    """The ground pushes and never pulls: the force on the centre of mass lies in a cone.

    Per unit of mass it is acceleration minus gravity; its vertical part is not negative and its
    horizontal part at most ``friction`` times that. Holds in contact and in flight alike.
    """
    force = acceleration(com, fps)
    up = force[:, 2] + GRAVITY
    along = torch.sqrt(force[:, :2].square().sum(-1) + 1e-6)
    pull = torch.relu(-up).square()
    slip = torch.relu(along - friction * torch.relu(up)).square()
    return ((pull.sum() + slip.sum()) / sigma**2).sum()


def effort(
    com: torch.Tensor, in_air: torch.Tensor, fps: float, sigma: float | torch.Tensor
) -> torch.Tensor:
    """The centre of mass's acceleration (m/s2) where something touches: no blows, no jumps."""
    touching = 1 - in_air[1:-1]
    return ((touching[:, None] * acceleration(com, fps).square()).sum() / sigma**2).sum()


def steady_spin(
    body: Articulation[P],
    pose: P,
    flights: tuple[tuple[int, int], ...],
    fps: float,
    sigma: float | torch.Tensor,
) -> torch.Tensor:
    """In flight the angular momentum about the centre of mass keeps its value.

    Args:
        sigma: kg m2/s.
    """
    total = torch.zeros((), dtype=DTYPE)
    for first, last in flights:
        if last > first:
            spin = body.angular_momentum(pose.during(first, last), fps)
            total = total + ((spin - spin.mean(0)).square().sum() / sigma**2).sum()
    return total


def balance(
    body: Articulation[P],
    pose: P,
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
        contacts: frames without any do not count.
        sigma: metres.
        averaged: of the push over five frames, or else of that of every single one.
    """
    point, spots, touching = _push_and_spots(body, pose, contacts, fps, averaged)
    return within_support(point, spots, touching, sigma)


def out_of_balance(body: Articulation[P], pose: P, contacts: Contacts, fps: float) -> torch.Tensor:
    """Metres (held,) by which the zero-moment point lies beyond what touches, where anything does.

    The distance is that to the convex hull, measured along 16 directions.
    """
    return _beyond(*_push_and_spots(body, pose, contacts, fps, averaged=True))


def _push_and_spots(
    body: Articulation[P], pose: P, contacts: Contacts, fps: float, averaged: bool
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Zero-moment points (T - 2, 2), what may touch the ground (T, P, 3), what does (T, P)."""
    com, spin = body.centre_of_mass(pose), body.angular_momentum(pose, fps)
    if averaged:
        com, spin = _smooth(com), _smooth(spin)
    point = zero_moment_point(com, spin, body.mass, fps)
    spots = [patch.bearing for patch in body.underside(pose).patches]
    touching = [
        held.expand(bearing.shape[:2]) for held, bearing in zip(contacts.held, spots, strict=True)
    ]
    return point, torch.cat(spots, 1), torch.cat(touching, 1)


def zero_moment_point(
    com: torch.Tensor, spin: torch.Tensor, mass: float, fps: float
) -> torch.Tensor:
    """(T - 2, 2) metres, where on z = 0 the ground's push acts.

    Args:
        com: (T, 3) metres. spin: (T - 1, 3) kg m2/s about it, between frames.
    """
    force = acceleration(com, fps) + torch.tensor([0.0, 0.0, GRAVITY], dtype=com.dtype)
    force = mass * force  # (T - 2, 3)
    torque = (spin[1:] - spin[:-1]) * fps
    up = torch.clamp(force[:, 2], min=0.25 * GRAVITY * mass)
    centre = com[1:-1]
    # (p - c) x F = dL/dt for a point p on the ground, solved for its x and y
    return torch.stack(
        (
            centre[:, 0] - (torque[:, 1] + centre[:, 2] * force[:, 0]) / up,
            centre[:, 1] + (torque[:, 0] - centre[:, 2] * force[:, 1]) / up,
        ),
        -1,
    )


def within_support(
    point: torch.Tensor,
    spots: torch.Tensor,
    touching: torch.Tensor,
    sigma: float | torch.Tensor,
) -> torch.Tensor:
    """Zero-moment points (T - 2, 2) against the hull of the spots (T, P, 3) that touch (T, P)."""
    return cauchy(_beyond(point, spots, touching).square() / sigma**2, 3.0).sum()


def _beyond(point: torch.Tensor, spots: torch.Tensor, touching: torch.Tensor) -> torch.Tensor:
    """Metres (held,) from the hull of what touches to the zero-moment point, 0 within it."""
    touching, spots = touching[1:-1], spots[1:-1, :, :2]
    directions = _compass(point)
    # frames in the air are left out, not masked: their reach is infinite and so its gradient NaN
    held = touching.amax(-1) >= 0.5
    reach = (spots[held] @ directions.T).masked_fill(touching[held][..., None] < 0.5, -torch.inf)
    return torch.relu(point[held] @ directions.T - reach.amax(1)).amax(-1)


def _compass(like: torch.Tensor) -> torch.Tensor:
    """(16, 2) unit vectors all around."""
    angles = torch.arange(16, dtype=like.dtype) * (2 * torch.pi / 16)
    return torch.stack((torch.cos(angles), torch.sin(angles)), -1)


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


def _smooth(x: torch.Tensor) -> torch.Tensor:
    """Binomial average over five frames (T, 3); the ends are held."""
    padded = torch.cat((x[:1], x[:1], x, x[-1:], x[-1:]))
    taps = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
    return torch.stack([w * padded[i : i + len(x)] for i, w in enumerate(taps)]).sum(0)
