"""Reconstruction against the truth: joint errors beside raw MediaPipe's.

    python -m sfv_gym.benchmarks.reconstruction --truth clips/ --poses poses/

``--truth`` holds ``<clip>.npz`` with joints_world (T, J, 3) metres, z up, joint_names, fps and
contact (T, 4); ``--poses`` the same clips' saved PoseSequences. Lengths in mm, times in seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from sfv_gym.errors import SFVError
from sfv_gym.skeleton import LINKS

_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
TRUTH_JOINTS = tuple(f"{side}_{part}" for part in _PARTS for side in ("l", "r"))
LINK_COLUMNS = [LINKS.index(f"{side}_{p}") for p in _PARTS for side in ("left", "right")]
LANDMARK_COLUMNS = [11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28]
_HIPS, _ANKLES = slice(6, 8), slice(10, 12)
FIGURES = ("pa_mm", "root_mm", "clip_mm", "accel_ms2", "skate_mm")


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``source`` (N, 3) moved, turned and scaled onto ``target`` (N, 3) (Umeyama)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (s * flip).sum() / (a**2).sum()
    return np.asarray(scale * a @ (u * flip) @ vt + target.mean(0))


def joint_errors(
    joints: np.ndarray, truth: np.ndarray, fps: float, planted: np.ndarray | None = None
) -> dict[str, float]:
    """Errors of 12 limb joints (T, 12, 3) against the truth (T, 12, 3).

    Returns:
        pa_mm: Procrustes per frame. root_mm: hip-centred, one rotation and scale a clip.
        clip_mm: one similarity a clip, the path included. accel_ms2: of the joints after one
        rotation and scale. skate_mm: the ankles' drift per frame where ``planted`` (T, 2).
    """
    pa = [_distance(similarity(p, q), q) for p, q in zip(joints, truth, strict=True)]
    centred, goal = (x - x[:, _HIPS].mean(1, keepdims=True) for x in (joints, truth))
    u, s, vt = np.linalg.svd(centred.reshape(-1, 3).T @ goal.reshape(-1, 3))
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn = (s * flip).sum() / (centred**2).sum() * (u * flip) @ vt
    whole = similarity(joints.reshape(-1, 3), truth.reshape(-1, 3))
    jolt = np.diff(joints @ turn - truth, n=2, axis=0) * fps**2
    skate = float("nan")
    if planted is not None:
        both = planted[1:] & planted[:-1]
        if both.any():
            steps = np.linalg.norm(np.diff(joints[:, _ANKLES, :2], axis=0), axis=-1)
            skate = 1e3 * float(steps[both].mean())
    return {
        "pa_mm": 1e3 * float(np.mean(pa)),
        "root_mm": 1e3 * _distance(centred @ turn, goal),
        "clip_mm": 1e3 * _distance(whole, truth.reshape(-1, 3)),
        "accel_ms2": float(np.linalg.norm(jolt, axis=-1).mean()),
        "skate_mm": skate,
    }


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean())


def score_clip(truth_path: Path, poses_path: Path) -> dict[str, object]:
    """Raw landmarks' and the reconstruction's errors on one clip."""
    from sfv_gym.pose import PoseSequence
    from sfv_gym.reconstruction import reconstruct

    with np.load(truth_path, allow_pickle=False) as data:
        names = [str(n) for n in data["joint_names"]]
        truth = data["joints_world"][:, [names.index(n) for n in TRUTH_JOINTS]]
        planted = data["contact"][:, 2:] > 0.5  # l_foot, r_foot
    poses = PoseSequence.load(poses_path)
    if len(truth) != poses.num_frames:
        raise SFVError(f"{poses_path}: {poses.num_frames} frames, the truth has {len(truth)}")
    seen = poses.detected
    raw = joint_errors(poses.landmarks_3d[seen][:, LANDMARK_COLUMNS], truth[seen], poses.fps)
    # hip-centred landmarks have no path, so that these two say nothing
    raw["clip_mm"] = raw["skate_mm"] = float("nan")
    started = time.perf_counter()
    motion = reconstruct(poses, skill=truth_path.stem, loop="none", progress=False)
    seconds = time.perf_counter() - started
    person, figure = (motion.joint_positions(person=p)[:, LINK_COLUMNS] for p in (True, False))
    return {
        "raw": raw,
        "person": joint_errors(person, truth, motion.fps, planted),
        "character": joint_errors(figure, truth, motion.fps, planted),
        "seconds": seconds,
        "quality": motion.provenance["quality"],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--truth", type=Path, required=True, help="folder of <clip>.npz truths")
    parser.add_argument("--poses", type=Path, required=True, help="folder of <clip>.npz poses")
    parser.add_argument("--clips", nargs="*", help="only these")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    options = parser.parse_args(arguments)
    names = sorted(
        p.stem
        for p in options.truth.glob("*.npz")
        if (options.poses / p.name).is_file() and (not options.clips or p.stem in options.clips)
    )
    if not names:
        print(f"no clip is in both {options.truth} and {options.poses}", file=sys.stderr)
        return 2
    results: dict[str, dict[str, object]] = {}
    if not options.json:
        print(f"{'clip':<18}{'':<11}" + "".join(f"{f:>11}" for f in FIGURES) + f"{'s':>7}")
    for name in names:
        try:
            results[name] = score_clip(options.truth / f"{name}.npz", options.poses / f"{name}.npz")
        except SFVError as error:
            print(error, file=sys.stderr)
            return 2
        if not options.json:
            _print_rows(name, results[name])
    if options.json:
        print(json.dumps(results, indent=1))
    else:
        mean: dict[str, object] = {
            row: {f: float(np.mean([r[row][f] for r in results.values()])) for f in FIGURES}  # type: ignore[index]
            for row in ("raw", "person", "character")
        }
        mean["seconds"] = float(np.mean([r["seconds"] for r in results.values()]))
        _print_rows("mean", mean)
    return 0


def _print_rows(name: str, result: dict[str, object]) -> None:
    for row in ("raw", "person", "character"):
        values = result[row]
        assert isinstance(values, dict)
        line = f"{name if row == 'raw' else '':<18}{row:<11}"
        line += "".join(f"{values[f]:>11.1f}" for f in FIGURES)
        print(line + (f"{result['seconds']:>7.1f}" if row == "person" else ""), flush=True)


if __name__ == "__main__":
    sys.exit(main())
