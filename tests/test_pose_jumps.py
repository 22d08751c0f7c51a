"""A person who jumps as nobody can is a cut; no motion is, nor a pose wrong for a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("mediapipe")

from sfv_gym import pose
from sfv_gym.errors import VideoError
from sfv_gym.pose.jumps import MIN_JUMP, find_far_jumps, find_jumps, jump_scores
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.pose.person import Person
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.pose.subject import choose, subjects
from sfv_gym.pose.tracking import Track, tracks
from sfv_gym.video import VideoReader, open_video, write_video

WALK = Path(__file__).parents[1] / "assets" / "clips" / "walk.mp4"
HEIGHT = 200.0  # pixels
PLACES = {  # of the right side in a person of height 1, x to the right and y down
    "shoulder": (0.1, -0.82), "elbow": (0.13, -0.63), "wrist": (0.14, -0.45),
    "hip": (0.05, -0.53), "knee": (0.05, -0.28), "ankle": (0.05, -0.05),
}  # fmt: skip


def taken(found: list[Track], subject: str, frames: int) -> list[Person | None]:
    """The subject in each frame of a picture of 1000 x 600."""
    best = choose(subjects(found, 30.0, 1000, 600), subject, 1000, 600)
    return [best.track.people.get(t) for t in range(frames)]


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


def scene(path: Path, poses: PoseSequence, bystander: PoseSequence | None = None) -> VideoReader:
    """A video with a bright box where the person is, and where a bystander is."""
    rng = np.random.default_rng(0)
    ground = rng.integers(60, 120, (600, 1000, 3))
    frames = []
    for t in range(poses.num_frames):
        frame = (ground + rng.normal(0.0, 2.0, ground.shape)).clip(0, 255).astype(np.uint8)
        for who in (poses, bystander):
            if who is not None:
                left, top = who.landmarks_2d[t].min(0).astype(int)
                right, bottom = who.landmarks_2d[t].max(0).astype(int)
                frame[top:bottom, left:right] = 220
        frames.append(frame)
    write_video(path, frames, 30.0)
    return open_video(path)


def sightings(poses: PoseSequence, frames: range) -> list[list[Person]]:
    return [
        [Person(LANDMARKS, poses.landmarks_2d[t], poses.visibility[t], poses.landmarks_3d[t])]
        for t in frames
    ]


@pytest.mark.parametrize("subject", ["1", "2"])
def test_who_jumps_too_far_to_be_followed(tmp_path: Path, subject: str) -> None:
    """The track ends, and another one begins in the very next frame."""
    poses = without(person(30.0, seconds=4.0), 20, 90)
    video = scene(tmp_path / "far.mp4", poses)
    found = tracks(sightings(poses, range(len(video))), 30.0)
    assert len(found) == 2, "too far for one step"
    chosen = taken(found, subject, len(video))
    assert find_far_jumps(video, found, chosen) == [20]


def test_a_bystander_who_is_noticed_when_the_person_is_lost(tmp_path: Path) -> None:
    walker, bystander = person(30.0), person(30.0, speed=0.0)
    bystander.landmarks_2d[..., 0] += 500.0
    video = scene(tmp_path / "two.mp4", walker, bystander)
    people = sightings(walker, range(20)) + sightings(bystander, range(20, len(video)))
    found = tracks(people, 30.0)
    assert len(found) == 2
    chosen = taken(found, "1", len(video))
    assert find_far_jumps(video, found, chosen) == []


@pytest.mark.network
def test_a_cut_with_the_camera_at_rest(tmp_path: Path) -> None:
    frames = list(open_video(WALK))
    plain = {"mirror": False, "ensemble": False, "cache": False, "progress": False}
    write_video(tmp_path / "cut.mp4", [*frames[10:22], *frames[32:44]], 30.0, crf=18)
    assert find_jumps(pose.estimate_pose(open_video(tmp_path / "cut.mp4"), **plain)) == [12]
    write_video(tmp_path / "far.mp4", [*frames[4:14], *frames[74:84]], 30.0, crf=18)
    with pytest.raises(VideoError, match=r"cut at 0\.33 s, where the person jumps"):
        pose.estimate_pose(open_video(tmp_path / "far.mp4"), **plain)
