"""CSV: a line a frame, metres and z up, as the motion file has it."""

from __future__ import annotations

import csv
import io

import numpy as np

from sfv_gym import skeleton
from sfv_gym.export.pose import Poses


def csv_bytes(poses: Poses) -> bytes:
    """``time`` in seconds; each link's position in the world, ``NAME_x``, ``NAME_y``, ``NAME_z``;
    then its rotation against its parent, the root's against the world, ``NAME_qw`` to ``NAME_qz``.
    """
    header = ["time"]
    header += [f"{name}_{axis}" for name in skeleton.LINKS for axis in "xyz"]
    header += [f"{name}_q{axis}" for name in skeleton.LINKS for axis in "wxyz"]
    frames = len(poses.root_pos)
    values = np.concatenate(
        (poses.positions.reshape(frames, -1), poses.local_quat.reshape(frames, -1)), axis=1
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for frame, row in enumerate(values):
        writer.writerow([f"{frame / poses.fps:.6f}", *(f"{value:.6f}" for value in row)])
    return text.getvalue().encode("ascii")
