"""Terrains: what is drawn, and that heights, contacts and rays agree about it."""

from __future__ import annotations

import pickle

import mujoco
import numpy as np
import pytest

from sfv_gym.characters import get_character
from sfv_gym.errors import SFVError, UnknownIdError
from sfv_gym.physics import Physics
from sfv_gym.terrains import (
    HEIGHT_MAP_SIZE,
    HEIGHT_MAP_X,
    HEIGHT_MAP_Y,
    TERRAINS,
    Ground,
    get_terrain,
)
from sfv_gym.terrains.terrain import START_HALF

AHEAD, BEHIND = 7.0, 3.0
ROUGH = [name for name in TERRAINS if name != "flat"]
BALL = 0.05  # m, radius


def make(name: str, n: int = 6, difficulty: float = 1.0, seed: int = 0) -> Ground:
    """A drawn ground; environment i draws the same for every n."""
    ground = Ground(get_terrain(name, difficulty), n, ahead=AHEAD, behind=BEHIND)
    redraw(ground, seed)
    return ground


def redraw(ground: Ground, seed: int) -> None:
    n = ground.num_envs
    uniform = np.empty((n, ground.num_uniform))
    origin, yaw = np.empty((n, 2)), np.empty(n)
    for i in range(n):
        rng = np.random.default_rng(100 * seed + i)
        uniform[i], origin[i] = rng.random(ground.num_uniform), rng.normal(size=2)
        yaw[i] = rng.uniform(-np.pi, np.pi)
    ground.draw(np.arange(n), uniform, origin, yaw)
    ground.test_origin, ground.test_yaw = origin, yaw  # type: ignore[attr-defined]


def world(ground: Ground, u: np.ndarray, v: np.ndarray | float = 0.0) -> np.ndarray:
    """World points (n, ..., 2) of points (...) or (n, ...) on the tracks."""
    u, v = np.broadcast_arrays(u, v)
    if u.ndim < 2:
        u, v = (np.broadcast_to(x, (ground.num_envs, *x.shape)) for x in (u, v))
    cos, sin = np.cos(ground.test_yaw), np.sin(ground.test_yaw)  # type: ignore[attr-defined]
    cos, sin = (x.reshape(-1, *(1,) * (u.ndim - 1)) for x in (cos, sin))
    xy = np.stack((u * cos - v * sin, u * sin + v * cos), axis=-1)
    origin = ground.test_origin  # type: ignore[attr-defined]
    return xy + origin.reshape(-1, *(1,) * (u.ndim - 1), 2)


def with_ball(ground: Ground) -> Physics:
    spec = mujoco.MjSpec()
    body = spec.worldbody.add_body(name="ball", pos=[0, 0, 3])
    body.add_freejoint()
    body.add_geom(
        name="ball", type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[BALL, 0, 0], contype=1, conaffinity=0
    )
    spec.option.timestep = 1 / 300
    ground.add_to(spec)
    physics = Physics(spec.compile(), ground.num_envs, 1)
    ground.attach(physics)
    return physics


def along(count: int = 4001) -> np.ndarray:
    """Places on the track, none of them where two pieces meet."""
    return np.linspace(-BEHIND, AHEAD, count) + 1e-4


def test_names_and_difficulties() -> None:
    with pytest.raises(UnknownIdError, match="slopes"):
        get_terrain("hills")
    for name in TERRAINS:
        assert get_terrain(name).name == name
        assert get_terrain(get_terrain(name, 0.2)).difficulty == 0.2
        assert get_terrain(get_terrain(name, 0.2), 0.7).difficulty == 0.7
        for wrong in (-0.1, 1.1, float("nan")):
            with pytest.raises(SFVError, match="difficulty"):
                get_terrain(name, wrong)
        terrain = get_terrain(name, 0.3)
        assert pickle.loads(pickle.dumps(terrain)) == terrain


def test_flat_ground_is_one_plane() -> None:
    ground = make("flat")
    assert ground.is_flat and ground.num_uniform == 0
    physics = with_ball(ground)
    assert physics.model.ngeom == 2 and physics.model.geom("ground").pos[2] == 0.0
    xy = np.random.default_rng(0).normal(size=(6, 4, 2))
    assert (
        not ground.height(slice(None), xy).any() and not ground.height_offset(slice(None), xy).any()
    )
    out = np.ones((6, HEIGHT_MAP_SIZE), np.float32)
    ground.height_map(np.arange(6), xy[:, 0], np.ones(6), np.zeros(6), out)
    assert not out.any()


@pytest.mark.parametrize("name", ROUGH)
def test_draws_come_from_the_uniforms(name: str) -> None:
    u, v = along(), 0.13
    first, again, other = make(name), make(name), make(name, seed=1)
    heights = first.height(slice(None), world(first, u, v))
    np.testing.assert_array_equal(heights, again.height(slice(None), world(again, u, v)))
    different = other.height(slice(None), world(other, u, v)) != heights
    assert different.any(axis=1).all()
    assert (heights[0] != heights[1]).any()

    # a draw for some environments leaves the others alone
    ids = np.array([1, 4])
    rng = np.random.default_rng(7)
    xy = world(first, u, v)
    first.draw(ids, rng.random((2, first.num_uniform)), rng.normal(size=(2, 2)), np.zeros(2))
    changed = (first.height(slice(None), xy) != heights).any(axis=1)
    assert changed.tolist() == [False, True, False, False, True, False]


@pytest.mark.parametrize("name", ROUGH)
def test_an_environment_does_not_depend_on_how_many_there_are(name: str) -> None:
    one, many = make(name, n=1), make(name, n=33)
    scenes = [with_ball(ground) for ground in (one, many)]
    for ground in (one, many):
        redraw(ground, 3)
    u, v = along(), np.linspace(-1, 1, 4001)
    xy = world(one, u, v)
    assert (one.height(slice(None), xy) == many.height(np.array([0]), xy)).all()
    assert (
        one.height_offset(slice(None), xy)
        == many.height_offset(np.arange(33), world(many, u, v))[:1]
    ).all()
    maps = [np.empty((g.num_envs, HEIGHT_MAP_SIZE), np.float32) for g in (one, many)]
    for ground, out in zip((one, many), maps, strict=True):
        n = ground.num_envs
        root = world(ground, 2.0, 0.1)
        ground.height_map(np.arange(n), root, np.full(n, 0.6), np.full(n, 0.8), out)
    assert (maps[0][0] == maps[1][0]).all()
    for field in ("body_pos", "body_quat", "geom_pos", "geom_quat", "geom_size", "bvh_aabb"):
        assert (scenes[0].expand(field)[0] == scenes[1].expand(field)[0]).all(), field


@pytest.mark.parametrize("difficulty", [0.0, 1.0])
@pytest.mark.parametrize("name", ROUGH)
def test_height_is_where_a_ray_from_above_hits(name: str, difficulty: float) -> None:
    ground = make(name, difficulty=difficulty)
    physics = with_ball(ground)
    for seed in (0, 5):
        redraw(ground, seed)
        rng = np.random.default_rng(seed)
        u = rng.uniform(-BEHIND - 0.5, AHEAD + 0.5, (6, 500))
        v = rng.uniform(-1.2, 1.2, (6, 500)) * (1.0 if name == "beam" else 5.5)
        xy = world(ground, u, v)
        above = np.concatenate((xy, np.full((6, 500, 1), 2.5)), axis=-1)
        distance = physics.rays(above, [0.0, 0.0, -1.0], exclude=1)
        np.testing.assert_allclose(2.5 - distance, ground.height(slice(None), xy), atol=1e-9)


@pytest.mark.parametrize("name", ROUGH)
def test_the_start_is_flat(name: str) -> None:
    ground = make(name, n=20)
    near = np.linspace(-0.6, 0.6, 25)
    u, v = (x.ravel() for x in np.meshgrid(near, near))
    assert not ground.height(slice(None), world(ground, u, v)).any()
    assert not ground.height_offset(slice(None), world(ground, np.linspace(-0.3, 0.3, 9))).any()


@pytest.mark.parametrize("name", ROUGH)
def test_the_height_offset_is_gentle(name: str) -> None:
    ground = make(name, n=20)
    u = along(10001)
    offset = ground.height_offset(slice(None), world(ground, u))
    height = ground.height(slice(None), world(ground, u))
    grade = np.abs(np.diff(offset, axis=1)) / np.diff(u)
    if name in ("gaps", "beam"):
        assert not offset.any()
        return
    assert offset.any(axis=1).all()
    assert grade.max() < 0.55  # m/m, at the hardest
    assert np.abs(offset - height).max() < (0.03 if name == "slopes" else 0.1)
    # at each place it is the average of the ground around
    half = ground.terrain.smoothing
    way = np.linspace(-half, half, 801)
    weight = 1 - np.abs(way) / half
    some = np.arange(2000, 9000, 1500)
    around = ground.height(slice(None), world(ground, u[some, None] + way + np.zeros((20, 1, 1))))
    mean = (around * weight).sum(-1) / weight.sum()
    np.testing.assert_allclose(offset[:, some], mean, atol=2e-3)


@pytest.mark.parametrize("name", ROUGH)
def test_difficulty_orders_severity(name: str) -> None:
    severity = []
    for difficulty in (0.0, 0.25, 0.5, 0.75, 1.0):
        ground = make(name, n=20, difficulty=difficulty)
        u = along()
        height = ground.height(slice(None), world(ground, u))
        step = np.abs(np.diff(height, axis=1))
        if name == "slopes":
            severity.append(step.max() / (u[1] - u[0]))
        elif name == "steps":
            severity.append(step.max())
        elif name == "gaps":
            severity.append((height < 0).mean())
        else:
            across = np.linspace(-1, 1, 401)
            beyond = ground.height(slice(None), world(ground, np.full(401, 3.0), across)) < 0
            severity.append(beyond.mean())
    assert np.all(np.diff(severity) > 0)
    easiest, hardest = {
        "slopes": (np.tan(np.radians(3)), np.tan(np.radians(20))),
        "steps": (0.02, 0.18),
        "gaps": (0.05, 0.33),
        "beam": (0.4, 0.88),
    }[name]
    assert 0.7 * easiest < severity[0] <= 1.01 * easiest
    assert 0.8 * hardest < severity[-1] <= 1.05 * hardest


@pytest.mark.parametrize("name", ROUGH)
def test_the_height_map_holds_heights(name: str) -> None:
    ground = make(name)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        root = world(ground, rng.uniform(-2, 6, 6).reshape(6, 1), rng.uniform(-0.3, 0.3))[:, 0]
        heading = rng.uniform(-np.pi, np.pi, 6)
        cos, sin = np.cos(heading), np.sin(heading)
        whole = np.full((6, HEIGHT_MAP_SIZE + 4), np.nan, np.float32)
        ground.height_map(np.arange(6), root, cos, sin, whole[:, 2:-2])
        x, y = np.meshgrid(HEIGHT_MAP_X, HEIGHT_MAP_Y, indexing="ij")
        x, y = (x + 0.2 * y).ravel(), y.ravel()  # 0.04 m ahead of the next row, 0.2 m to its right
        points = root[:, None] + np.stack(
            (cos[:, None] * x - sin[:, None] * y, sin[:, None] * x + cos[:, None] * y), axis=-1
        )
        wanted = (
            ground.height(slice(None), points) - ground.height_offset(slice(None), root)[:, None]
        )
        close = np.abs(whole[:, 2:-2] - np.clip(wanted, -1, 1)) < 1e-6
        assert close.mean() > 0.99  # a point on a border may fall to either side
        assert np.isnan(whole[:, [0, 1, -2, -1]]).all()


def test_the_height_map_sees_edges_more_finely_than_its_points_lie_apart() -> None:
    """Five centimetres further on, the map of a track with gaps is always another one."""
    ground = make("gaps", n=1)
    heading = ground.test_yaw  # type: ignore[attr-defined]
    maps = np.empty((40, 1, HEIGHT_MAP_SIZE), np.float32)
    for k, out in enumerate(maps):
        root = world(ground, np.array([1.0 + 0.05 * k]))[:, 0]
        ground.height_map(slice(None), root, np.cos(heading), np.sin(heading), out)
    assert (maps[1:] != maps[:-1]).any(axis=(1, 2)).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ROUGH)
def test_a_diverged_simulation_harms_no_other(name: str) -> None:
    ground = make(name)
    root = world(ground, np.full((6, 1), 2.0))[:, 0]
    maps = [np.empty((6, HEIGHT_MAP_SIZE), np.float32) for _ in range(2)]
    for out in maps:
        ground.height_map(slice(None), root, np.ones(6), np.zeros(6), out)
        ground.height_offset(slice(None), root)
        root[2], root[4] = np.nan, 1e200
    others = [0, 1, 3, 5]
    assert (maps[0][others] == maps[1][others]).all()


@pytest.mark.parametrize("name", ROUGH)
def test_balls_lie_on_the_ground(name: str) -> None:
    n = 60
    ground = make(name, n=n)
    physics = with_ball(ground)
    redraw(ground, 0)
    qpos, ncon = physics.data("qpos"), physics.data("ncon")
    u = np.linspace(-BEHIND, AHEAD, n)[:, None]
    v = np.zeros(n)[:, None]
    around = world(ground, u + np.array([-0.1, 0, 0.1]), v)
    height = ground.height(slice(None), around)
    level = np.ptp(height, axis=1) < 0.08  # else it lies at an edge
    grade = np.abs(height[:, 2] - height[:, 0]) / 0.2
    over = BALL * np.sqrt(1 + grade**2)
    qpos[:, :2], qpos[:, 2] = around[:, 1], height[:, 1] + over + 0.01
    physics.forward_all()
    assert not ncon[level].any()  # not yet
    deepest, touched = np.zeros(n), np.zeros(n, bool)
    for _ in range(25):
        physics.step(2)
        here = ground.height(slice(None), qpos[:, None, :2])[:, 0]
        deepest = np.maximum(deepest, here + BALL - qpos[:, 2])
        touched |= ncon > 0
    assert touched[level].all()
    assert deepest[level].max() < 0.005
    assert level.mean() > 0.5


@pytest.mark.parametrize("name", ROUGH)
def test_no_contact_is_missed(name: str) -> None:
    """MuJoCo's tree of bounding volumes, fitted to the draw, leaves out no pair that touches."""
    n = 24
    ground = make(name, n=n)
    spec = get_character("humanoid").spec()
    ground.add_to(spec)
    physics = Physics(spec.compile(), n, 1)
    ground.attach(physics)
    redraw(ground, 2)
    rng = np.random.default_rng(0)
    qpos, ncon = physics.data("qpos"), physics.data("ncon")
    u, v = np.linspace(-BEHIND, AHEAD, n)[:, None], rng.uniform(-0.3, 0.3, (n, 1))
    qpos[:, :2] = world(ground, u, v)[:, 0]
    qpos[:, 2] = ground.height(slice(None), world(ground, u, v))[:, 0] + rng.uniform(0, 0.5, n)
    qpos[:, 3:7] = rng.normal(size=(n, 4))
    qpos[:, 3:7] /= np.linalg.norm(qpos[:, 3:7], axis=1, keepdims=True)
    physics.forward_all()
    total = 0
    for i in range(n):
        model = physics.model_of(i)
        model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_MIDPHASE)
        data = mujoco.MjData(model)
        data.qpos[:] = qpos[i]
        mujoco.mj_forward(model, data)
        assert data.ncon == ncon[i]
        total += data.ncon
    assert total > 3 * n


@pytest.mark.parametrize("name", TERRAINS)
def test_a_terrain_alone_can_be_added_to_a_model(name: str) -> None:
    spec = get_character("humanoid").spec()
    Ground(get_terrain(name), 1).add_to(spec)
    model = spec.compile()
    assert model.body(1).name == "root"  # the character's bodies keep their places
    terrain = model.geom_bodyid == model.nbody - 1
    if name != "flat":
        assert terrain.sum() > 10 and not model.geom_sameframe[terrain].any()
        assert START_HALF >= 0.6
