"""``sfv learn``: every stage in small, going on where it was stopped, errors before the work."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motions import swing

pytest.importorskip("stable_baselines3")
pytest.importorskip("mediapipe")

import gymnasium as gym

import sfv_gym
from sfv_gym.envs.task import Task
from sfv_gym.errors import (
    MotionError,
    OutputError,
    PolicyError,
    SettingError,
    UnknownIdError,
    VerdictError,
    VideoError,
)
from sfv_gym.extract import Extraction
from sfv_gym.jobs.folder import read_json
from sfv_gym.motion import BAD, Finding, ReferenceMotion, Verdict
from sfv_gym.play.by_motion import publish_id
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import Policy, load_policy, shipped_policy_path
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.pose.sequence import PoseSequence
from sfv_gym.registry import get_entry
from sfv_gym.train import recorder
from sfv_gym.train.config import PPOConfig
from sfv_gym.train.learn import Learned, film, learn, pipeline, training
from sfv_gym.train.learn import source as sources
from sfv_gym.train.learn import start as starts
from sfv_gym.train.learn.folder import Stages
from sfv_gym.train.learn.source import find_source
from sfv_gym.train.learn.start import find_start
from sfv_gym.train.runs import read_curve
from sfv_gym.video import open_video, write_video

SMALL = {"num_envs": 16, "n_steps": 32, "batch_size": 256, "n_epochs": 2, "hidden": [32, 32]}
ROLLOUT = 16 * 32
run = partial(learn, steps=2 * ROLLOUT, threads=1, settings=SMALL, progress=False)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """What is measured and drawn is little: what it comes to is not asked."""
    with pytest.MonkeyPatch.context() as patch:
        few = partial(publish_id, episodes=4)
        patch.setattr(recorder, "publish_id", few)
        patch.setattr(recorder, "RUN_OFF_EPISODES", 4)
        patch.setattr(training, "publish_id", few)
        patch.setattr(pipeline, "PUBLISHED_EPISODES", 4)
        patch.setattr(training, "seconds_after_training", lambda task, threads: 30.0)
        patch.setattr(film, "LONGEST", 0.2)
        yield


@pytest.fixture(scope="module")
def motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("motions") / "sway.npz"
    swing(frames=31).save(path)
    return path


@pytest.fixture(scope="module")
def learned(motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    return run(motion, tmp_path_factory.mktemp("learned") / "sway")


def doing_nothing(path: Path, observation: str) -> Path:
    """A policy file of the humanoid on flat ground."""
    task = Task.of("walk", observation=observation)
    size = task.observation_size
    first = np.zeros((4, size), np.float32), np.zeros(4, np.float32)
    last = np.zeros((28, 4), np.float32), np.zeros(28, np.float32)
    mean, std = np.zeros(size, np.float32), np.ones(size, np.float32)
    card = {"env_id": "SFV-Tracker-v0", "algorithm": "DAgger", "samples": 300, "seconds": 5.0}
    Policy(mean, std, [first, last], card, layout=PolicyLayout.of(task)).save(path)
    return path


# --- the whole road ---------------------------------------------------------------------------


def test_everything_lies_in_the_folder_and_says_the_same(learned: Learned) -> None:
    folder = learned.folder
    figures = read_json(folder / "learn.json")
    assert figures == learned.as_dict()
    assert figures["samples"] == 2 * ROLLOUT and figures["zero_shot"] is None
    assert (figures["start"], figures["target"], figures["good"]) == ("none", 0.95, False)
    assert figures["minutes"] == pytest.approx(sum(figures["seconds"].values()) / 60, abs=1e-3)
    assert set(figures["seconds"]) == {"motion", "training", "film"}
    evaluation = read_json(folder / "evaluation.json")
    assert evaluation["rsi"]["start"] == "rsi"
    assert figures["evaluation"].items() <= evaluation.items()
    assert figures["success_rate"] == evaluation["success_rate"]
    card = read_json(folder / "card.json")
    assert card["evaluation"] == evaluation and card["settings"]["initialization"] == "failure"
    assert Policy.load(learned.policy).card == card
    text = (folder / "card.md").read_text()
    assert learned.env_id in text and f"{figures['normalized_return']:.3f}" in text
    page = learned.report.read_text()
    kinds = re.findall(r'(?:src|href)="([^"]{0,20})', page)
    assert kinds and all(link.startswith("data:") for link in kinds)
    assert "While it learned" in page and "load_policy" in page
    video = open_video(learned.film)
    assert video.width < 2 * video.height  # reference and character, no video
    assert learned.sheet.is_file() and not list(folder.rglob(".*"))


def test_the_lines_of_python_play_the_policy(learned: Learned) -> None:
    names: dict[str, Any] = {"gym": gym, "sfv_gym": sfv_gym}
    exec(learned.usage, names)
    observation, _ = names["env"].reset(seed=0)
    names["env"].step(names["policy"].predict(observation))
    assert get_entry(learned.env_id).motion == learned.motion_file
    assert learned.env_id == "SFV-Sway-v0"


def test_the_same_again_does_nothing_and_more_steps_learn_on(
    learned: Learned, motion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        for stage in ("write_film", "write_learned_page"):
            patch.setattr(pipeline, stage, None)
        patch.setattr(training, "train_in", None)
        again = run(motion, learned.folder)
    assert again.as_dict() == learned.as_dict()
    before = read_json(learned.folder / "card.json")
    more = run(motion, learned.folder, steps=3 * ROLLOUT)
    assert more.samples == 3 * ROLLOUT
    assert [row["samples"] for row in read_curve(more.folder / "training")] == [
        2 * ROLLOUT,
        3 * ROLLOUT,
    ]
    assert more.seconds["training"] > learned.seconds["training"]
    assert read_json(more.folder / "card.json")["samples_total"] > before["samples_total"]
    assert read_json(more.folder / "learn.json") == more.as_dict()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seed": 1}, "with seed 0, not 1"),
        ({"terrain": "slopes"}, "with terrain flat, not slopes"),
        ({"settings": {**SMALL, "gamma": 0.9}}, "other settings of the training"),
    ],
)
def test_a_folder_of_something_else_is_left_alone(
    other: dict[str, Any], message: str, learned: Learned, motion: Path
) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        run(motion, learned.folder, **other)
    assert "--out" in str(caught.value)


def test_a_file_that_is_lost_is_made_again(learned: Learned, motion: Path) -> None:
    learned.film.unlink()
    steps = read_json(learned.folder / "card.json")["budget"]
    run(motion, learned.folder, steps=steps)
    assert learned.film.is_file()


def test_a_run_that_is_stopped_goes_on(
    motion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(run_recorder: recorder.Recorder) -> None:
        if run_recorder.model.num_timesteps >= ROLLOUT:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recorder.Recorder, "_on_rollout_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(motion, tmp_path / "out")
    assert (tmp_path / "out" / "training" / "checkpoint.zip").is_file()
    assert not (tmp_path / "out" / "policy.safetensors").exists()
    learned = run(motion, tmp_path / "out")
    assert learned.samples == 2 * ROLLOUT
    assert read_json(learned.folder / "learn.json")["samples"] == 2 * ROLLOUT


@pytest.mark.parametrize(("minutes", "left"), [(10.0, 9.5 - 0.25), (0.05, 0.0)])
def test_minutes_are_for_all_stages(
    minutes: float, left: float, motion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute is kept for what follows; a run always plays a rollout (test_training)."""
    asked = []

    def stop(folder: Path, env_id: str, settings: Any, **_: Any) -> None:
        asked.append(settings.config)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_in", stop)
    monkeypatch.setattr(Stages, "seconds", lambda self: {"motion": 15.0, "film": 99.0})
    with pytest.raises(KeyboardInterrupt):
        run(motion, tmp_path / "out", minutes=minutes)
    [config] = asked
    assert config.minutes == pytest.approx(left, abs=0.3) and config.minutes > 0.0
    assert (config.steps, config.target_success) == (2 * ROLLOUT, 0.95)


# --- from a policy ----------------------------------------------------------------------------


def test_a_policy_that_is_good_already_is_taken_as_it_is(motion: Path, tmp_path: Path) -> None:
    path = doing_nothing(tmp_path / "given.safetensors", "window")
    learned = run(motion, tmp_path / "out", start=path, target=0.0)
    assert learned.zero_shot is not None and learned.is_good
    assert learned.samples == 0 and not (learned.folder / "training").exists()
    assert (learned.start, learned.observation) == ("given.safetensors", "window")
    assert set(learned.seconds) == {"motion", "zero-shot", "training", "film"}
    assert read_json(learned.folder / "zero_shot.json") == learned.zero_shot.as_dict()
    card = read_json(learned.folder / "card.json")
    assert card["samples_before"] == 300 and card["env_id"] == learned.env_id
    same = load_policy(learned.env_id, learned.policy, observation="window")
    assert same.content_hash() == Policy.load(path).content_hash()
    assert 'observation="window"' in learned.usage
    assert "given.safetensors, as it is" in learned.report.read_text()


def test_a_policy_that_is_not_is_trained_on(motion: Path, tmp_path: Path) -> None:
    path = doing_nothing(tmp_path / "given.safetensors", "window")
    settings = {name: value for name, value in SMALL.items() if name != "hidden"}
    learned = run(motion, tmp_path / "out", start=path, steps=ROLLOUT, settings=settings)
    config = read_json(learned.folder / "training" / "config.json")["ppo"]
    assert config["observation"] == "window"
    curve = read_curve(learned.folder / "training")
    assert [row["samples"] for row in curve] == [0, ROLLOUT]
    assert read_json(learned.folder / "card.json")["init"] == "SFV-Tracker-v0.safetensors"


def test_the_tracker_is_taken_where_one_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        starts, "shipped_policy_path", lambda env_id: tmp_path / f"{env_id}.safetensors"
    )
    assert find_start(None, "humanoid", "flat") == starts.Start("none", asked=False)
    with pytest.raises(PolicyError, match="no tracker of atlas ships"):
        find_start("tracker", "atlas", "flat")
    doing_nothing(tmp_path / "SFV-Tracker-v0.safetensors", "window")
    for terrain in ("flat", "slopes"):  # on which it sees all but the heights
        found = find_start(None, "humanoid", terrain)
        assert (found.name, found.observation) == ("tracker", "window")
        task = Task.of("walk", terrain=terrain, observation="window")
        assert found.fits(task) == (terrain == "flat")
        seen = np.zeros((3, task.observation_size))
        assert found.predict()(seen).shape == (3, 28)
    assert find_start("none", "humanoid", "flat").policy is None


def test_what_a_policy_sees_is_found_out(tmp_path: Path) -> None:
    shipped = shipped_policy_path("SFV-Walk-v0")  # of format 1, which does not say it
    found = find_start(shipped, "humanoid", "flat")
    assert found.observation == "phase" and found.fits(Task.of("walk"))
    assert not find_start(shipped, "humanoid", "slopes").fits(Task.of("walk", terrain="slopes"))
    assert find_start(doing_nothing(tmp_path / "a.safetensors", "phase"), "humanoid", "flat").fits(
        Task.of("walk")
    )
    flat = Policy.load(tmp_path / "a.safetensors")
    flat.layers = [(np.zeros((28, 147), np.float32), np.zeros(28, np.float32))]
    flat.save(tmp_path / "b.safetensors")
    with pytest.raises(PolicyError, match="no hidden layer"):
        find_start(tmp_path / "b.safetensors", "humanoid", "flat")
    steep = shipped_policy_path("SFV-Walk-Slopes-v0")
    with pytest.raises(PolicyError, match="SFV-Walk-Slopes-v0"):
        find_start(steep, "humanoid", "flat")


def test_the_recipe_is_for_short_runs() -> None:
    config = PPOConfig.for_env("SFV-Walk-v0", **pipeline.recipes()["learn"])
    assert config.steps == 1_000_000 and config.target_evaluations > 0


# --- sources ----------------------------------------------------------------------------------


def test_sources_and_what_they_are_called(motion: Path, tmp_path: Path) -> None:
    (tmp_path / "walk.mp4").write_bytes(b"a film")
    (tmp_path / "2024 Jump!.mov").write_bytes(b"another")
    (tmp_path / "amass.npz").write_bytes(b"")
    np.savez(tmp_path / "amass.npz", poses=np.zeros(3))
    found = {
        name: find_source(place)
        for name, place in {
            "walk": "walk",
            "film": tmp_path / "walk.mp4",
            "odd": tmp_path / "2024 Jump!.mov",
            "mine": motion,
            "joints": tmp_path / "amass.npz",
            "shipped": get_entry("SFV-Kick-v0").motion,
        }.items()
    }
    assert {name: (one.kind, one.skill, one.registered) for name, one in found.items()} == {
        "walk": ("motion", "walk", True),
        "film": ("video", "my_walk", False),
        "odd": ("video", "clip_2024_jump", False),
        "mine": ("motion", "sway", False),
        "joints": ("joints", "amass", False),
        "shipped": ("motion", "kick", True),
    }
    swing().save(tmp_path / "kick.npz")
    other = find_source(tmp_path / "kick.npz")
    assert (other.skill, other.registered) == ("my_kick", False)
    assert find_source(tmp_path / "kick.npz", "kick").skill == "kick"
    assert find_source("walk", "stroll").registered is False
    assert found["film"].files() == (
        "my_walk.npz",
        "reconstruction.html",
        "video/poses.npz",
        "video/overlay.mp4",
    )


@pytest.mark.parametrize(
    ("place", "settings", "error", "message"),
    [
        ("wlak", {}, UnknownIdError, "did you mean walk"),
        ("xyzzy", {}, UnknownIdError, "sfv envs"),
        ("SFV-Walk-Slopes-v0", {}, UnknownIdError, "name its skill"),
        ("none.mp4", {}, VideoError, "no such file"),
        ("some/folder", {}, VideoError, "no such file"),
        ("walk", {"skill": "Bad-Name"}, MotionError, "snake_case"),
        ("walk", {"extraction": {"speed": 0.5}}, SettingError, "speed is for video"),
        ("walk", {"extraction": {"nonsense": 1}}, SettingError, "nonsense is for nothing"),
    ],
)
def test_a_source_that_is_none(
    place: str, settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        find_source(place, **settings)


def test_joints_in_space_are_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(
        sources, "import_motion", lambda file, **settings: asked.update(settings, file=file)
    )
    (tmp_path / "walk.BVH").write_text("HIERARCHY")
    found = find_source(tmp_path / "walk.BVH", extraction={"start": 0.2, "fps": 60})
    assert found.kind == "joints" and found.skill == "my_walk"
    assert found.make(tmp_path, strict=True, progress=False) == {"notes": []}
    assert asked["out"] == tmp_path / "my_walk.npz" and asked["report"].suffix == ".html"
    assert (asked["start"], asked["fps"], asked["strict"]) == (0.2, 60, True)
    assert found.poses(tmp_path) is None


def test_a_bad_motion_is_learned_unless_it_must_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = Verdict((Finding(BAD, "the legs are crossed"),))
    replace(swing(frames=31), verdict=bad).save(tmp_path / "crossed.npz")
    with pytest.raises(VerdictError, match="legs are crossed"):
        run(tmp_path / "crossed.npz", tmp_path / "out", strict=True)
    assert not (tmp_path / "out").exists()

    def stop(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "train_in", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "crossed.npz", tmp_path / "out", progress=True)
    said = capsys.readouterr().err
    assert "Reconstruction: bad" in said and "legs are crossed" in said
    with pytest.raises(VerdictError, match="nothing was learned"):
        run(tmp_path / "crossed.npz", tmp_path / "out", strict=True)


def test_of_a_video_the_film_shows_all_three(
    motion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"a film")
    poses = PoseSequence(
        landmarks=LANDMARKS,
        landmarks_2d=np.full((31, 33, 2), 100.0),
        visibility=np.ones((31, 33)),
        landmarks_3d=np.zeros((31, 33, 3)),
        detected=np.ones(31, bool),
        fps=30.0,
        width=320,
        height=240,
        source={},
    )
    asked: dict[str, Any] = {}

    def extract(video: Path, *, out: Path, **settings: Any) -> Extraction:
        asked.update(settings)
        poses.save(settings["poses_out"])
        write_video(settings["overlay"], (np.full((240, 320, 3), 90, np.uint8),) * 31, 30.0)
        settings["report"].write_text("a page")
        one = ReferenceMotion.load(motion)
        one.save(out)
        return Extraction(one, poses, open_video(settings["overlay"]), ("there was a cut",))

    monkeypatch.setattr(sources, "extract_motion", extract)
    path = doing_nothing(tmp_path / "given.safetensors", "phase")
    settings = {"start": path, "target": 0.0, "extraction": {"start": 1.0, "end": None}}
    learned = run(tmp_path / "clip.mp4", tmp_path / "out", **settings)
    assert asked["start"] == 1.0 and "end" not in asked and asked["skill"] == "clip"
    video = open_video(learned.film)
    assert video.width > 3 * video.height
    page = learned.report.read_text()
    assert "there was a cut" in page and 'href="reconstruction.html"' in page
    assert "reconstruction.html" in {path.name for path in learned.folder.iterdir()}
    assert [path.name for path in learned.folder.glob("*.npz")] == ["clip.npz"]  # SFV_GYM_MOTIONS
    with pytest.raises(OutputError, match="another part or reading"):
        run(tmp_path / "clip.mp4", tmp_path / "out", **{**settings, "extraction": {}})


# --- stages and the command -------------------------------------------------------------------


def test_a_stage_is_done_once_of_the_same_things(tmp_path: Path) -> None:
    calls = []

    def work() -> dict[str, Any]:
        calls.append(1)
        (tmp_path / "made.txt").write_text("made")
        return {"count": len(calls), "seconds": 7.0}

    def go_on(made_of: str = "a", asked: int = 1) -> dict[str, Any]:
        stages = Stages(tmp_path, {"seed": asked})
        return stages.do("one", {"of": made_of}, ["made.txt"], work)

    assert go_on() == go_on() == {"count": 1}
    assert Stages(tmp_path, {"seed": 1}).seconds() == {"one": 7.0}
    assert go_on("b") == {"count": 2}
    (tmp_path / "made.txt").unlink()
    assert go_on("b") == {"count": 3}
    with pytest.raises(OutputError, match="with seed 1, not 2"):
        go_on(asked=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("none.mp4",), "no such file"),
        (("wlak",), "did you mean walk"),
        (("walk", "--character", "giraffe"), "giraffe"),
        (("walk", "--terrain", "moon"), "moon"),
        (("walk", "--start", "none.safetensors"), "no such policy file"),
        (("walk", "--set", "gama=0.9"), "did you mean gamma"),
        (("walk", "--set", "minutes=3"), "give --minutes"),
        (("walk", "--subject", "2"), "subject is for video"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(sfv, arguments, message, tmp_path) -> None:
    code, out, err = sfv("learn", *arguments, "--out", "out")
    assert (code, out) == (2, "")
    assert message in err and err.startswith("error:") and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["no video", "two frames", "nobody"])
def test_a_video_of_no_use_leaves_no_folder(sfv, kind, tmp_path) -> None:
    if kind == "no video":
        (tmp_path / "clip.mp4").write_text("not a video at all")
    else:
        frames = (np.full((48, 64, 3), 90, np.uint8),) * (2 if kind == "two frames" else 20)
        write_video(tmp_path / "clip.mp4", frames, 30.0)
    code, out, err = sfv("learn", "clip.mp4", "--out", "out", "--start", "none")
    assert (code, out) == (2, "") and "error:" in err
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_command_prints_one_json_object(sfv, learned, motion, tmp_path) -> None:
    path = doing_nothing(tmp_path / "given.safetensors", "phase")
    arguments = ("--start", str(path), "--target", "0", "--threads", "1", "--json")
    code, out, err = sfv("learn", str(motion), *arguments)
    figures = json.loads(out)
    assert code == 0 and figures["folder"] == "learned/sway"
    assert {"success_rate", "normalized_return", "minutes", "samples", "verdict"} <= set(figures)
    assert "register_motion" in err and "success" in err
    assert Path("learned/sway/report.html").is_file()
