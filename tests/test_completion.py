"""From a picture to the skills that go on from it."""

from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image, ImageDraw

from sfv_gym.completion import complete, pipeline
from sfv_gym.completion.nearest import FAR, nearest, pose_distance
from sfv_gym.completion.picture import MAX_PIXELS, pose_of, read_picture
from sfv_gym.completion.playing import play_on, stays_up
from sfv_gym.errors import PoseError, VideoError
from sfv_gym.library import clips_folder
from sfv_gym.registry import find_motion


@pytest.fixture(scope="module")
def person():
    """A picture (H, W, 3) uint8 of one whole person."""
    with av.open(str(clips_folder() / "lunge_a.mp4")) as video:
        return next(video.decode(video=0)).to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def poses(person, tmp_path_factory):
    """The person's landmarks."""
    return pose_of(read_picture(saved(person, tmp_path_factory.mktemp("person"))))


def saved(picture, folder):
    """The path of a picture that was written there."""
    path = folder / "picture.png"
    Image.fromarray(picture).save(path)
    return path


@pytest.fixture
def posing(monkeypatch, poses):
    """A function that lets any picture have a motion's pose, turned about x by an angle in rad."""

    def pose_as(motion, angle=0.0):
        turn = np.array([np.cos(angle / 2), np.sin(angle / 2), 0.0, 0.0])
        turned = replace(motion, root_quat=np.tile(turn, (motion.num_frames, 1)))
        monkeypatch.setattr(pipeline, "pose_of", lambda *_: poses)
        monkeypatch.setattr(pipeline, "posed", lambda _: turned if angle else motion)

    return pose_as


@pytest.mark.parametrize("name", ["kick", "backflip", "cartwheel+mirrored"])
def test_a_motions_own_pose_finds_it_first(name):
    motion = find_motion(name)
    frame = motion.num_frames // 2
    first = nearest(motion, frame)[0]
    assert (first.skill, first.mirrored) == (name.partition("+")[0], "+" in name)
    assert first.distance == pytest.approx(0.0, abs=1e-6)
    assert first.time == pytest.approx(frame / motion.fps)


def test_place_and_heading_do_not_count_and_tilt_does():
    pose = find_motion("kick").joint_positions()[5]
    c, s = np.cos(2.0), np.sin(2.0)
    about_z = pose @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + [3.0, -2.0, 0.5]
    about_x = pose @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]).T
    near, far = pose_distance(pose, np.stack((about_z, about_x)))
    assert near == pytest.approx(0.0, abs=1e-6)
    assert far > 0.3


def test_distances_along_the_line_of_sight_count_less():
    pose = find_motion("kick").joint_positions()[5]
    moved = pose.copy()
    moved[2] += [0.0, 0.0, 0.3]
    plain, along, across = (
        pose_distance(pose, moved[None], sight, depth=0.5)[0]
        for sight in (None, np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0]))
    )
    assert along == pytest.approx(plain / 2)
    assert across == pytest.approx(plain)


def test_a_policy_goes_on_from_its_own_motions_pose_above_the_ground():
    motion = find_motion("kick")
    frame = motion.num_frames // 3
    played, share = play_on(motion, frame, nearest(motion, frame)[0], "SFV-Kick-v0", 1.5)
    assert stays_up(played)
    assert share == 1.0
    assert np.abs(played.qpos[0, 7:] - played.reference_qpos[0, 7:]).max() < 0.05


@pytest.mark.parametrize(
    ("mode", "value"), [("L", 128), ("RGBA", (10, 20, 30, 0)), ("I;16", 40000), ("P", 3)]
)
def test_pictures_of_every_kind_come_as_rgb(tmp_path, mode, value):
    path = tmp_path / "picture.png"
    Image.new(mode, (40, 30), value).save(path)
    assert next(iter(read_picture(path))).shape == (30, 40, 3)


def test_a_turned_picture_comes_upright(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: a quarter turn
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert next(iter(read_picture(path))).shape == (40, 30, 3)


def test_files_that_are_no_picture_are_refused(tmp_path):
    good = tmp_path / "good.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(good)
    cut, text, video = tmp_path / "cut.png", tmp_path / "text.jpg", tmp_path / "clip.mp4"
    cut.write_bytes(good.read_bytes()[:9000])
    text.write_text("no picture")
    video.write_bytes(b"")
    side = int(MAX_PIXELS**0.5) + 10
    Image.new("1", (side, side)).save(tmp_path / "huge.png")
    for path, words in (
        (cut, "cut off"), (text, "no picture"), (video, "sfv extract"),
        (tmp_path, "folder"), (tmp_path / "none.png", "no such file"),
        (tmp_path / "huge.png", "too many"),
    ):  # fmt: skip
        with pytest.raises(VideoError, match=words):
            read_picture(path)


def test_of_several_people_one_is_chosen(person, poses, tmp_path):
    middle = round(float(np.nanmean(poses.landmarks_2d[0, :, 0])))
    half = min(150, middle, person.shape[1] - middle)
    one = person[:, middle - half : middle + half]
    picture = read_picture(saved(np.hstack((one, one[:, ::-1])), tmp_path))
    left = pose_of(picture, "0.25,0.5")
    assert 0 < np.nanmean(left.landmarks_2d[0, :, 0]) < 2 * half
    right = pose_of(picture, "0.75,0.5")
    assert np.nanmean(right.landmarks_2d[0, :, 0]) > 2 * half
    assert left.source["people"] == right.source["people"] == 2
    assert any("others at" in note for note in left.source["notes"])


def test_cut_legs_are_refused_and_cut_feet_are_said(person, poses, tmp_path):
    names = ("right_hip", "left_hip"), ("right_knee", "left_knee"), ("right_ankle", "left_ankle")
    hip, knee, ankle = (
        poses.landmarks_2d[0, poses.landmarks.indices(*pair), 1].mean() for pair in names
    )
    with pytest.raises(PoseError, match="show the whole body"):
        pose_of(read_picture(saved(person[: round((2 * hip + knee) / 3)], tmp_path)))
    cut = pose_of(read_picture(saved(person[: round((knee + 2 * ankle) / 3)], tmp_path)))
    assert any("feet" in note for note in cut.source["notes"])


def test_without_a_person_it_is_one_clear_line(tmp_path):
    house = Image.new("RGB", (320, 240), "white")
    lines = ImageDraw.Draw(house)
    lines.rectangle((90, 110, 230, 220), outline="black", width=3)
    lines.line((90, 110, 160, 40, 230, 110), fill="black", width=3)
    with pytest.raises(PoseError, match=r"picture\.png") as error:
        pose_of(read_picture(saved(np.array(house), tmp_path)))
    assert "\n" not in str(error.value)


def test_a_picture_far_from_all_skills_gets_that_answer(person, posing, tmp_path):
    posing(find_motion("walk"), np.pi / 2)  # as if walking up a wall
    found = complete(saved(person, tmp_path), out=tmp_path / "out", count=2)
    assert len(found) == 2 and all(one.distance > FAR and one.words == "far" for one in found)
    assert all(one.policy is one.stays_up is one.film is None for one in found)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "report.html",
        "sheet.png",
    ]
    assert "far from all skills" in (tmp_path / "out" / "report.html").read_text()


def test_atlas_goes_on_in_the_motions_own_pose(person, posing, tmp_path):
    posing(find_motion("kick"))
    [one] = complete(saved(person, tmp_path), character="atlas", count=1, seconds=0.2)
    assert (one.skill, one.policy, one.share) == ("kick", "SFV-Kick-Atlas-v0", 0.0)
    assert one.stays_up


def test_skills_without_a_policy_are_named_and_the_next_is_played(person, posing, tmp_path):
    posing(find_motion("crawl"))
    found = complete(saved(person, tmp_path), count=1, seconds=0.1)
    assert found[0].skill == "crawl" and found[0].policy is None
    assert [one.policy is None for one in found] == [True] * (len(found) - 1) + [False]
