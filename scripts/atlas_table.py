"""Measure what Atlas's trajectories ask for and write the table in docs/architecture.md.

Run: python scripts/atlas_table.py
"""

from pathlib import Path

import numpy as np

from sfv_gym.assessment import Imitability, assess
from sfv_gym.characters import get_character
from sfv_gym.registry import find_motion
from sfv_gym.retargeting import store
from sfv_gym.retargeting.kinematic import solve_kinematics
from sfv_gym.retargeting.rig import Rig

PAGE = Path(__file__).parents[1] / "docs" / "architecture.md"
HEAD = "| motion | humanoid | Atlas, kinematics alone | Atlas, as it ships |"


def main() -> None:
    atlas = get_character("atlas")
    rig = Rig(atlas)
    solved = store.retargeted
    rows: list[tuple[str, list[float]]] = []
    for path in sorted(store.shipped_folder().glob("*.npz")):
        motion = find_motion(path.stem)
        ships = assess(motion, "atlas")
        plain = solve_kinematics(motion, rig)
        store.retargeted = lambda *_, plain=plain: plain
        kinematic = assess(motion, "atlas")
        store.retargeted = solved
        shares = [one.feasible_fraction for one in (assess(motion), kinematic, ships)]
        rows.append((path.stem, [*shares, torque(kinematic), torque(ships)]))
    rows.append(("**median**", np.median([values for _, values in rows], axis=0).tolist()))
    table = [
        f"| {name} | " + " | ".join(f"{100 * v:.0f} %" for v in values[:3])
        + " | " + " | ".join(f"{v:.1f}" for v in values[3:]) + " |"
        for name, values in rows
    ]  # fmt: skip
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    first = next(i for i, line in enumerate(lines) if line.startswith(HEAD)) + 2
    last = next(i for i in range(first, len(lines)) if not lines[i].startswith("|"))
    PAGE.write_text("\n".join([*lines[:first], *table, *lines[last:]]), encoding="utf-8")


def torque(one: Imitability) -> float:
    """95th percentile over the steps of the largest torque, in multiples of its motor's limit."""
    return float(np.percentile(one.torque_ratio.max(1), 95))


if __name__ == "__main__":
    main()
