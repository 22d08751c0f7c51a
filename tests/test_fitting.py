"""What reconstruction and retargeting both solve with: truths that hold for either body."""

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

torch = pytest.importorskip("torch")

from sfv_gym import fitting, skeleton  # noqa: E402
from sfv_gym.characters import get_character  # noqa: E402
from sfv_gym.fitting import terms  # noqa: E402
from sfv_gym.fitting.balance import balance, soft_support  # noqa: E402
from sfv_gym.fitting.ballistics import GRAVITY  # noqa: E402
from sfv_gym.fitting.canonical_body import PALMS, SOLES, Body  # noqa: E402
from sfv_gym.fitting.contacts import CanonicalContacts, Contacts  # noqa: E402
from sfv_gym.fitting.grounded import GroundedProblem, GroundedWeights  # noqa: E402
from sfv_gym.fitting.hinge_body import HingeBody  # noqa: E402
from sfv_gym.fitting.hinge_model import HingeModel  # noqa: E402
from sfv_gym.fitting.kinematics import about_x, rotation_matrix  # noqa: E402
from sfv_gym.fitting.tensors import DTYPE, acceleration, tensor  # noqa: E402

FRAMES, FPS = 12, 30.0


def given(name: str, angles: np.ndarray, height: float = 0.0):
    """A body that holds a pose with its lowest point at a height, and its trajectory."""
    body = Body() if name == "humanoid" else HingeBody(_atlas())
    root, rot = torch.zeros(FRAMES, 3, dtype=DTYPE), torch.eye(3, dtype=DTYPE).repeat(FRAMES, 1, 1)
    hinges = tensor(np.tile(angles, (FRAMES, 1)))
    bottoms = body.contact_surface(body.pose(root, rot, hinges)).bottoms
    root = root - torch.tensor([0.0, 0.0, float(bottoms.min()) - height], dtype=DTYPE)
    return body, root, rot, hinges


def _atlas() -> HingeModel:
    return HingeModel(get_character("atlas"))


def upright(name: str) -> np.ndarray:
    return np.zeros(28) if name == "humanoid" else _atlas().stand


def on_both_feet(name: str, touching: bool = True) -> Contacts:
    """With every point of both soles on the ground, or else with nothing."""
    in_air = torch.full((FRAMES,), float(not touching), dtype=DTYPE)
    flights = () if touching else ((0, FRAMES - 1),)
    if name == "humanoid":
        active = torch.zeros(FRAMES, PALMS.stop, dtype=DTYPE)
        active[:, SOLES] = float(touching)
        return CanonicalContacts(active, in_air, flights)
    ends = torch.zeros(FRAMES, len(skeleton.END_EFFECTORS), dtype=DTYPE)
    ends[:, 2:] = float(touching)
    active = HingeBody(_atlas()).points_of(ends)
    return Contacts(active, in_air, flights, torch.zeros(FRAMES, dtype=DTYPE))


BODIES = pytest.mark.parametrize("name", ["humanoid", "atlas"])


@BODIES
def test_who_stands_still_pays_nothing(name):
    body, root, rot, angles = given(name, upright(name))
    problem = GroundedProblem(
        body, root, rot, angles, on_both_feet(name), FPS, weights=GroundedWeights()
    )
    still = {"root": root, "turn": torch.zeros_like(root), "angles": angles}
    assert float(problem.objective(still)) == pytest.approx(0.0, abs=1e-3)
    for change in ([0.0, 0.0, 0.02], [0.0, 0.0, -0.02]):
        moved = {**still, "root": root + torch.tensor(change, dtype=DTYPE)}
        assert float(problem.objective(moved)) > 100


@BODIES
def test_what_touches_may_not_slide_and_what_falls_may(name):
    body, root, rot, angles = given(name, upright(name))
    shift = torch.arange(FRAMES, dtype=DTYPE)[:, None] * torch.tensor([0.01, 0.0, 0.0])
    spread = {"sigma_height": 0.003, "sigma_slide": 0.0015}
    gliding = body.pose(root + shift, rot, angles)
    surface = body.contact_surface(gliding)
    assert float(terms.ground(surface, on_both_feet(name), **spread)) > 100
    flying = terms.ground(surface, on_both_feet(name, touching=False), **spread)
    assert float(flying) == pytest.approx(0.0, abs=1e-9)


@BODIES
def test_a_thrown_body_falls_freely_and_keeps_its_spin(name):
    body, root, rot, angles = given(name, upright(name), height=1.0)
    t = torch.arange(FRAMES, dtype=DTYPE)[:, None] / FPS
    path = root + t * torch.tensor([0.5, 0.0, 2.0], dtype=DTYPE)
    path = path - 0.5 * GRAVITY * t**2 * torch.tensor([0.0, 0.0, 1.0], dtype=DTYPE)
    contacts = on_both_feet(name, touching=False)
    pose = body.pose(path, rot, angles)
    com = body.centre_of_mass(pose)
    push, in_air = acceleration(com, FPS).numpy(), contacts.in_air.numpy()
    assert terms.free_fall(push, in_air)[0] == pytest.approx(0, abs=1e-9)
    assert terms.friction_cone(push)[0] == pytest.approx(0, abs=1e-4)
    spin = terms.constant_spin(body.angular_momentum(pose, FPS), contacts.flights, 1.0)
    assert float(spin) == pytest.approx(0, abs=1e-9)
    hovering = acceleration(body.centre_of_mass(body.pose(root, rot, angles)), FPS)
    assert terms.free_fall(hovering.numpy(), in_air)[0] > 40


def moving(name: str):
    """A body that tumbles near the ground, as leaves: root, its rotation vectors, and angles."""
    rng = np.random.default_rng(4)
    body, root, _, angles = given(name, upright(name), height=0.0)
    leaves = (
        root + tensor(0.05 * rng.normal(size=(FRAMES, 3))),
        tensor(0.3 * rng.normal(size=(FRAMES, 3))),
        angles + tensor(0.1 * rng.normal(size=angles.shape)),
    )
    return body, tuple(leaf.requires_grad_() for leaf in leaves)


def of_links(body, pose) -> torch.Tensor:
    return body.links(pose).pos.sum() + (body.links(pose).rot[..., 0] ** 3).sum()


def on_the_ground(body, pose) -> torch.Tensor:
    contacts = on_both_feet("humanoid" if isinstance(body, Body) else "atlas")
    return terms.ground(body.contact_surface(pose), contacts, sigma_height=0.1, sigma_slide=0.1)


def pushed(body, pose) -> torch.Tensor:
    air = torch.zeros(FRAMES, dtype=DTYPE)
    air[4:9] = 1.0
    return terms.com_dynamics(
        body.centre_of_mass(pose), air, FPS, flight=5.0, support=5.0, contact_acceleration=9.0
    )  # fmt: skip


def balanced(body, pose) -> torch.Tensor:
    contacts = on_both_feet("humanoid" if isinstance(body, Body) else "atlas")
    return balance(
        body.centre_of_mass(pose), body.angular_momentum(pose, FPS), body.mass,
        body.contact_surface(pose).support_points, contacts, FPS, 0.5,
        size=pose.frames[3, 0, 2, :1],
    )  # fmt: skip


def softly_supported(body, pose) -> torch.Tensor:
    return soft_support(
        body.centre_of_mass(pose), body.angular_momentum(pose, FPS), body.mass,
        body.contact_surface(pose), FPS, sigma_height=0.1, sigma_balance=0.1,
        size=pose.frames[3, 0, 2, :1],
    )  # fmt: skip


def jolted(body, pose) -> torch.Tensor:
    return terms.smoothness(
        pose.pos, pose.rot[:, 0], pose.rot[:, 1, 0], FPS, 15.0, 60.0, pose.frames[3, 0, 2, :1]
    )


@BODIES
@pytest.mark.parametrize(
    "term", [of_links, on_the_ground, pushed, balanced, softly_supported, jolted]
)
def test_gradients_are_what_the_terms_change_by(name, term):
    body, leaves = moving(name)

    def value(root, turn, angles):
        return term(body, body.pose(root, rotation_matrix(turn), angles))

    rng = np.random.default_rng(7)
    found = torch.autograd.grad(value(*leaves), leaves)
    for _ in range(3):
        steps = [tensor(rng.normal(size=leaf.shape)) for leaf in leaves]
        ahead, behind = (
            float(value(*(x.detach() + h * s for x, s in zip(leaves, steps, strict=True))))
            for h in (1e-6, -1e-6)
        )
        slope = sum(float((g * s).sum()) for g, s in zip(found, steps, strict=True))
        assert (ahead - behind) / 2e-6 == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_rotation_vectors_and_their_gradient():
    vectors = tensor(np.random.default_rng(2).normal(size=(5, 2, 3)))
    vectors[0, 0] = 0.0
    vectors[0, 1] *= 1e-9
    np.testing.assert_allclose(
        rotation_matrix(vectors).numpy().reshape(-1, 3, 3),
        Rotation.from_rotvec(vectors.numpy().reshape(-1, 3)).as_matrix(),
        atol=1e-14,
    )
    assert torch.autograd.gradcheck(rotation_matrix, (vectors.requires_grad_(),))
    angle = tensor(np.array([0.3]))
    about = rotation_matrix(torch.cat((angle, torch.zeros(2, dtype=DTYPE))))
    np.testing.assert_allclose(about_x(angle).numpy(), about.numpy(), atol=1e-15)


def test_it_stands_below_what_uses_it():
    above = ("reconstruction", "retargeting", "pose", "envs", "train", "extract", "library")
    for path in Path(fitting.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith(tuple(f"sfv_gym.{part}" for part in above)), path
