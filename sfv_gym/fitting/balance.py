"""Balance: the distance of the zero-moment point (ZMP) from the support polygon."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch

from sfv_gym.fitting.articulation import Articulation, ContactSurface, Pose
from sfv_gym.fitting.ballistics import GRAVITY
from sfv_gym.fitting.contacts import Contacts
from sfv_gym.fitting.tensors import (
    DTYPE,
    second_difference,
    second_difference_back,
    with_gradient,
)


def balance(
    com: torch.Tensor,
    spin: torch.Tensor,
    mass: float,
    support: torch.Tensor,
    contacts: Contacts,
    fps: float,
    sigma: float,
    *,
    size: torch.Tensor | None = None,
    averaged: bool = True,
) -> torch.Tensor:
    """The zero-moment point lies in the support polygon, the convex hull of what touches.

    A single camera hardly sees depth, so the body leans towards or away from it; a body that
    leans beyond its feet falls, whatever its joints do.

    Args:
        com, spin, mass: see ``zero_moment_point``.
        support: (T, P, 3), the ``support_points`` of a ``ContactSurface``.
        contacts: frames without any do not count.
        sigma: metres, of a body of size 1.
        size: of the body; 1 by default.
        averaged: of the forces over five frames, or else of every single one.
    """
    scale = 3.0

    def term(
        com: np.ndarray, spin: np.ndarray, support: np.ndarray, size: np.ndarray
    ) -> tuple[float, list[np.ndarray]]:
        means = (_averages(len(com)), _averages(len(spin))) if averaged else None
        if means is not None:
            com, spin = means[0] @ com, means[1] @ spin
        point, back = zero_moment_point(com, spin, mass, fps)
        beyond, pull = _beyond(point, support, contacts)
        value, by_beyond = _cauchy(beyond, float(size.sum()) * sigma, scale)
        by_point, by_support = pull(by_beyond)
        by_com, by_spin = back(by_point)
        if means is not None:
            by_com, by_spin = means[0].T @ by_com, means[1].T @ by_spin
        by_size = np.full(size.shape, -float(by_beyond @ beyond) / float(size.sum()))
        return value, [by_com, by_spin, by_support, by_size]

    size = torch.ones(1, dtype=DTYPE) if size is None else size
    return with_gradient(term, com, spin, support, size)


REACH_DOWN = 5.0
"""Metres that a point reaches less far per metre off the ground, see ``soft_support``."""
LOW = 0.03
"""Metres above the ground up to which a point reaches as far as one that touches."""


def soft_support(
    com: torch.Tensor,
    spin: torch.Tensor,
    mass: float,
    surface: ContactSurface,
    fps: float,
    *,
    sigma_height: float,
    sigma_balance: float,
    size: torch.Tensor,
    on_objects: np.ndarray | None = None,
) -> torch.Tensor:
    """Whatever is low supports the body, before contacts are known.

    It stands for ``terms.ground`` and ``balance`` where no contacts were found so far: the lowest
    point lies at z = 0, and the zero-moment point among all points of the body, each of which
    reaches the less far the higher it is. Both are smooth, so that a scene that is turned the wrong
    way can be turned back, and robust, since in flight neither holds.

    Args:
        com, spin, mass: see ``zero_moment_point``.
        sigma_height, sigma_balance: metres, of a body of size 1.
        size: of the body.
        on_objects: (T,) bool, the frames in which something else than the ground supports it, and
            which do not count.
    """
    beyond_scale, low_scale = 3.0, 2.0

    def term(
        com: np.ndarray,
        spin: np.ndarray,
        support: np.ndarray,
        height: np.ndarray,
        bottoms: np.ndarray,
        size: np.ndarray,
    ) -> tuple[float, list[np.ndarray]]:
        means = _averages(len(com)), _averages(len(spin))
        point, back = zero_moment_point(means[0] @ com, means[1] @ spin, mass, fps)
        short = REACH_DOWN * np.maximum(height[1:-1] - LOW, 0.0)
        reach = support[1:-1, :, :2] @ _AROUND.T - short[..., None]  # (T - 2, P, 16)
        over = point @ _AROUND.T - reach.max(1)
        frames, way = np.arange(len(over)), over.argmax(1)
        beyond = np.maximum(over[frames, way], 0.0)
        every, lowest = np.arange(len(bottoms)), bottoms.argmin(1)
        low = bottoms[every, lowest]
        if on_objects is not None:
            beyond, low = beyond * ~on_objects[1:-1], low * ~on_objects

        scale = float(size.sum())
        value, by_beyond = _cauchy(beyond, sigma_balance * scale, beyond_scale)
        cost, by_low = _cauchy(low, sigma_height * scale, low_scale)
        along = by_beyond[:, None] * _AROUND[way]
        farthest = reach[frames, :, way].argmax(1)
        by_support, by_height = np.zeros_like(support), np.zeros_like(height)
        by_support[1 + frames, farthest, :2] = -along
        by_height[1 + frames, farthest] = by_beyond * REACH_DOWN * (short[frames, farthest] > 0)
        by_bottoms = np.zeros_like(bottoms)
        by_bottoms[every, lowest] = by_low
        by_com, by_spin = back(along)
        by_size = np.full(size.shape, -float(by_beyond @ beyond + by_low @ low) / scale)
        return value + cost, [
            means[0].T @ by_com, means[1].T @ by_spin, by_support, by_height, by_bottoms, by_size
        ]  # fmt: skip

    return with_gradient(
        term, com, spin, surface.support_points, surface.height, surface.bottoms, size
    )


def _cauchy(residual: np.ndarray, sigma: float, scale: float) -> tuple[float, np.ndarray]:
    """The sum of `terms.cauchy` of residuals in units of ``sigma``, and the gradient by them."""
    grown = 1 + (residual / (scale * sigma)) ** 2
    return scale**2 * float(np.log(grown).sum()), 2 * residual / (sigma**2 * grown)


def out_of_balance(body: Articulation, pose: Pose, contacts: Contacts, fps: float) -> np.ndarray:
    """Metres (H,) by which the zero-moment point lies beyond what touches, where anything does.

    The distance is that to the convex hull, measured along 16 directions.
    """
    com, spin = body.centre_of_mass(pose).numpy(), body.angular_momentum(pose, fps).numpy()
    com, spin = _averages(len(com)) @ com, _averages(len(spin)) @ spin
    point, _ = zero_moment_point(com, spin, body.mass, fps)
    return _beyond(point, body.contact_surface(pose).support_points.numpy(), contacts)[0]


_AROUND = np.stack([f(np.arange(16) * (2 * np.pi / 16)) for f in (np.cos, np.sin)], 1)
"""(16, 2) unit vectors."""


def _beyond(
    point: np.ndarray, support: np.ndarray, contacts: Contacts
) -> tuple[np.ndarray, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """Metres (H,) from the support polygon to the zero-moment point (T - 2, 2), 0 in it.

    Returns:
        them, and how a gradient by them becomes ones by ``point`` and ``support`` (T, P, 3).
    """
    stance = contacts.stance
    frames, points = stance.frames, stance.points
    # frames in the air are left out: their reach is infinite
    spots = support[1 + frames[:, None], points, :2]  # (H, Q, 2)
    reach = spots @ _AROUND.T + stance.barrier[..., None]  # (H, Q, 16)
    over = point[frames] @ _AROUND.T - reach.max(1) if len(frames) else np.zeros((0, 16))
    each, way = np.arange(len(frames)), over.argmax(1)
    found = np.maximum(over[each, way], 0.0)

    def back(by: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        by_point, by_support = np.zeros_like(point), np.zeros_like(support)
        if len(frames):
            along = (by * (found > 0))[:, None] * _AROUND[way]
            by_point[frames] = along
            farthest = points[reach[each, :, way].argmax(1)]
            by_support[1 + frames, farthest, :2] = -along
        return by_point, by_support

    return found, back


def zero_moment_point(
    com: np.ndarray, spin: np.ndarray, mass: float, fps: float
) -> tuple[np.ndarray, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]]:
    """(T - 2, 2) metres, where on z = 0 the ground reaction force acts.

    Args:
        com: (T, 3) metres. spin: (T - 1, 3) kg m2/s about it, between frames.

    Returns:
        it, and how a gradient by it becomes ones by ``com`` and ``spin``.
    """
    force = second_difference(com) * (mass * fps**2)  # (T - 2, 3)
    force[:, 2] += mass * GRAVITY
    torque = (spin[1:, 1::-1] - spin[:-1, 1::-1]) * [-fps, fps]
    least = 0.25 * GRAVITY * mass
    up = np.maximum(force[:, 2:], least)
    centre, across = com[1:-1], force[:, :2]
    # (p - c) x F = dL/dt for a point p on the ground, solved for its x and y
    arm = (torque - centre[:, 2:] * across) / up

    def back(by: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        by_moment = by / up
        by_force = np.empty_like(force)
        by_force[:, :2] = -centre[:, 2:] * by_moment
        by_force[:, 2] = -(by_moment * arm).sum(1) * (force[:, 2] > least)
        by_com = second_difference_back(by_force * (mass * fps**2))
        by_com[1:-1, :2] += by
        by_com[1:-1, 2] -= (by_moment * across).sum(1)
        by_turn = (by_moment * [-fps, fps])[:, ::-1]
        by_spin = np.zeros_like(spin)
        by_spin[1:, :2] = by_turn
        by_spin[:-1, :2] -= by_turn
        return by_com, by_spin

    return centre[:, :2] + arm, back


@lru_cache(maxsize=32)
def _averages(frames: int) -> np.ndarray:
    """(T, T), by which a sequence becomes its binomial average over five frames; ends are held."""
    at, found = np.arange(frames), np.zeros((frames, frames))
    for shift, tap in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
        found += tap / 16 * np.eye(frames)[(at + shift).clip(0, frames - 1)]
    return found
