"""Poses and joints out of other people's files.

`read_poses` gives what a program saw in a video, in an estimator's place; `read_joints` what was
measured in space, without a video. A format is a module: it turns a file's plain data into
`Sightings`, `Tracks` or positions, and says where its field names are from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sfv_gym.errors import PoseFileError
from sfv_gym.pose.estimator import PoseEstimator
from sfv_gym.pose.files.bvh import read_bvh
from sfv_gym.pose.files.estimator import PoseFile
from sfv_gym.pose.files.joints import MOST_FPS, JointSequence, in_our_world
from sfv_gym.pose.files.keypoints import is_keypoints, read_keypoints, read_openpose
from sfv_gym.pose.files.plain import SUFFIXES, read_plain
from sfv_gym.pose.files.sam3d import is_sam3d, read_sam3d
from sfv_gym.pose.files.sightings import Sightings
from sfv_gym.pose.files.smpl import Tracks, is_smpl, read_smpl
from sfv_gym.pose.files.tables import Table, read_csv, read_trc
from sfv_gym.pose.layouts import SMPL_JOINTS

__all__ = ["JointSequence", "PoseFile", "Sightings", "read_joints", "read_poses"]

USUAL_FPS = 30.0
"""Frames per second where neither file nor user says: what GVHMR and WHAM see."""
SPACE_SUFFIXES = (".bvh", ".trc", ".csv")
"""Of files that know of no video."""


def read_poses(path: str | os.PathLike[str], *, depth: PoseEstimator | None = None) -> PoseFile:
    """What a file says of the people in a video.

    Args:
        path: SAM 3D Body's keypoints, SMPL parameters in a camera's frame (GVHMR, WHAM,
            PromptHMR), COCO's or COCO-WholeBody's keypoints in JSON, or a folder of OpenPose's.
        depth: who is asked for metres where the file has pixels alone.

    Raises:
        PoseFileError: it is missing, damaged, or of an unknown layout.
    """
    path = Path(path)
    if path.suffix.lower() in SPACE_SUFFIXES:
        raise PoseFileError(f"{path}: joints in space belong to no video: use sfv import {path}")
    if path.is_dir():
        sightings = read_openpose(path)
    else:
        data = read_plain(path)
        with _named(path):
            sightings = _sightings(data)
    if not any(seen.finite for people in sightings.frames for seen in people):
        raise PoseFileError(f"{path}: there is nobody in it whose numbers are all finite")
    return PoseFile(path, sightings, None if sightings.has_depth else depth)


def _sightings(data: Any) -> Sightings:
    if is_smpl(data):
        return read_smpl(data).sightings()
    if is_sam3d(data):
        return read_sam3d(data)
    if is_keypoints(data):
        return read_keypoints(data)
    raise PoseFileError(
        f"an unknown layout ({_described(data)}); known are SAM 3D Body, GVHMR, WHAM, PromptHMR, "
        "and COCO, COCO-WholeBody and OpenPose keypoints"
    )


def read_joints(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    unit: str = "auto",
    up: str = "auto",
    person: int = 1,
) -> JointSequence:
    """What a file says of joints in space, with at most 60 frames a second.

    Args:
        path: BVH, TRC, CSV, or SMPL parameters or joints in a world (GVHMR, WHAM, PromptHMR,
            AMASS).
        fps: frames per second, where the file does not say; 30 by default.
        unit: as for ``joints.in_our_world``. up: likewise.
        person: which of several, the one who is longest in view first.

    Raises:
        PoseFileError: it is missing, damaged, of an unknown layout, or unclear in unit or axis.
    """
    path = Path(path)
    kind = path.suffix.lower()
    if kind not in (*SPACE_SUFFIXES, *SUFFIXES):
        known = ", ".join((*SPACE_SUFFIXES, *SUFFIXES))
        raise PoseFileError(f"{path}: joints come as {known}, not {path.suffix!r}")
    if not path.is_file():
        raise PoseFileError(f"{path}: there is no such file")
    if path.stat().st_size == 0:
        raise PoseFileError(f"{path}: the file is empty")
    source: dict[str, Any] = {"file": path.name}
    otherwise: str | None
    with _named(path):
        if kind == ".bvh":
            found = read_bvh(path)
            table = Table(found.names, found.positions, found.fps)
            source["kind"], otherwise = "BVH", "y"
        elif kind in (".trc", ".csv"):
            table = read_trc(path) if kind == ".trc" else read_csv(path)
            source["kind"], otherwise = kind[1:].upper(), "z" if kind == ".csv" else None
        else:
            data = read_plain(path)
            if not is_smpl(data):
                raise PoseFileError(
                    f"an unknown layout ({_described(data)}); known are SMPL's parameters as "
                    "GVHMR, WHAM, PromptHMR and AMASS write them, and SMPL's joints"
                )
            tracks = read_smpl(data)
            table, otherwise = _chosen(tracks, person), tracks.up
            source["kind"] = tracks.kind
        joints = in_our_world(
            table.names,
            table.positions,
            fps or table.fps or USUAL_FPS,
            unit=table.unit if unit == "auto" else unit,
            up=up,
            otherwise=otherwise,
            source=source,
        )
    return joints.at_most(MOST_FPS)


def _chosen(tracks: Tracks, person: int) -> Table:
    if not 1 <= person <= len(tracks.people):
        raise PoseFileError(f"person {person}: there are {len(tracks.people)}")
    return Table(SMPL_JOINTS, tracks.people[person - 1].world_joints(), tracks.fps, "m")


def _described(data: Any) -> str:
    if isinstance(data, dict):
        return "it holds " + (", ".join(map(str, list(data)[:6])) or "nothing")
    return f"a {type(data).__name__}"


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """The file's name in front of what is wrong with it."""
    try:
        yield
    except PoseFileError as error:
        text = str(error)
        raise PoseFileError(text if text.startswith(str(path)) else f"{path}: {text}") from None
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PoseFileError(f"{path}: not as expected: {reason}") from None
