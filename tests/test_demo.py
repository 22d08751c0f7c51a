"""The demo: the stages in a row, and a page that needs nothing but itself."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfv_gym import list_envs
from sfv_gym.cli import demo
from sfv_gym.errors import PolicyError, UnknownIdError, VideoError
from sfv_gym.extract import Extraction
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.policy import Policy
from sfv_gym.registry import find_motion, get_entry

pytest.importorskip("mediapipe")
from sfv_gym.play.panels import CLIP_WIDTH, HEIGHT, clip_panels, view_azimuth
from sfv_gym.pose import PoseSequence
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.video import open_video, write_video

ENV_ID = "SFV-Backflip-v0"


def fake_poses(frames: int = 6, width: int = 720, height: int = 540) -> PoseSequence:
    """A person in the middle who faces the picture's left: the left side is towards us."""
    marks = np.zeros((frames, 33, 3))
    marks[:, 23, 2], marks[:, 24, 2] = -0.1, 0.1  # the left hip is nearer
    return PoseSequence(
        landmarks=LANDMARKS,
        landmarks_2d=np.full((frames, 33, 2), (0.5 * width, 0.5 * height)),
        visibility=np.full((frames, 33), 0.75),
        landmarks_3d=marks,
        detected=np.ones(frames, bool),
        fps=30.0,
        width=width,
        height=height,
        source={"notes": ["2 people seen; the largest, longest track was taken"]},
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow first stages give the shipped motion, and a policy that does nothing ships."""

    def extract(video: Path, *, skill: str, out: Path, **files: Any) -> Extraction:
        assert video.is_file()
        poses = fake_poses()
        poses.save(files["poses_out"])
        frames = (np.full((540, 720, 3), 40 * i, np.uint8) for i in range(6))
        write_video(files["overlay"], frames, 30.0)
        motion = ReferenceMotion.load(get_entry(ENV_ID).motion)
        motion.provenance = {"source": files["source"], "quality": {"reprojection_px": 3.25}}
        motion.save(out)
        reader = open_video(files["overlay"])
        return Extraction(motion, poses, reader, ("2 people seen; the largest was taken",))

    nothing = Policy(
        mean=np.zeros(147, np.float32),
        std=np.ones(147, np.float32),
        layers=[(np.zeros((28, 147), np.float32), np.zeros(28, np.float32))],
        card={"algorithm": "PPO", "samples": 1234567, "seconds": 300.0},
    )
    monkeypatch.setattr(demo, "extract_motion", extract)
    monkeypatch.setattr(demo, "load_policy", lambda env_id: nothing)
    monkeypatch.setattr(demo, "EPISODES", 3)


def test_report_is_one_page_with_the_figures_and_loads_nothing(quick: None, tmp_path: Path) -> None:
    shipped = get_entry(ENV_ID).motion
    report = demo.run_demo(tmp_path / "out", skills=["backflip"], progress=False)
    page = report.read_text(encoding="utf-8")

    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page)
    assert sources and all(s.startswith("data:video/mp4;base64,") for s in sources)
    assert not re.search(r"@import|url\(|<script|<link", page)
    assert "$" not in re.sub(r"base64,[^\"]*", "", page)  # every place is filled

    figures = json.loads((report.parent / "figures.json").read_text())[ENV_ID]
    assert f"{figures['normalized_return']:.3f}" in page
    assert f"{figures['mpjpe_mm']:.0f} mm" in page
    assert "of 3" in page and "3.25" in page and "1,234,567" in page
    assert "2 people seen" in page and "Apache-2.0" in page and "sfv extract" in page
    assert page.count("<svg") == 3

    folder = report.parent / "backflip"
    motion = ReferenceMotion.load(folder / "backflip.npz")
    video = open_video(folder / "side_by_side.mp4")
    expected = motion.duration * 30 + 1 + 30  # every step, and a second's hold
    assert video.num_frames == pytest.approx(expected, abs=2)
    frames = list(video)
    assert np.abs(frames[5].astype(int) - frames[25]).max() > 60
    assert min(frame.mean() for frame in frames) > 60  # none is black
    # nothing half-written, and the shipped motion keeps its id
    assert not list(tmp_path.rglob(".*"))
    assert get_entry(ENV_ID).motion == shipped


def test_an_existing_folder_is_used_again_and_errors_pass_through(
    quick: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "backflip").mkdir()
    (tmp_path / "mine.txt").write_text("mine")

    def broken(*args: Any, **kwargs: Any) -> ReferenceMotion:
        raise VideoError("clip.mp4: damaged")

    before = [entry.motion for entry in list_envs()]
    monkeypatch.setattr(demo, "extract_motion", broken)
    with pytest.raises(VideoError, match="damaged"):
        demo.run_demo(tmp_path, skills=["backflip"], progress=False)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert not (tmp_path / "report.html").exists()
    assert [entry.motion for entry in list_envs()] == before


def test_a_missing_policy_or_clip_is_said_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_ships(env_id: str) -> Policy:
        raise PolicyError(f"no policy ships for {env_id}")

    monkeypatch.setattr(demo, "load_policy", none_ships)
    with pytest.raises(PolicyError):
        demo.run_demo(tmp_path / "out", skills=["backflip"], progress=False)
    with pytest.raises(UnknownIdError, match="known: walk, backflip"):
        demo.run_demo(tmp_path / "out", skills=["cartwheel"], progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("few_episodes")
def test_training_gives_a_policy_and_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    from sfv_gym.train.config import PPOConfig

    config = PPOConfig.for_env(ENV_ID)
    steps = config.num_envs * config.n_steps  # one update
    motion = ReferenceMotion.load(get_entry(ENV_ID).motion)
    path = get_entry(ENV_ID).motion
    policies = [demo._train(path, tmp_path, motion, steps, progress=False) for _ in range(2)]
    (run,) = tmp_path.iterdir()  # the same motion: the same run
    assert len((run / "curve.jsonl").read_text().splitlines()) == 1
    assert policies[0].card["motion_hash"] == motion.content_hash()
    for a, b in zip(policies[0].layers, policies[1].layers, strict=True):
        assert (a[0] == b[0]).all()


def test_a_shipped_policy_follows_what_it_was_trained_on() -> None:
    shipped = find_motion("walk")
    for metres, followed in ((0.001, True), (0.1, False)):
        fresh = replace(shipped, root_pos=shipped.root_pos + np.array([0.0, 0.0, metres]))
        reference, why = demo._reference_for(fresh, shipped)
        assert reference is (fresh if followed else shipped)
        assert f"differs from it by {1000 * metres:.1f} mm" in why
        assert ("--train" in why) is not followed
    reference, why = demo._reference_for(find_motion("backflip"), shipped)
    assert reference is shipped and "of another length" in why


def test_every_clip_that_is_listed_ships_with_title_and_licence() -> None:
    clips = demo.shipped_clips()
    assert {"walk", "backflip"} <= {clip.skill for clip in clips}
    for clip in clips:
        assert clip.path.is_file(), clip.file
        assert clip.path.stat().st_size < 1_000_000
        assert all(clip.source.values())


def test_the_character_is_seen_from_the_side_that_the_video_shows() -> None:
    poses = fake_poses()
    assert view_azimuth(poses) % 360 == 270  # facing left
    flipped = replace(poses, landmarks_3d=-poses.landmarks_3d)
    assert view_azimuth(flipped) % 360 == 90
    front = np.zeros_like(poses.landmarks_3d)
    front[:, 23, 0], front[:, 24, 0] = 0.1, -0.1  # facing us, their left is on our right
    assert view_azimuth(replace(poses, landmarks_3d=front)) % 360 == 180
    lost = replace(poses, detected=np.zeros(6, bool))
    assert view_azimuth(lost) == 90


def test_a_wide_clip_is_cropped_around_the_person() -> None:
    poses = fake_poses(width=1400, height=564)
    poses.landmarks_2d[..., 0] = np.linspace(1100, 1390, 6)[:, None]
    frames = [np.zeros((564, 1400, 3), np.uint8) for _ in range(6)]
    for frame, x in zip(frames, poses.landmarks_2d[:, 0, 0].astype(int), strict=True):
        frame[:, x - 3 : x + 3] = 255
    for panel in clip_panels(frames, poses):
        assert panel.shape == (HEIGHT, CLIP_WIDTH, 3)
        assert panel.max() > 200  # the person is in it


def test_a_clip_of_another_shape_keeps_its_proportions() -> None:
    frame = np.full((400, 200, 3), 255, np.uint8)
    (panel,) = clip_panels([frame], fake_poses(1, 200, 400))
    assert panel.shape == (HEIGHT, CLIP_WIDTH, 3)
    assert (panel.max(axis=(0, 2)) > 0).sum() == 180
