"""Rotations against SciPy, for NumPy arrays and torch tensors."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from sfv_gym import rotations as R


def from_scipy(rotation: Rotation) -> np.ndarray:
    return np.roll(rotation.as_quat(), 1, axis=-1)


@pytest.fixture(params=[np.asarray, torch.as_tensor], ids=["numpy", "torch"])
def to_array(request):
    return request.param


def test_agrees_with_scipy(to_array):
    rng = np.random.default_rng(0)
    a, b = Rotation.random(200, rng=rng), Rotation.random(200, rng=rng)
    v = rng.normal(size=(200, 3))
    qa, qb = to_array(from_scipy(a)), to_array(from_scipy(b))
    np.testing.assert_allclose(R.quat_to_matrix(qa), a.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(
        R.quat_to_matrix(R.quat_multiply(qa, qb)), (a * b).as_matrix(), atol=1e-12
    )
    np.testing.assert_allclose(R.quat_rotate(qa, to_array(v)), a.apply(v), atol=1e-12)
    np.testing.assert_allclose(R.quat_to_rotvec(qa), a.as_rotvec(), atol=1e-9)
    np.testing.assert_allclose(
        R.quat_to_matrix(R.rotvec_to_quat(to_array(v))), Rotation.from_rotvec(v).as_matrix()
    )
    np.testing.assert_allclose(R.quat_angle(qa, qb), (a.inv() * b).magnitude(), atol=1e-7)


def test_identity_is_smooth_for_gradients():
    q = torch.tensor([[1.0, 0, 0, 0]], dtype=torch.float64, requires_grad=True)
    R.quat_to_rotvec(q).sum().backward()
    assert torch.isfinite(q.grad).all()
    v = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    R.rotvec_to_quat(v).sum().backward()
    np.testing.assert_allclose(v.grad, 0.5, atol=1e-6)


def test_slerp_meets_its_ends_and_takes_the_shorter_way():
    rng = np.random.default_rng(1)
    a, b = from_scipy(Rotation.random(50, rng=rng)), from_scipy(Rotation.random(50, rng=rng))
    for t, end in ((0.0, a), (1.0, b)):
        assert R.quat_angle(R.quat_slerp(a, b, np.full(50, t)), end).max() < 1e-7
    half = R.quat_slerp(a, b, np.full(50, 0.5))
    np.testing.assert_allclose(R.quat_angle(a, half), 0.5 * R.quat_angle(a, b), atol=1e-7)


def test_heading_is_the_yaw_of_an_upright_body():
    yaw = np.linspace(-3, 3, 31)
    upright = from_scipy(Rotation.from_euler("z", yaw[:, None]))
    leaning = R.quat_multiply(upright, from_scipy(Rotation.from_euler("y", 0.4)))
    for q in (upright, leaning):
        assert R.quat_angle(R.heading(q), upright).max() < 1e-7
    upside_down = np.array([[0.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(R.heading(upside_down), [[1, 0, 0, 0]])


def test_angular_velocity_is_in_the_body_frame():
    start = from_scipy(Rotation.from_euler("xyz", [0.3, -0.7, 1.1]))
    omega = np.array([0.5, -1.0, 2.0])
    end = R.quat_multiply(start, R.rotvec_to_quat(omega * 0.01))
    np.testing.assert_allclose(R.angular_velocity(start, end, 0.01), omega, atol=1e-6)


def test_continuous_quaternions_do_not_change_the_rotation():
    rng = np.random.default_rng(2)
    smooth = R.rotvec_to_quat(np.cumsum(rng.normal(scale=0.1, size=(100, 3)), axis=0))
    flipped = smooth * rng.choice([-1, 1], size=(100, 1))
    out = R.quat_continuous(flipped)
    assert (np.sum(out[1:] * out[:-1], axis=-1) > 0).all()
    assert R.quat_angle(out, smooth).max() < 1e-7
