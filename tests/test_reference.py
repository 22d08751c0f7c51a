"""Reference tables: what is kept of them for the next environment."""

from dataclasses import replace

import numpy as np
import pytest
from motions import moved, swing

from sfv_gym.characters import get_character
from sfv_gym.envs import reference
from sfv_gym.envs.reference import References, ReferenceTable, reference_table
from sfv_gym.motion import ReferenceMotion

HUMANOID, DT = get_character("humanoid"), 1.0 / 30.0


@pytest.fixture(autouse=True)
def empty(monkeypatch):
    """Nothing is kept yet."""
    monkeypatch.setattr(reference, "_recent", {})


def table(motion: ReferenceMotion, horizon: int = 20, lead: float = 0.0) -> ReferenceTable:
    return reference_table(motion, HUMANOID, DT, horizon, lead)


def test_a_table_is_kept_for_the_same_motion_and_no_other():
    motion = swing(period=40)
    first = table(motion)
    assert table(motion) is first and table(replace(motion)) is first
    others = [
        table(moved(motion, 0.5, (1.0, 0.0))),
        table(motion, horizon=21),
        table(motion, lead=0.1),
        table(swing()),
        reference_table(motion, HUMANOID, DT / 2, 20, 0.0),
    ]
    assert all(other is not first for other in others)
    motion.root_pos[:, 2] += 0.1  # in place: it is another motion now
    raised = table(motion)
    np.testing.assert_allclose(raised.qpos[:, 2], first.qpos[:, 2] + 0.1)
    assert table(swing(period=40)) is first


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(reference, "KEPT_TABLES", 2)
    first, second, third = (table(swing(frames=frames)) for frames in (31, 41, 51))
    assert table(swing(frames=51)) is third and table(swing(frames=41)) is second
    assert table(swing(frames=31)) is not first
    monkeypatch.setattr(reference, "KEPT_BYTES", 0)
    assert table(swing(frames=61)) is not table(swing(frames=61))


def test_environments_write_to_arrays_of_their_own():
    kept = table(swing())
    References([kept]).qpos[:] = 7.0
    assert not (kept.qpos == 7.0).any()
