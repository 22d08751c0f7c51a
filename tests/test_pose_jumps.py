"""A person who jumps as nobody can is a cut; no motion is, nor a pose wrong for a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("mediapipe")

from sfv_gym import pose
from sfv_gym.pose.jumps import MIN_JUMP, find_jumps, jump_scores
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.pose.person import Person
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.pose.tracking import choose_track, tracks
from sfv_gym.video import open_video, write_video

WALK = Path(__file__).parents[1] / "assets" / "clips" / "walk.mp4"
HEIGHT = 200.0  # pixels
PLACES = {  # of the right side in a person of height 1, x to the right and y down
    "shoulder": (0.1, -0.82), "elbow": (0.13, -0.63), "wrist": (0.14, -0.45),
    "hip": (0.05, -0.53), "knee": (0.05, -0.28), "ankle": (0.05, -0.05),
}  # fmt: skip


def person(fps: float, seconds: float = 2.0, speed: float = 0.8, spin: float = 0.0) -> PoseSequence:
    """Someone who walks, or turns head over heels ``spin`` times a second; poses jitter."""
    rng = np.random.default_rng(0)
    frames = round(seconds * fps)
    time = np.arange(frames) / fps
    flat = np.zeros((frames, len(LANDMARKS), 2))
    flat += np.array([0.0, -0.5])
    for name, (x, y) in PLACES.items():
        for side, sign in (("left", -1.0), ("right", 1.0)):
            at = LANDMARKS.index(f"{side}_{name}")
            swing = {"wrist": 0.12, "elbow": 0.06, "knee": 0.1, "ankle": 0.22}.get(name, 0.0)
            flat[:, at, 0] = sign * x + sign * swing * np.sin(2 * np.pi * time)
            flat[:, at, 1] = y
    angle = 2 * np.pi * spin * time
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([0.0, -0.5])
    flat = np.einsum("ijt,tkj->tki", turn, flat - middle) + middle
    flat[..., 0] += speed * time[:, None]
    flat += rng.normal(0.0, 0.01, flat.shape)
    return PoseSequence(
        landmarks=LANDMARKS,
        landmarks_2d=HEIGHT * flat + 300.0,
        visibility=np.ones(flat.shape[:2]),
        landmarks_3d=np.zeros((*flat.shape[:2], 3)),
        detected=np.ones(frames, bool),
        fps=fps,
        width=1000,
        height=600,
    )


def without(poses: PoseSequence, first: int, last: int) -> PoseSequence:
    kept = np.r_[:first, last : poses.num_frames]
    return replace(
        poses,
        landmarks_2d=poses.landmarks_2d[kept],
        landmarks_3d=poses.landmarks_3d[kept],
        visibility=poses.visibility[kept],
        detected=poses.detected[kept],
    )


@pytest.mark.parametrize("fps", [8.0, 12.0, 30.0, 60.0])
@pytest.mark.parametrize(("speed", "spin"), [(0.8, 0.0), (4.0, 0.0), (1.0, 1.5), (0.0, -1.5)])
def test_motion_is_no_jump(fps: float, speed: float, spin: float) -> None:
    """Walking, sprinting, one and a half flips a second."""
    assert jump_scores(person(fps, speed=speed, spin=spin)).max() < 0.9 * MIN_JUMP


@pytest.mark.parametrize("fps", [12.0, 30.0, 60.0])
def test_a_walk_of_which_a_part_is_left_out(fps: float) -> None:
    whole = person(fps)
    first, last = round(0.7 * fps), round(1.3 * fps)
    assert find_jumps(without(whole, first, last)) == [first]
    twice = without(without(whole, last, last + round(0.5 * fps)), round(0.3 * fps), first)
    assert len(find_jumps(twice)) == 2


def test_another_pose_in_the_same_place() -> None:
    """Someone stands, and then lies."""
    poses = person(30.0, speed=0.0)
    middle = poses.landmarks_2d.mean((0, 1))
    turned = (poses.landmarks_2d[25:] - middle) @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + middle
    poses.landmarks_2d[25:] = turned
    assert find_jumps(poses) == [25]


def test_what_is_wrong_for_a_moment_or_about_the_sides_is_no_jump() -> None:
    glitch = person(30.0)
    glitch.landmarks_2d[30] += 150.0
    assert find_jumps(glitch) == []
    swapped = person(30.0)
    swapped.landmarks_2d[30:] = swapped.landmarks_2d[30:][:, LANDMARKS.mirror]
    assert find_jumps(swapped) == [], "left and right confused"
    lost = without(person(30.0), 20, 40)
    for array in (lost.landmarks_2d, lost.landmarks_3d):
        array[20] = np.nan
    lost.detected[20] = False
    assert find_jumps(lost) == [], "what happened was not seen"
    nobody = person(30.0)
    nobody.detected[:] = False
    assert find_jumps(nobody) == []


def test_frames_shown_again_are_no_stops_and_jumps() -> None:
    poses = person(30.0, speed=3.0)
    again = np.arange(poses.num_frames) % 3 == 2
    poses.landmarks_2d[again] = poses.landmarks_2d[np.flatnonzero(again) - 1]
    assert find_jumps(poses, again) == []
    cut = without(poses, 24, 36)
    assert find_jumps(cut, again[: cut.num_frames]) == [24]


def test_who_jumps_far_is_followed_across_the_cut() -> None:
    """The track ends; the one that begins in the very next frame is the same person."""
    poses = without(person(30.0, seconds=4.0), 40, 100)
    people = [
        [
            Person(
                landmarks=LANDMARKS,
                landmarks_2d=poses.landmarks_2d[t],
                visibility=poses.visibility[t],
                landmarks_3d=poses.landmarks_3d[t],
            )
        ]
        for t in range(poses.num_frames)
    ]
    found = tracks(people, 30.0)
    assert len(found) == 2, "too far for one step"
    chosen, notes = choose_track(found, "largest", len(people), 1000, 600)
    assert all(p is not None for p in chosen)
    assert notes == []
    assert find_jumps(poses) == [40]


@pytest.mark.network
def test_a_cut_with_the_camera_at_rest(tmp_path: Path) -> None:
    frames = list(open_video(WALK))
    write_video(tmp_path / "cut.mp4", [*frames[10:22], *frames[52:64]], 30.0, crf=18)
    video = open_video(tmp_path / "cut.mp4")
    poses = pose.estimate_pose(video, mirror=False, ensemble=False, cache=False, progress=False)
    assert find_jumps(poses) == [12]
