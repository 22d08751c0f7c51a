"""BVH: centimetres, y up, facing z; rotations about z, x and y, in that order.

The root has six channels, its position first; every other link has three. Each rotation is
Rz Rx Ry with angles in degrees, as most motion capture is written.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from sfv_gym import skeleton
from sfv_gym.export.pose import TIPS, TO_Y_UP, Poses
from sfv_gym.rotations import quat_to_matrix

CENTIMETRES = 100.0
ROTATIONS = "Zrotation Xrotation Yrotation"


def bvh_bytes(poses: Poses) -> bytes:
    """The whole file."""
    lines = ["HIERARCHY"]
    _write_link(lines, poses, 0, "")
    order = _depth_first(0)
    matrices = TO_Y_UP @ quat_to_matrix(poses.local_quat[:, order]) @ TO_Y_UP.T
    angles = Rotation.from_matrix(matrices.reshape(-1, 3, 3)).as_euler("ZXY", degrees=True)
    angles = np.degrees(np.unwrap(np.radians(angles.reshape(len(matrices), -1)), axis=0))
    places = CENTIMETRES * poses.root_pos @ TO_Y_UP.T
    lines += ["MOTION", f"Frames: {len(places)}", f"Frame Time: {1.0 / poses.fps:.8f}"]
    values = np.concatenate((places, angles), axis=1)
    lines += [" ".join(f"{value:.5f}" for value in row) for row in values]
    return ("\n".join(lines) + "\n").encode("ascii")


def _depth_first(link: int) -> list[int]:
    """Links in the order in which the file names them."""
    found = [link]
    for child in _children(link):
        found += _depth_first(child)
    return found


def _children(link: int) -> list[int]:
    return [i for i, parent in enumerate(skeleton.PARENTS) if parent == link]


def _write_link(lines: list[str], poses: Poses, link: int, indent: str) -> None:
    name, inner = skeleton.LINKS[link], indent + "  "
    lines += [f"{indent}{'JOINT' if link else 'ROOT'} {name}", f"{indent}{{"]
    lines.append(f"{inner}OFFSET {_offset(poses.offsets[link])}")
    if link:
        lines.append(f"{inner}CHANNELS 3 {ROTATIONS}")
    else:
        lines.append(f"{inner}CHANNELS 6 Xposition Yposition Zposition {ROTATIONS}")
    for child in _children(link):
        _write_link(lines, poses, child, inner)
    if name in TIPS:
        tip = _offset(np.array(TIPS[name]))
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET {tip}", f"{inner}}}"]
    lines.append(f"{indent}}}")


def _offset(metres: np.ndarray) -> str:
    return " ".join(f"{value:.5f}" for value in CENTIMETRES * TO_Y_UP @ metres)
