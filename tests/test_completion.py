"""From a picture to the skills that go on from it."""

import numpy as np
import pytest
from PIL import Image

from sfv_gym.completion.nearest import nearest, pose_distance
from sfv_gym.completion.picture import MAX_PIXELS, read_picture
from sfv_gym.completion.playing import play_on, stays_up
from sfv_gym.errors import VideoError
from sfv_gym.registry import find_motion


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
