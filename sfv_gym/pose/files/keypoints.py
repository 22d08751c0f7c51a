"""Keypoints in JSON: as MMPose, COCO's results format (AlphaPose) and OpenPose write them.

Field names: MMPose's ``demo/topdown_demo_with_mmdet.py`` (``instance_info``, ``frame_id``,
``instances``) and ``mmpose/structures/utils.py`` (``keypoints``, ``keypoint_scores``); AlphaPose's
``docs/output.md`` (``image_id``, ``keypoints`` as x, y, score); OpenPose's ``doc/02_output.md``
(``people``, ``pose_keypoints_2d``, a file per frame). ``keypoints_3d`` beside ``keypoints`` is
ours.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from sfv_gym.errors import PoseFileError
from sfv_gym.pose.files.plain import read_plain
from sfv_gym.pose.files.sightings import Seen, Sightings, numbers
from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.layouts import BODY_25, COCO, WHOLEBODY, in_space

BY_COUNT: dict[int, LandmarkSet] = {17: COCO, 23: WHOLEBODY, 25: BODY_25, 133: WHOLEBODY}
"""The layout of so many keypoints."""


def is_keypoints(data: Any) -> bool:
    """Whether a JSON's value looks like keypoints."""
    frames = data.get("instance_info") if isinstance(data, dict) else data
    if isinstance(data, dict) and "people" in data:
        return True
    first = frames[0] if isinstance(frames, list) and frames else None
    return isinstance(first, dict) and bool(first.keys() & {"instances", "keypoints"})


def read_keypoints(data: Any) -> Sightings:
    """The people of a JSON file's value; see `is_keypoints`."""
    if isinstance(data, dict) and "people" in data:
        raise PoseFileError("OpenPose writes a file per frame: name their folder")
    people: dict[int, list[dict[str, Any]]] = {}
    entries = data["instance_info"] if isinstance(data, dict) else data
    for position, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise PoseFileError(f"entry {position} is no object")
        if "instances" in entry:
            people.setdefault(_frame(entry.get("frame_id", position)), []).extend(
                entry["instances"]
            )
        else:
            people.setdefault(_frame(entry.get("image_id", position)), []).append(entry)
    return _assembled(people, "keypoints")


def read_openpose(folder: Path) -> Sightings:
    """The people of a folder with OpenPose's file for every frame.

    Raises:
        PoseFileError: there are none, or one is damaged.
    """
    files = sorted(folder.glob("*_keypoints.json")) or sorted(folder.glob("*.json"))
    if not files:
        raise PoseFileError(f"{folder}: no *_keypoints.json in this folder")
    people = {}
    for frame, path in enumerate(files):
        data = read_plain(path)
        if not isinstance(data, dict) or not isinstance(data.get("people"), list):
            raise PoseFileError(f"{path}: no people: not a file of OpenPose")
        people[frame] = [{"keypoints": one.get("pose_keypoints_2d")} for one in data["people"]]
    return _assembled(people, "openpose")


def _frame(value: Any) -> int:
    """A frame's number out of a number or an image's name."""
    digits = re.findall(r"\d+", str(value))
    if not digits:
        raise PoseFileError(f"no frame number in {value!r}")
    return int(digits[-1])


def _assembled(people: dict[int, list[dict[str, Any]]], kind: str) -> Sightings:
    if not people:
        raise PoseFileError("there are no frames in it")
    first = 1 if min(people) == 1 else 0  # MMPose counts from 1, others from 0
    frames: list[list[Seen]] = [[] for _ in range(max(people) - first + 1)]
    if len(frames) > 100 * len(people) + 1000:
        raise PoseFileError(f"frame {max(people)} is named, of {len(people)}")
    counts = set()
    for frame, found in people.items():
        for one in found:
            seen = _seen(one, f"frame {frame}")
            assert seen.pixels is not None
            counts.add(len(seen.pixels))
            frames[frame - first].append(seen)
    if not counts:
        raise PoseFileError("there is nobody in it")
    if len(counts) > 1 or not counts <= BY_COUNT.keys():
        known = ", ".join(map(str, BY_COUNT))
        raise PoseFileError(
            f"{' and '.join(map(str, sorted(counts)))} keypoints a person: known are {known} "
            "(COCO, COCO-WholeBody's body and feet, BODY_25, COCO-WholeBody)"
        )
    landmarks = BY_COUNT[counts.pop()]
    depth = [seen.metres is not None for found in frames for seen in found]
    if any(depth) and not all(depth):
        raise PoseFileError("some people have keypoints_3d and others do not")
    kept = [[_first(seen, len(landmarks)) for seen in found] for found in frames]
    return Sightings(kind, in_space(landmarks) if all(depth) else landmarks, kept)


def _seen(one: dict[str, Any], where: str) -> Seen:
    points = np.asarray(one.get("keypoints"), object)
    if points.ndim == 1 and len(points) and len(points) % 3 == 0:  # x, y, score, one after another
        triples = numbers(points.reshape(-1, 3), f"{where}: keypoints", None, 3)
    else:
        flat = numbers(one.get("keypoints"), f"{where}: keypoints", None, None)
        if flat.shape[1] not in (2, 3):
            raise PoseFileError(f"{where}: keypoints must be x, y or x, y, score")
        if flat.shape[1] == 3 and "keypoint_scores" in one:
            raise PoseFileError(
                f"{where}: keypoints in 3D alone do not say where they are in the picture: put "
                "pixels into keypoints and metres into keypoints_3d"
            )
        scores = one.get("keypoint_scores", flat[:, 2] if flat.shape[1] == 3 else None)
        scores = np.ones(len(flat)) if scores is None else np.ravel(scores)
        scores = numbers(scores, f"{where}: keypoint_scores", len(flat))
        triples = np.column_stack((flat[:, :2], scores))
    metres = one.get("keypoints_3d")
    if metres is not None:
        metres = numbers(metres, f"{where}: keypoints_3d", len(triples), 3)
    return Seen(triples[:, :2], np.clip(triples[:, 2], 0.0, 1.0), metres)


def _first(seen: Seen, count: int) -> Seen:
    """The body's and the feet's keypoints, which stand before those of face and hands."""
    assert seen.pixels is not None
    metres = None if seen.metres is None else seen.metres[:count]
    return Seen(seen.pixels[:count], seen.scores[:count], metres)
