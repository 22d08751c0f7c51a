"""Randomised physics and pushes."""

import mujoco
import numpy as np
import pytest
from motions import swing

from sfv_gym.envs import DomainRandomization, ImitationVectorEnv, Pushes
from sfv_gym.errors import SFVError

ONLY = {"mass": 0.0, "friction": 0.0, "gains": 0.0, "latency": 0.0}


def make(n=4, **options):
    env = ImitationVectorEnv(
        swing(period=60), n, num_threads=1, initialization="fixed", termination=False, **options
    )
    env.reset(seed=0)
    return env


def play(env, steps=10):
    for _ in range(steps):
        observation, *_ = env.step(np.zeros((env.num_envs, 28)))
    return observation


def test_every_part_differs_by_environment_and_episode_and_stays_in_its_range():
    env = make(16, randomization=DomainRandomization(0.2, 0.3, 0.1, 0.02))
    seen = []
    for _ in range(2):
        env.reset()
        models = [env.simulation.physics.model_of(i) for i in range(16)]
        nominal = env.simulation.model
        mass = np.array([m.body_mass[1:] / nominal.body_mass[1:] for m in models])
        assert abs(mass - 1).max() <= 0.2 and mass.std() > 0.05
        inertia = np.array([m.body_inertia[1:] / nominal.body_inertia[1:] for m in models])
        np.testing.assert_allclose(inertia, mass[..., None] * np.ones(3))
        friction = np.array([m.geom_friction[:, 0] for m in models])
        assert abs(friction - 1).max() <= 0.3 and friction[:, 0].std() > 0.05
        kp = np.array([m.actuator_gainprm[:, 0] / nominal.actuator_gainprm[:, 0] for m in models])
        assert abs(kp - 1).max() <= 0.1 + 1e-9 and kp[:, 0].std() > 0.02
        np.testing.assert_allclose(
            [m.actuator_gainprm[:, 0] for m in models],
            [-m.actuator_biasprm[:, 1] for m in models],
        )
        delay = np.array([m.actuator_delay[0] for m in models])
        assert delay.min() >= 0 and delay.max() <= 0.02 and delay.std() > 0.003
        seen.append(mass)
    assert abs(seen[0] - seen[1]).max() > 0.05


def test_heavier_links_weigh_more_on_the_ground():
    """The drawn masses reach the physics: in the air, total force is the drawn total weight."""
    env = make(4, randomization=DomainRandomization(**{**ONLY, "mass": 0.2}))
    weight = env.simulation.physics.data("qfrc_bias")[:, 2]
    total = [env.simulation.physics.model_of(i).body_mass.sum() for i in range(4)]
    env.simulation.physics.data("qvel")[:] = 0.0
    env.simulation.physics.forward_all()
    np.testing.assert_allclose(weight, 9.81 * np.array(total), rtol=1e-6)
    assert np.std(total) > 0.5


def test_latency_delays_the_targets():
    late = make(1, randomization=DomainRandomization(**{**ONLY, "latency": 0.1}))
    delay = late.simulation.physics.expand("actuator_delay")
    forces = {}
    for seconds in (0.0, 0.1):
        late.reset(seed=0)
        delay[:] = seconds
        force = late.simulation.physics.data("actuator_force")
        action = np.full((1, 28), 0.3)
        late.step(action)
        forces[seconds] = force.copy()
    prompt = make(1)
    prompt.step(np.full((1, 28), 0.3))
    np.testing.assert_allclose(
        forces[0.0], prompt.simulation.physics.data("actuator_force"), rtol=1e-6
    )
    assert abs(forces[0.1]).max() < 0.5 * abs(forces[0.0]).max()


def test_randomization_does_not_depend_on_the_batch():
    options = {"randomization": DomainRandomization(), "pushes": Pushes(interval=0.3)}
    one, many = make(1, **options), make(5, **options)
    np.testing.assert_array_equal(play(one, 20)[0], play(many, 20)[0])


def test_a_push_changes_momentum_by_force_times_duration():
    pushes = Pushes(force=90.0, duration=0.2, interval=0.4, angle=0.0)
    env = make(1, pushes=pushes)
    still = make(1)
    at = int(env.simulation._pushes._start[0, 0])
    mass = env.simulation.model.body_mass.sum()
    for e in (env, still):
        e.simulation.qpos[:, 2] += 50.0  # in free fall, so that only the push counts
        e.simulation.physics.forward_all()
        for _ in range(at + 6):
            e.step(np.zeros((1, 28)))
    velocity = []
    for e in (env, still):
        data = e.simulation.physics.data_of(0)
        mujoco.mj_subtreeVel(e.simulation.model, data)
        velocity.append(data.subtree_linvel[0].copy())
    change = mass * (velocity[0] - velocity[1])
    np.testing.assert_allclose(change, [90.0 * 0.2, 0.0, 0.0], atol=1.5)


def test_pushes_are_drawn_from_half_to_full_and_from_one_side_are_full():
    sizes = {}
    for angle in (None, 0.5):
        env = make(64, pushes=Pushes(force=80.0, interval=0.4, angle=angle))
        sizes[angle] = env.simulation._pushes._size
    assert 40.0 <= sizes[None].min() < 45.0 and 75.0 < sizes[None].max() <= 80.0
    assert (sizes[0.5] == 80.0).all()


def test_wrong_settings_are_refused():
    for wrong in (
        lambda: DomainRandomization(mass=1.0),
        lambda: DomainRandomization(latency=-0.1),
        lambda: Pushes(force=-1.0),
        lambda: Pushes(duration=1.0, interval=0.5),
    ):
        with pytest.raises(SFVError):
            wrong()
