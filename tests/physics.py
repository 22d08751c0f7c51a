"""Physics truths that hold for any character."""

import mujoco
import numpy as np


def assert_momentum_is_kept_in_flight(
    model: mujoco.MjModel, data: mujoco.MjData, atol: float
) -> None:
    """For 60 steps from ``data``, a state in the air, only gravity changes the momentum.

    ``atol`` is of the velocity of the centre of mass, m/s.
    """
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    before, spin = data.subtree_linvel[0].copy(), data.subtree_angmom[0].copy()
    steps = 60
    for _ in range(steps):
        mujoco.mj_step(model, data)
    mujoco.mj_forward(model, data)
    mujoco.mj_subtreeVel(model, data)
    fallen = steps * model.opt.timestep * model.opt.gravity
    np.testing.assert_allclose(data.subtree_linvel[0], before + fallen, atol=atol)
    np.testing.assert_allclose(data.subtree_angmom[0], spin, atol=0.1 * np.linalg.norm(spin))


def assert_it_comes_to_rest(model: mujoco.MjModel, data: mujoco.MjData, seconds: float) -> None:
    """After ``seconds`` it lies still and is nowhere deeper than 5 mm in the ground."""
    for _ in range(int(seconds / model.opt.timestep)):
        mujoco.mj_step(model, data)
    assert abs(data.qvel).max() < 0.05
    assert data.contact.dist[: data.ncon].min() > -0.005
