"""The study of completed pictures: which frames are drawn, and what its page says."""

import av
import numpy as np
import pytest
from rich.console import Console

from sfv_gym.benchmarks.studies.stills import measure as study
from sfv_gym.benchmarks.studies.stills.frames import MIDDLE, Frame, clips_in, drawn
from sfv_gym.benchmarks.studies.stills.kin import KIN, kin
from sfv_gym.benchmarks.studies.stills.page import page
from sfv_gym.benchmarks.studies.stills.real import drawing
from sfv_gym.errors import PoseError, VideoError
from sfv_gym.pose import PoseSequence
from sfv_gym.pose.mediapipe.markers import LANDMARKS
from sfv_gym.registry import find_motion, list_envs

LENGTHS = {"kick_b": 11, "walk_b_b": 6, "run_b": 2}


@pytest.fixture
def clips(tmp_path):
    """Short videos whose every frame has another brightness."""
    for name, length in LENGTHS.items():
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as file:
            stream = file.add_stream("mpeg4", rate=5)
            stream.width, stream.height = 64, 48
            for i in range(length):
                shade = np.full((48, 64, 3), 20 * i, np.uint8)
                file.mux(stream.encode(av.VideoFrame.from_ndarray(shade, format="rgb24")))
            file.mux(stream.encode())
    return tmp_path


def test_frames_are_drawn_from_the_middle_one_of_each_clip_first(clips):
    files = clips_in(clips)
    frames = drawn(files, 5, seed=3)
    assert frames == drawn(files, 5, seed=3)
    assert {one.clip.stem for one in frames[:3]} == set(LENGTHS)
    assert len(set(frames)) == 5
    for one in frames:
        if one.clip.stem != "run_b":  # which has no middle
            assert MIDDLE[0] <= one.index / (LENGTHS[one.clip.stem] - 1) <= MIDDLE[1]
    assert len(drawn(files, 1000, seed=3)) == 7 + 4 + 2
    assert {one.skill for one in frames} == {"kick", "walk_b", "run"}
    with pytest.raises(VideoError, match="no clips"):
        clips_in(clips / "none")


def test_a_frame_is_saved_once(clips):
    frame = Frame(clips / "kick_b.mp4", 5)
    path = frame.save(clips)
    assert path.name == "kick_b_0005.png"
    path.write_bytes(b"kept")
    assert frame.save(clips).read_bytes() == b"kept"


def test_kin_are_skills_and_in_one_group_each():
    names = [name for group in KIN for name in group]
    assert len(names) == len(set(names))
    assert set(names) <= {entry.skill for entry in list_envs()}
    assert kin("run") == kin("jog") == ("run", "jog")
    assert kin("kick") == ("kick",)


def test_pictures_are_measured_and_kept_and_shown(clips, monkeypatch):
    asked = []

    def posed(poses):
        asked.append(poses)
        return find_motion("kick")

    def pose_of(picture):
        if "run" in picture.path.name:
            raise PoseError(f"{picture.path}: nobody")
        return picture.path.name

    monkeypatch.setattr(study, "pose_of", pose_of)
    monkeypatch.setattr(study, "posed", posed)
    monkeypatch.setattr(study, "UP", 0.1)
    frames = [Frame(clips / f"{name}.mp4", 1) for name in LENGTHS]
    found = study.measure(frames, 3, clips, Console(quiet=True))
    assert found == study.measure(frames, 3, clips, Console(quiet=True))
    assert len(asked) == 2  # poses are kept
    kick, walk, run = found["pictures"]
    assert kick["rank"] == 1 and kick["nearest"][0]["skill"] == "kick"
    assert kick["played"]["policy"] == "SFV-Kick-v0" and kick["played"]["stays_up"]
    assert walk["rank"] > 1 and run["rank"] is None and run["error"] == "run_b_0001.png: nobody"
    real = {
        "frame": "walk_0001", "skill": "walk", "mirrored": True, "distance": 0.05,
        "words": "close", "stays_up": True, "shown": True, "error": "",
    }  # fmt: skip
    text = page({"truth": found, "real": [real]}).markdown()
    assert "| right skill first | 1 of 3: 33%" in text
    assert "`run_b_0001` |  | run_b_0001.png: nobody |" in text
    assert "1 close" in text and "walk, mirrored" in text


def test_of_a_picture_that_is_not_shown_only_lines_are_left():
    landmarks = np.random.default_rng(0).uniform(10, 90, (1, len(LANDMARKS.names), 2))
    poses = PoseSequence(
        fps=30.0,
        width=100,
        height=100,
        landmarks=LANDMARKS,
        landmarks_2d=landmarks,
        landmarks_3d=np.zeros((1, len(LANDMARKS.names), 3)),
        visibility=np.ones((1, len(LANDMARKS.names))),
        detected=np.ones(1, bool),
        source={},
    )
    picture = drawing(poses)
    assert picture.shape == (100, 100, 3) and len(np.unique(picture)) > 2
