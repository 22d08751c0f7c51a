"""The measure of reconstruction: on figures that can be worked out, and on one clip with truth."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy.spatial.transform import Rotation

from sfv_gym.benchmarks.chapters import book
from sfv_gym.benchmarks.studies.reconstruction import errors as bench
from sfv_gym.benchmarks.studies.reconstruction.command import reconstruction, write_docs
from sfv_gym.benchmarks.studies.reconstruction.measure import ORIENTATIONS, Clip, measure_clip
from sfv_gym.benchmarks.studies.reconstruction.page import FIELD, FIGURES, MARKS, REAL_MARKS, page
from sfv_gym.benchmarks.studies.reconstruction.real import KNOWN_FOCAL
from sfv_gym.errors import MotionError, SettingError, SFVError, UnknownIdError, VideoError

ROOT = Path(__file__).resolve().parents[1]
TRUTH = ROOT / "tests" / "data" / "backflip_a.npz"


@pytest.fixture
def truth() -> np.ndarray:
    with np.load(TRUTH) as data:
        names = [str(n) for n in data["joint_names"]]
        return np.asarray(
            data["joints_world"][:, [names.index(n) for n in bench.TRUTH_JOINTS]], float
        )


def test_a_similarity_costs_nothing(truth):
    turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    moved = 0.8 * truth @ turn.T + [1.0, -2.0, 3.0]
    row = bench.joint_errors(moved, truth, 30.0)
    assert max(row[f] for f in bench.OF_PATHS[:3]) < 1e-6
    assert max(row[f] for f in ("pa_mm", "root_mm", "mpjve_mms", "accel_ms2")) < 1e-6
    assert row["jitter"] == pytest.approx(0.8 * bench.jitter(truth, 30.0))


def test_errors_of_known_size(truth):
    planted = np.ones((len(truth), 2), bool)
    still = np.repeat(truth[:1], len(truth), axis=0)
    drifting = still + np.arange(len(truth))[:, None, None] * [0.01, 0, 0]
    row = bench.joint_errors(drifting, still, 30.0, planted)
    # a drift of 10 mm a frame is no error of the pose, one of the path, and skates
    assert row["pa_mm"] < 1e-6 and row["root_mm"] < 1e-6 and row["clip_mm"] > 50
    assert row["skate_mm"] == pytest.approx(10.0)
    wrist = truth.copy()
    wrist[:, bench.TRUTH_JOINTS.index("l_wrist")] += [0, 0, 0.12]
    assert 5 < bench.joint_errors(wrist, truth, 30.0)["root_mm"] < 20  # 120 / 12 joints
    assert np.isnan(bench.joint_errors(truth, truth, 30.0)["skate_mm"])


def test_errors_in_the_world_are_measured_in_segments():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(250, 12, 3)).cumsum(0)
    moved = truth.copy()
    for start in range(0, 250, bench.SEGMENT):
        part = slice(start, start + bench.SEGMENT)
        turn = Rotation.random(rng=rng).as_matrix()
        moved[part] = rng.uniform(0.5, 2) * truth[part] @ turn.T + rng.normal(size=3)
    row = bench.joint_errors(moved, truth, 30.0)
    assert row["wa_mm"] < 1e-6 and row["w_mm"] < 1e-6 and row["clip_mm"] > 100


def test_a_step_after_two_frames_is_the_whole_error_of_w(truth):
    later = truth.copy()
    later[2:] += [0.1, 0.0, 0.0]
    row = bench.joint_errors(later, truth, 30.0)
    assert row["w_mm"] == pytest.approx(100.0 * (len(truth) - 2) / len(truth))
    assert row["wa_mm"] < 0.1 * row["w_mm"] and row["pa_mm"] < 1e-6


def test_derivatives_of_polynomials_in_time(truth):
    fps = 60.0
    t = np.arange(len(truth))[:, None, None] / fps
    ahead = np.array([1.0, 0.0, 0.0])
    assert bench.jitter(truth[:1] + 70.0 / 6.0 * t**3 * ahead, fps) == pytest.approx(7.0)
    falling = truth + 0.5 * 9.81 * t**2 * ahead
    assert bench.joint_errors(falling, truth, fps)["accel_ms2"] == pytest.approx(9.81)
    # a wrist that trembles by a millimetre between frames, one of twelve joints
    still = np.repeat(truth[:1], len(truth), axis=0)
    trembling = still.copy()
    trembling[1::2, bench.TRUTH_JOINTS.index("l_wrist")] += 0.001 * ahead
    row = bench.joint_errors(trembling, still, fps)
    assert row["mpjve_mms"] == pytest.approx(1.0 * fps / 12, rel=0.01)


def test_angles_between_orientations(truth):
    rng = np.random.default_rng(1)
    turns = Rotation.random(len(truth) * 3, rng=rng)
    stack = turns.as_matrix().reshape(-1, 3, 3, 3)
    off = stack.copy()
    off[:, 1] = off[:, 1] @ Rotation.from_euler("y", 12.0, degrees=True).as_matrix()
    world = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    moved = 1.2 * truth @ world.T + [1.0, 2.0, 3.0]
    assert bench.mpjae_deg(world @ off, stack, moved, truth) == pytest.approx(12.0 / 3)
    assert bench.mpjae_deg(world @ stack, stack, moved, truth) < 1e-4


def test_a_truth_may_know_orientations(truth, tmp_path):
    with np.load(TRUTH) as data:
        known = dict(data)
    ahead = Rotation.from_euler("z", 90, degrees=True)  # of a body that faces -y: to x
    quat = np.tile(np.roll(ahead.as_quat(), 1), (len(truth), 1))
    np.savez(tmp_path / "clip.npz", **known, **dict.fromkeys(ORIENTATIONS, quat))
    turns = Clip(tmp_path / "clip.mp4").turns
    assert turns.shape == (len(truth), 3, 3, 3) and np.allclose(turns, np.eye(3))
    assert Clip(TRUTH.with_suffix(".mp4")).turns is None


@pytest.fixture
def figures() -> dict:
    no_path = dict.fromkeys(bench.OF_PATHS, np.nan)
    known = {**FIGURES, **FIELD}
    rows = {
        bench.RAW: dict.fromkeys(known, 100.0) | no_path,
        bench.FULL: dict.fromkeys(known, 50.0),
        bench.TRUTH: {"jitter": 7.0},
        "retargeted to the character": dict.fromkeys(FIGURES, 60.0),
        "no 3D": dict.fromkeys(FIGURES, 80.0),
    }
    pose = np.random.default_rng(0).normal(size=(bench.VIEWED, 12, 3)).tolist()
    views = dict.fromkeys((bench.RAW, bench.FULL, bench.TRUTH), pose)
    real = {name: rows[name] for name in (bench.RAW, bench.FULL, bench.TRUTH)}
    real[KNOWN_FOCAL] = dict.fromkeys(known, 40.0)
    view = {"rows": real, "left_out_mm": 8.0, "ray_mm": 9.0, "turned_deg": 0.5}
    clip = {"rows": rows, "views": views}
    return {
        "clips": {"clips": {"one": clip, "two": clip}},
        "real": {"frames": 100, "fps": 60.0, "views": {"cam01": view, "cam02": view}},
    }


def test_views_are_in_the_cameras_frame(truth):
    turn = Rotation.from_euler("xyz", [0.3, -1.0, 2.0]).as_matrix()
    seen = 0.8 * (truth - truth[:, 6:8].mean(1, keepdims=True)) @ turn.T
    seen[3] = np.nan
    found = bench.views(seen, truth + np.array([1.0, 2.0, 3.0]), truth)
    for name in (bench.RAW, bench.FULL):
        assert np.allclose(found[name], found[bench.TRUTH], atol=2e-3)
    assert np.allclose(found[bench.RAW], 1.25 * seen[np.linspace(0, 51, 6).round().astype(int)
                       + (np.linspace(0, 51, 6).round() >= 3)], atol=2e-3)  # fmt: skip


def test_page_gets_its_tables_and_keeps_its_text(figures, tmp_path):
    path = tmp_path / "reconstruction.md"
    path.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n" + "\n".join(REAL_MARKS))
    write_docs(figures, tmp_path)
    text = path.read_text()
    assert text.startswith("before\n") and "\nafter\n" in text and "old" not in text
    assert "| **mean** | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |" in text
    assert "| **of raw** | 0.50 | 0.50 |  | 0.50 |  |" in text and "| no 3D | 80.0 |" in text
    assert "| **mean** | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |" in text
    assert "| mean, raw | 100.0 |  |  | 100.0 | 100.0 | 100.0 | 100.0 |" in text
    assert "| mean, truth |  |  |  |  |  | 7.0 |  |" in text
    assert "2 views, 100 frames at 60 fps" in text and "move by 8 mm" in text
    assert "50 mm off (PA), 0.50 of raw" in text and "it is 40 mm" in text
    assert "| cam01, focal length known | 40.0 |" in text and "| **cam02** | 50.0 |" in text
    for picture in ("reconstruction.png", "reconstruction_views.png"):
        assert (tmp_path / "images" / picture).stat().st_size > 1000
    path.write_text(text.replace("50.0", "60.0"))
    book(["reconstruction"], tmp_path)
    assert path.read_text() == text
    path.write_text("no marks")
    with pytest.raises(SFVError, match="no place for figures"):
        write_docs(figures, tmp_path)


def test_figures_are_shown_on_the_terminal(figures, capsys):
    page(figures["clips"]).show(Console(width=120))
    shown = capsys.readouterr().out
    assert "one, raw" in shown and "**" not in shown


def test_what_was_not_measured_stays(figures, tmp_path):
    write_docs(figures, tmp_path)  # where no page is: one is begun
    text = (tmp_path / "reconstruction.md").read_text()
    write_docs({"real": figures["real"]}, tmp_path)
    assert (tmp_path / "reconstruction.md").read_text() == text


def test_bad_input(tmp_path):
    with pytest.raises(SettingError, match="nothing to measure"):
        reconstruction(docs=tmp_path / "out")
    with pytest.raises(VideoError, match="with its truth"):
        reconstruction(tmp_path, docs=tmp_path / "out")
    with pytest.raises(UnknownIdError, match="estimator"):
        reconstruction(tmp_path, docs=tmp_path / "out", estimator="crystal-ball")
    (tmp_path / "clip.npz").write_text("no truth")
    with pytest.raises(MotionError, match="not a truth"):
        Clip(tmp_path / "clip.mp4")


@pytest.mark.slow
@pytest.mark.network
def test_the_shipped_clip_is_reconstructed_better_than_raw(tmp_path):
    shutil.copy(ROOT / "assets" / "clips" / "backflip_a.mp4", tmp_path)
    shutil.copy(TRUTH, tmp_path)
    rows = measure_clip(Clip(tmp_path / "backflip_a.mp4"), tick=lambda _: None)["rows"]
    raw, full = rows[bench.RAW], rows[bench.FULL]
    assert 70 < raw["pa_mm"] < 90  # MediaPipe as it comes
    for name, share in (("pa_mm", 0.8), ("root_mm", 0.7), ("accel_ms2", 0.5)):
        assert full[name] < share * raw[name], name
    assert full["clip_mm"] < 110 and full["skate_mm"] < 10
