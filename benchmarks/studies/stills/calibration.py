"""What matches are ranked by, tried on other pictures than those that are published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np
from rich.console import Console
from rich.progress import Progress

from sfv_gym.benchmarks.studies.stills.frames import Frame
from sfv_gym.benchmarks.studies.stills.kin import kin
from sfv_gym.benchmarks.studies.stills.measure import still_of
from sfv_gym.completion.nearest import CONTACT, DEPTH, Match, nearest
from sfv_gym.errors import SFVError
from sfv_gym.motion import ReferenceMotion

CONTACTS = (0.0, 0.01, 0.02, 0.03)
DEPTHS = (1.0, 0.7, 0.5, 0.3)
QUANTILES = (0.5, 0.9, 1.0)


class Ranking(TypedDict):
    """How the right skill stands, with what contacts and depths count.

    ``first``, ``three``: in how many pictures it is first, and among the first three.
    ``reciprocal``: mean of one over its rank, the right skill's kin counting, too.
    """

    contact: float
    depth: float
    first: int
    three: int
    reciprocal: float


class Calibration(TypedDict):
    """Figures of other pictures.

    ``right``, ``foreign``: metres at ``QUANTILES``, of the right skill's nearest state and of the
    nearest of those that are not its kin, as motions are ranked now.
    """

    seed: int
    pictures: int
    clips: int
    right: list[float]
    foreign: list[float]
    rankings: list[Ranking]


def calibrate(frames: Sequence[Frame], seed: int, out: Path, console: Console) -> Calibration:
    """Figures of ``frames``; their pictures and poses stay in ``out``. Pictures without a pose are
    left out.

    Raises:
        VideoError: a clip cannot be read.
        OutputError: something cannot be written.
    """
    posed: list[tuple[Frame, ReferenceMotion]] = []
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=len(frames))
        for frame in frames:
            bar.update(task, advance=1, description=frame.name)
            try:
                posed.append((frame, still_of(frame.save(out))))
            except SFVError as error:
                console.print(f"{frame.name}: {error}", markup=False)
    now = [_distances(frame, _ranked(still, CONTACT, DEPTH)) for frame, still in posed]
    right, foreign = np.quantile(np.array(now).reshape(-1, 2), QUANTILES, axis=0).T
    return {
        "seed": seed,
        "pictures": len(posed),
        "clips": len({frame.clip for frame, _ in posed}),
        "right": np.round(right, 4).tolist(),
        "foreign": np.round(foreign, 4).tolist(),
        "rankings": [_ranking(posed, contact, depth) for contact in CONTACTS for depth in DEPTHS],
    }


def _ranked(still: ReferenceMotion, contact: float, depth: float) -> list[Match]:
    return nearest(still, still.num_frames // 2, contact=contact, depth=depth)


def _ranking(
    posed: Sequence[tuple[Frame, ReferenceMotion]], contact: float, depth: float
) -> Ranking:
    ranks, kin_ranks = [], []
    for frame, still in posed:
        names = [match.skill for match in _ranked(still, contact, depth)]
        ranks.append(names.index(frame.skill) + 1)
        kin_ranks.append(1 + min(names.index(one) for one in kin(frame.skill)))
    return {
        "contact": contact,
        "depth": depth,
        "first": sum(rank == 1 for rank in ranks),
        "three": sum(rank <= 3 for rank in ranks),
        "reciprocal": round(float(np.mean(1 / np.array(kin_ranks))), 3),
    }


def _distances(frame: Frame, matches: Sequence[Match]) -> tuple[float, float]:
    """Metres of the right skill's nearest state, and of the nearest that is not its kin's."""
    own = kin(frame.skill)
    right = next(match.distance for match in matches if match.skill == frame.skill)
    return right, next(match.distance for match in matches if match.skill not in own)
