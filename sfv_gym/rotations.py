"""Rotations as pure array maths: NumPy arrays and torch tensors alike.

Quaternions are wxyz and of unit norm, the last axis holds the components, and all
leading axes broadcast. A rotation vector is axis times angle in radians.
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from sfv_gym.array_types import Shaped

Array = Any  # numpy.ndarray or torch.Tensor; what goes in comes out


def namespace(x: Array) -> Any:
    """The array module that ``x`` belongs to: NumPy itself, or array_api_compat's."""
    # np itself for NumPy: the compat layer's checks cost microseconds per call in the step
    return np if isinstance(x, np.ndarray) else array_api_compat.array_namespace(x)


def quat_multiply(a: Shaped[Array, "*#B 4"], b: Shaped[Array, "*#B 4"]) -> Shaped[Array, "... 4"]:
    """Hamilton product: the rotation ``b`` followed by ``a``. Shapes (..., 4)."""
    xp = namespace(a)
    aw, ax, ay, az = a[..., 0], a[..., 1], a[..., 2], a[..., 3]
    bw, bx, by, bz = b[..., 0], b[..., 1], b[..., 2], b[..., 3]
    return xp.stack(
        (
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ),
        axis=-1,
    )


def quat_conjugate(q: Shaped[Array, "*B 4"]) -> Shaped[Array, "*B 4"]:
    """The inverse rotation of a unit quaternion. Shape (..., 4)."""
    xp = namespace(q)
    return xp.concat((q[..., :1], -q[..., 1:]), axis=-1)


def quat_rotate(q: Shaped[Array, "*#B 4"], v: Shaped[Array, "*#B 3"]) -> Shaped[Array, "... 3"]:
    """Rotate vectors ``v`` (..., 3) by ``q`` (..., 4)."""
    xp = namespace(q)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    vx, vy, vz = v[..., 0], v[..., 1], v[..., 2]
    # t = 2 u x v;  v + w t + u x t
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    return xp.stack(
        (
            vx + w * tx + y * tz - z * ty,
            vy + w * ty + z * tx - x * tz,
            vz + w * tz + x * ty - y * tx,
        ),
        axis=-1,
    )


def quat_to_rotvec(q: Shaped[Array, "*B 4"]) -> Shaped[Array, "*B 3"]:
    """Rotation vector (..., 3) of the shorter way round, |v| <= pi."""
    xp = namespace(q)
    w, u = q[..., 0], q[..., 1:]
    w, u = xp.where(w < 0, -w, w), xp.where(w[..., None] < 0, -u, u)
    # The floor keeps the square root's gradient finite at the identity.
    sine = xp.sqrt((u * u).sum(-1) + 1e-24)
    factor = xp.where(sine < 1e-8, 2 + 0 * sine, 2 * xp.atan2(sine, w) / sine)
    return factor[..., None] * u


def rotvec_to_quat(v: Shaped[Array, "*B 3"]) -> Shaped[Array, "*B 4"]:
    """Unit quaternion (..., 4) of a rotation vector (..., 3)."""
    xp = namespace(v)
    angle = xp.sqrt((v * v).sum(-1) + 1e-24)
    half = 0.5 * angle
    return xp.concat((xp.cos(half)[..., None], (xp.sin(half) / angle)[..., None] * v), axis=-1)


def quat_angle(a: Shaped[Array, "*#B 4"], b: Shaped[Array, "*#B 4"]) -> Shaped[Array, "..."]:
    """Angle in radians (...) of the rotation between ``a`` and ``b``, in 0..pi."""
    xp = namespace(a)
    r = quat_multiply(quat_conjugate(a), b)
    sine = xp.sqrt((r[..., 1:] * r[..., 1:]).sum(-1))
    return 2 * xp.atan2(sine, abs(r[..., 0]))


def quat_slerp(
    a: Shaped[Array, "*#B 4"], b: Shaped[Array, "*#B 4"], t: Shaped[Array, "*#B"]
) -> Shaped[Array, "... 4"]:
    """Spherical interpolation from ``a`` (t = 0) to ``b`` (t = 1), the shorter way."""
    step = quat_to_rotvec(quat_multiply(quat_conjugate(a), b))
    return quat_multiply(a, rotvec_to_quat(t[..., None] * step))


def quat_to_matrix(q: Shaped[Array, "*B 4"]) -> Shaped[Array, "*B 3 3"]:
    """Rotation matrix (..., 3, 3) whose columns are the rotated axes."""
    xp = namespace(q)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    rows = (
        xp.stack((1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)), axis=-1),
        xp.stack((2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)), axis=-1),
        xp.stack((2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)), axis=-1),
    )
    return xp.stack(rows, axis=-2)


def heading(q: Shaped[Array, "*B 4"]) -> Shaped[Array, "*B 4"]:
    """Heading quaternion (..., 4): the rotation about z nearest to ``q`` (swing-twist)."""
    xp = namespace(q)
    w, z = q[..., 0], q[..., 3]
    norm = xp.sqrt(w * w + z * z)
    # Exactly upside down about a horizontal axis there is no nearest one: keep zero heading.
    ok = norm > 1e-9
    safe = xp.where(ok, norm, 1 + 0 * norm)
    w, z = xp.where(ok, w / safe, 1 + 0 * w), xp.where(ok, z / safe, 0 * z)
    return xp.stack((w, 0 * w, 0 * w, z), axis=-1)


def angular_velocity(
    q0: Shaped[Array, "*#B 4"], q1: Shaped[Array, "*#B 4"], dt: float | Array
) -> Shaped[Array, "... 3"]:
    """Mean angular velocity (..., 3) in rad/s in the *body* frame, from ``q0`` to ``q1``."""
    return quat_to_rotvec(quat_multiply(quat_conjugate(q0), q1)) / dt


def quat_continuous(q: Shaped[np.ndarray, "*B 4"], axis: int = 0) -> Shaped[np.ndarray, "*B 4"]:
    """Flip signs along ``axis`` so that neighbouring quaternions lie in one hemisphere."""
    q = np.moveaxis(np.array(q, float), axis, 0)
    dots = np.sum(q[1:] * q[:-1], axis=-1)
    signs = np.cumprod(np.where(dots < 0, -1.0, 1.0), axis=0)
    q[1:] *= signs[..., None]
    return np.moveaxis(q, 0, axis)
