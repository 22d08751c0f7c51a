"""What reconstruction and retargeting both solve with: truths that hold for either body."""

import ast
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sfv_gym import fitting, skeleton  # noqa: E402
from sfv_gym.characters import get_character  # noqa: E402
from sfv_gym.fitting import terms  # noqa: E402
from sfv_gym.fitting.ballistics import GRAVITY  # noqa: E402
from sfv_gym.fitting.canonical_body import PALMS, SOLES, Body  # noqa: E402
from sfv_gym.fitting.contacts import CanonicalContacts, Contacts  # noqa: E402
from sfv_gym.fitting.grounded import GroundedProblem, GroundedWeights  # noqa: E402
from sfv_gym.fitting.hinge_body import HingeBody  # noqa: E402
from sfv_gym.fitting.hinge_model import HingeModel  # noqa: E402
from sfv_gym.fitting.tensors import DTYPE, acceleration, tensor  # noqa: E402

FRAMES, FPS = 12, 30.0


def given(name: str, angles: np.ndarray, height: float = 0.0):
    """A body that holds a pose with its lowest point at a height, and its trajectory."""
    body = Body() if name == "humanoid" else HingeBody(_atlas())
    root, rot = torch.zeros(FRAMES, 3, dtype=DTYPE), torch.eye(3, dtype=DTYPE).repeat(FRAMES, 1, 1)
    hinges = tensor(np.tile(angles, (FRAMES, 1)))
    bottoms = body.underside(body.pose(root, rot, hinges)).bottoms
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
        held = torch.zeros(FRAMES, PALMS.stop, dtype=DTYPE)
        held[:, SOLES] = float(touching)
        return CanonicalContacts(held, in_air, flights)
    ends = torch.zeros(FRAMES, len(skeleton.END_EFFECTORS), dtype=DTYPE)
    ends[:, 2:] = float(touching)
    held = HingeBody(_atlas()).points_of(ends)
    return Contacts(held, in_air, flights, torch.zeros(FRAMES, dtype=DTYPE))


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
def test_what_is_held_may_not_slide_and_what_falls_may(name):
    body, root, rot, angles = given(name, upright(name))
    shift = torch.arange(FRAMES, dtype=DTYPE)[:, None] * torch.tensor([0.01, 0.0, 0.0])
    spread = {"sigma_height": 0.003, "sigma_slide": 0.0015}
    gliding = body.pose(root + shift, rot, angles)
    under = body.underside(gliding)
    assert float(terms.ground(under, on_both_feet(name), **spread)) > 100
    flying = terms.ground(under, on_both_feet(name, touching=False), **spread)
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
    push = acceleration(com, FPS)
    assert float(terms.free_fall(push, contacts.in_air, 0.2)) == pytest.approx(0, abs=1e-9)
    assert float(terms.support(push, 1.0)) == pytest.approx(0, abs=1e-4)
    spin = terms.steady_spin(body.angular_momentum(pose, FPS), contacts.flights, 1.0)
    assert float(spin) == pytest.approx(0, abs=1e-9)
    hovering = acceleration(body.centre_of_mass(body.pose(root, rot, angles)), FPS)
    assert float(terms.free_fall(hovering, contacts.in_air, 0.2)) > 1000


def test_it_stands_below_what_uses_it():
    above = ("reconstruction", "retargeting", "pose", "envs", "train", "extract", "library")
    for path in Path(fitting.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith(tuple(f"sfv_gym.{part}" for part in above)), path
