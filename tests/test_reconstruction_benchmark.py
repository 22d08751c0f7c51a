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
from sfv_gym.benchmarks.studies.reconstruction.measure import Clip, measure_clip
from sfv_gym.benchmarks.studies.reconstruction.page import FIGURES, MARKS, page
from sfv_gym.errors import MotionError, SFVError, UnknownIdError, VideoError

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
    assert max(row[f] for f in ("pa_mm", "root_mm", "clip_mm", "accel_ms2")) < 1e-6


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


@pytest.fixture
def figures() -> dict:
    rows = {
        bench.RAW: dict.fromkeys(FIGURES, 100.0) | {"clip_mm": np.nan, "skate_mm": np.nan},
        bench.FULL: dict.fromkeys(FIGURES, 50.0),
        "carried to the character": dict.fromkeys(FIGURES, 60.0),
        "no 3D": dict.fromkeys(FIGURES, 80.0),
    }
    pose = np.random.default_rng(0).normal(size=(bench.VIEWED, 12, 3)).tolist()
    views = dict.fromkeys((bench.RAW, bench.FULL, bench.TRUTH), pose)
    return {"clips": {"one": {"rows": rows, "views": views}, "two": {"rows": rows, "views": views}}}


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
    path.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    write_docs(figures, tmp_path)
    text = path.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| **mean** | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |" in text
    assert "| **of raw** | 0.50 | 0.50 |  | 0.50 |  |" in text and "| no 3D | 80.0 |" in text
    for picture in ("reconstruction.png", "reconstruction_views.png"):
        assert (tmp_path / "images" / picture).stat().st_size > 1000
    path.write_text(text.replace("50.0", "60.0"))
    book(["reconstruction"], tmp_path)
    assert path.read_text() == text
    path.write_text("no marks")
    with pytest.raises(SFVError, match="no place for figures"):
        write_docs(figures, tmp_path)


def test_figures_are_shown_on_the_terminal(figures, capsys):
    page(figures).show(Console(width=120))
    shown = capsys.readouterr().out
    assert "one, raw" in shown and "**" not in shown


def test_bad_input(tmp_path):
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
