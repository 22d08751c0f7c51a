"""Reconstruction against the truth: joint errors beside raw MediaPipe's.

``sfv bench reconstruction CLIPS`` measures every ``<clip>.mp4`` in a folder that has a truth,
``<clip>.npz``, beside it: joints_world (T, J, 3) metres, z up, joint_names, fps, contact (T, 4).
Errors are those of the person (``ReferenceMotion.joint_positions(person=True)``) in 12 limb
joints. Raw is what MediaPipe's heavy model says of one upright frame at a time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from sfv_gym.benchmarks.pages import fill, table_lines
from sfv_gym.errors import MotionError, SFVError, VideoError
from sfv_gym.files import atomic_path
from sfv_gym.skeleton import LINKS

if TYPE_CHECKING:
    from sfv_gym.pose import PoseSequence
    from sfv_gym.reconstruction.prior import PosePrior

_PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
TRUTH_JOINTS = tuple(f"{side}_{part}" for part in _PARTS for side in ("l", "r"))
LINK_COLUMNS = [LINKS.index(f"{side}_{p}") for p in _PARTS for side in ("left", "right")]
_HIPS, _ANKLES = slice(6, 8), slice(10, 12)
FIGURES = {
    "pa_mm": "PA-MPJPE, mm",
    "root_mm": "root-relative, mm",
    "clip_mm": "whole clip, mm",
    "accel_ms2": "acceleration, m/s²",
    "skate_mm": "skate, mm/frame",
}
RAW, FULL, TRUTH = "raw MediaPipe", "full", "truth"
VIEWED = 6
"""Instants of a clip that are drawn."""
_BONES = np.array(
    ((0, 2), (2, 4), (1, 3), (3, 5), (6, 8), (8, 10), (7, 9), (9, 11), (0, 1), (6, 7), (0, 6),
     (1, 7))
)  # fmt: skip
"""Pairs of TRUTH_JOINTS."""
COMPARED = ("pa_mm", "root_mm", "accel_ms2")
"""The figures that raw landmarks, which have no path, have too."""

Row = dict[str, float]


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """``source`` (N, 3) moved, turned and scaled onto ``target`` (N, 3) (Umeyama)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    scale = (s * flip).sum() / (a**2).sum()
    return np.asarray(scale * a @ (u * flip) @ vt + target.mean(0))


def joint_errors(
    joints: np.ndarray, truth: np.ndarray, fps: float, planted: np.ndarray | None = None
) -> Row:
    """Errors of 12 limb joints (T, 12, 3) against the truth (T, 12, 3).

    Returns:
        pa_mm: Procrustes per frame. root_mm: hip-centred, one rotation and scale a clip.
        clip_mm: one similarity a clip, the path included. accel_ms2: of the joints after one
        rotation and scale. skate_mm: the ankles' drift per frame where ``planted`` (T, 2).
    """
    pa = [_distance(similarity(p, q), q) for p, q in zip(joints, truth, strict=True)]
    centred, goal = _centred(joints), _centred(truth)
    turn = _turn(centred, goal)
    whole = similarity(joints.reshape(-1, 3), truth.reshape(-1, 3))
    jolt = np.diff(joints @ turn - truth, n=2, axis=0) * fps**2
    skate = float("nan")
    if planted is not None:
        both = planted[1:] & planted[:-1]
        if both.any():
            steps = np.linalg.norm(np.diff(joints[:, _ANKLES, :2], axis=0), axis=-1)
            skate = 1e3 * float(steps[both].mean())
    return {
        "pa_mm": 1e3 * float(np.mean(pa)),
        "root_mm": 1e3 * _distance(centred @ turn, goal),
        "clip_mm": 1e3 * _distance(whole, truth.reshape(-1, 3)),
        "accel_ms2": float(np.linalg.norm(jolt, axis=-1).mean()),
        "skate_mm": skate,
    }


def _centred(joints: np.ndarray) -> np.ndarray:
    """Joints (T, 12, 3) with the middle of the hips at the origin."""
    return np.asarray(joints - joints[:, _HIPS].mean(1, keepdims=True))


def _turn(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The rotation with scale (3, 3) by which ``source @ turn`` is nearest to ``target``."""
    u, s, vt = np.linalg.svd(source.reshape(-1, 3).T @ target.reshape(-1, 3))
    flip = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    return np.asarray((s * flip).sum() / (source**2).sum() * (u * flip) @ vt)


def views(raw: np.ndarray, full: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Some instants of a clip, hip-centred, in metres along the camera's right, down and away.

    Args:
        raw: (T, 12, 3) in the camera's frame, NaN where nobody was seen. full, truth: in a world.

    Returns:
        (VIEWED, 12, 3) lists for raw, full and the truth, the first two turned and scaled onto the
        truth as for the root-relative error.
    """
    seen = np.flatnonzero(np.isfinite(raw).all((1, 2)))
    at = seen[np.linspace(0, len(seen) - 1, VIEWED).round().astype(int)]
    goal = _centred(truth)
    turn = _turn(_centred(raw[seen]), goal[seen])
    scale = np.linalg.det(turn) ** (1 / 3)
    to_camera = (turn / scale).T
    found = {
        RAW: _centred(raw[at]) * scale,
        FULL: _centred(full)[at] @ _turn(_centred(full), goal) @ to_camera,
        TRUTH: goal[at] @ to_camera,
    }
    return {name: joints.round(3).tolist() for name, joints in found.items()}


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean())


# --- what is measured -------------------------------------------------------------------------


class Clip:
    """A video with its truth; poses are found once per setting.

    Raises:
        VideoError, MotionError: the video or its truth is missing or does not fit.
    """

    def __init__(self, video: Path) -> None:
        self.name, self.video = video.stem, video
        path = video.with_suffix(".npz")
        try:
            with np.load(path, allow_pickle=False) as data:
                names = [str(n) for n in data["joint_names"]]
                columns = [names.index(n) for n in TRUTH_JOINTS]
                self.truth = np.asarray(data["joints_world"], float)[:, columns]
                self.planted = np.asarray(data["contact"])[:, 2:] > 0.5  # l_foot, r_foot
        except (OSError, KeyError, ValueError) as error:
            raise MotionError(f"{path}: not a truth for {video.name}: {error}") from None

    def poses(self, **settings: Any) -> PoseSequence:
        """The product's poses, see ``estimate_pose``."""
        from sfv_gym.pose import estimate_pose
        from sfv_gym.video import open_video

        return self._fitting(estimate_pose(open_video(self.video), progress=False, **settings))

    def prior(self) -> PosePrior:
        """The product's pose prior, but for what it knows from clips of the same name."""
        from sfv_gym.library import library_clips
        from sfv_gym.reconstruction.prior import shipped_prior

        return shipped_prior(
            tuple(c.skill for c in library_clips() if _kind(c.file) == _kind(self.video.name))
        )

    def raw(self) -> tuple[Row, np.ndarray]:
        """What MediaPipe's heavy model says of one upright frame at a time, and nothing else.

        Returns:
            The errors, and the 12 limb joints (T, 12, 3) in the camera's frame, NaN where nobody
            was seen.
        """
        from sfv_gym.pose.mediapipe.detector import single_frames
        from sfv_gym.pose.mediapipe.model import ensure_pose_model
        from sfv_gym.pose.quiet import quiet_stderr
        from sfv_gym.video import open_video

        video = open_video(self.video)
        model = ensure_pose_model("heavy")
        with quiet_stderr():
            people = list(single_frames(video, model))
        if len(people) != len(self.truth):
            raise VideoError(f"{self.video}: {len(people)} frames, truth {len(self.truth)}")
        seen = np.array([person is not None for person in people])
        solid = np.full(self.truth.shape, np.nan)
        solid[seen] = [p.landmarks_3d[p.landmarks.joints] for p in people if p is not None]
        row = joint_errors(solid[seen], self.truth[seen], video.fps)
        # hip-centred landmarks have no path, so that these two say nothing
        return {**row, "clip_mm": float("nan"), "skate_mm": float("nan")}, solid

    def errors(self, joints: np.ndarray, fps: float) -> Row:
        """Of all links (T, 15, 3)."""
        return joint_errors(joints[:, LINK_COLUMNS], self.truth, fps, self.planted)

    def _fitting(self, poses: PoseSequence) -> PoseSequence:
        if poses.num_frames != len(self.truth):
            raise VideoError(f"{self.video}: {poses.num_frames} frames, truth {len(self.truth)}")
        return poses


def _person(clip: Clip, poses: PoseSequence, **changes: Any) -> Row:
    """Errors of the person's fit under other settings than the product's."""
    from sfv_gym.reconstruction.evidence import gather_evidence
    from sfv_gym.reconstruction.person import PersonProblem, Weights
    from sfv_gym.reconstruction.pipeline import ITERATIONS, fit_person

    ground = changes.pop("ground", True)
    weights = replace(Weights(), **changes.pop("weights", {}))
    settings = {"prior": clip.prior(), **changes}
    problem = PersonProblem(gather_evidence(poses), weights, **settings)
    fit, _ = fit_person(problem, ITERATIONS, ground=ground)
    return clip.errors(fit.pose.pos.numpy(), poses.fps)


def _kind(file: str) -> str:
    """What clips of one skill have in common: ``run`` of run_a.mp4 and run_c.mp4."""
    return Path(file).stem.rsplit("_", 1)[0]


def _slow_modes(clip: Clip, hz: float) -> Row:
    poses = clip.poses()
    return _person(clip, poses, modes=max(4, round(2 * hz * poses.num_frames / poses.fps)))


def _rest_pose(clip: Clip) -> Row:
    from sfv_gym.reconstruction.prior import rest_prior

    return _person(clip, clip.poses(), prior=rest_prior())


NONE = 1e6  # a spread so wide that the term says nothing
ABLATIONS: Mapping[str, Callable[[Clip], Row]] = {
    "no rotated views": lambda c: _person(c, c.poses(ensemble=False)),
    "no rotated, no mirrored views": lambda c: _person(c, c.poses(ensemble=False, mirror=False)),
    "no 3D": lambda c: _person(c, c.poses(), weights={"direction": NONE}),
    "no 2D": lambda c: _person(c, c.poses(), weights={"pixel": NONE}),
    "no smoothness": lambda c: _person(
        c, c.poses(), weights={"link_acceleration": NONE, "angle_acceleration": NONE}
    ),
    "no contacts, no gravity": lambda c: _person(c, c.poses(), ground=False),
    "no balance": lambda c: _person(c, c.poses(), weights={"balance": NONE}),
    "proportions of an average person": lambda c: _person(
        c, c.poses(), weights={"proportion": 1e-3, "scale": 1e-3}
    ),
    "low-dimensional path, below 6 Hz": lambda c: _slow_modes(c, 6.0),
    "a rest pose in place of the learned prior": _rest_pose,
}
"""What is left out or put in place of the product's choice: the person's fit alone."""


def measure_clip(clip: Clip, ablations: bool = False, tick: Callable[[str], None] = print) -> Any:
    """Rows of figures of one clip: raw, full, the character's, and the ablations'."""
    from sfv_gym.reconstruction import reconstruct

    tick(f"{clip.name}: raw")
    raw_errors, raw = clip.raw()
    rows = {RAW: raw_errors}
    tick(f"{clip.name}: {FULL}")
    poses = clip.poses()
    started = time.perf_counter()
    motion = reconstruct(poses, skill=clip.name, loop="none", prior=clip.prior(), progress=False)
    seconds = time.perf_counter() - started
    person = motion.joint_positions(person=True)
    rows[FULL] = clip.errors(person, motion.fps)
    rows["carried to the character"] = clip.errors(motion.joint_positions(), motion.fps)
    for name, row in ABLATIONS.items() if ablations else ():
        tick(f"{clip.name}: {name}")
        rows[name] = row(clip)
    return {
        "rows": rows,
        "seconds": seconds,
        "quality": motion.provenance["quality"],
        "views": views(raw, person[:, LINK_COLUMNS], clip.truth),
    }


def means(figures: dict[str, Any]) -> dict[str, Row]:
    """Averages over the clips of every row."""
    clips = list(figures["clips"].values())
    return {
        row: {f: float(np.mean([c["rows"][row][f] for c in clips])) for f in FIGURES}
        for row in clips[0]["rows"]
    }


# --- what is written --------------------------------------------------------------------------

VIEWS_PICTURE = "reconstruction_views.png"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def tables(figures: dict[str, Any]) -> str:
    """Markdown: every clip, and the means with the ablations'."""
    head = ("", *FIGURES.values())
    average = means(figures)
    shares = [average[FULL][f] / average[RAW][f] if f in COMPARED else np.nan for f in FIGURES]
    rows = []
    for name, clip in figures["clips"].items():
        rows += [
            _cells(f"{name}, raw", clip["rows"][RAW]),
            _cells(f"**{name}**", clip["rows"][FULL]),
        ]
    rows += [_cells("mean, raw", average[RAW]), _cells("**mean**", average[FULL])]
    rows += [("**of raw**", *("" if np.isnan(share) else f"{share:.2f}" for share in shares))]
    lines = table_lines(head, rows)
    others = [row for row in average if row != RAW]
    if len(others) > 2:
        lines += ["", "What each part does (means over the same clips):", ""]
        lines += table_lines(head, [_cells(row, average[row]) for row in others])
    return "\n".join(lines)


def _cells(name: str, row: Row) -> tuple[str, ...]:
    return name, *("" if np.isnan(row[f]) else f"{row[f]:.1f}" for f in FIGURES)


def plot(figures: dict[str, Any], path: Path) -> None:
    """Bars of every clip, raw and full, with the means."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [*figures["clips"], "mean"]
    rows = [clip["rows"] for clip in figures["clips"].values()] + [means(figures)]
    figure, axes = pyplot.subplots(1, len(COMPARED), figsize=(11, 3.2), layout="constrained")
    at = np.arange(len(names))
    for axis, figure_name in zip(axes, COMPARED, strict=True):
        for offset, row, colour in ((-0.2, RAW, "#9aa5b1"), (0.2, FULL, "#1f6feb")):
            values = [r[row][figure_name] for r in rows]
            axis.barh(at + offset, values, 0.38, color=colour, label=row)
        axis.set_yticks(at, names if axis is axes[0] else [""] * len(names))
        axis.invert_yaxis()
        axis.set_title(FIGURES[figure_name], fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1].legend(fontsize=8, frameon=False, loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)
    pyplot.close(figure)


def plot_views(found: dict[str, Any], path: Path) -> None:
    """Some instants (see ``views``) from the camera, above, and from the side, below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, VIEWED, figsize=(11, 4.6), layout="constrained")
    for row, (across, title) in enumerate(((0, "from the camera"), (2, "from the side"))):
        for instant, axis in enumerate(axes[row]):
            for name, colour, width in ((TRUTH, "#9aa5b1", 5), (RAW, "#e8702a", 1.5),
                                        (FULL, "#1f6feb", 1.5)):  # fmt: skip
                joints = np.array(found[name][instant])
                for bone in _BONES:
                    axis.plot(
                        joints[bone, across], -joints[bone, 1], color=colour, lw=width,
                        solid_capstyle="round",
                    )  # fmt: skip
            axis.set(xlim=(-1.0, 1.0), ylim=(-1.05, 1.05), aspect="equal")
            axis.axis("off")
        axes[row][0].set_title(title, fontsize=10, loc="left")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
    pyplot.close(figure)


def write_docs(figures: dict[str, Any], docs: Path) -> None:
    """Put the tables between the marks in ``reconstruction.md``, and its plot beside it.

    Raises:
        SFVError: the page or its marks are missing.
    """
    fill(docs / "reconstruction.md", BEGIN, END, tables(figures))
    plot(figures, docs / "images" / "reconstruction.png")
    plot_views(next(iter(figures["clips"].values()))["views"], docs / "images" / VIEWS_PICTURE)


def reconstruction(
    clips: Annotated[Path, typer.Argument(help="Folder of <clip>.mp4 with <clip>.npz truths.")],
    out: Annotated[Path, typer.Option(help="Folder for figures and picture.")] = Path(
        "out/reconstruction"
    ),
    docs: Annotated[
        Path | None, typer.Option(help="Also put the tables into reconstruction.md here.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this clip; repeatable.")] = None,
    ablations: Annotated[
        bool, typer.Option("--ablations", help="Also leave out one part after the other.")
    ] = False,
    from_json: Annotated[
        Path | None, typer.Option(help="Write table, picture and page from these figures instead.")
    ] = None,
) -> None:
    """Measure reconstruction against the truth, beside raw MediaPipe."""
    if from_json is not None:
        try:
            figures = json.loads(from_json.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SFVError(f"{from_json}: no figures of this benchmark: {error}") from None
    else:
        figures = _measure(clips, only, ablations)
    with atomic_path(out / "reconstruction.json") as temporary:
        temporary.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    plot(figures, out / "reconstruction.png")
    for name, clip in figures["clips"].items():
        plot_views(clip["views"], out / f"{name}_views.png")
    if docs is not None:
        write_docs(figures, docs)
    _show(figures)


def _measure(folder: Path, only: list[str] | None, ablations: bool) -> dict[str, Any]:
    videos = [
        video
        for video in sorted(folder.glob("*.mp4"))
        if video.with_suffix(".npz").is_file() and (not only or video.stem in only)
    ]
    if not videos:
        raise VideoError(f"{folder}: no <clip>.mp4 with its truth <clip>.npz is there")
    figures: dict[str, Any] = {"clips": {}}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(videos) * (2 + (len(ABLATIONS) if ablations else 0)))

        def tick(doing: str) -> None:
            bar.update(task, advance=1, description=doing)

        for video in videos:
            figures["clips"][video.stem] = measure_clip(Clip(video), ablations, tick)
    return figures


def _show(figures: dict[str, Any]) -> None:
    shown = Table(title="errors against the truth")
    shown.add_column("")
    for name in FIGURES.values():
        shown.add_column(name, justify="right")
    rows = {
        f"{clip}, {row}": figures["clips"][clip]["rows"][row]
        for clip in figures["clips"]
        for row in (RAW, FULL)
    }
    rows |= {f"mean, {name}": row for name, row in means(figures).items()}
    for name, row in rows.items():
        shown.add_row(name, *("" if np.isnan(row[f]) else f"{row[f]:.1f}" for f in FIGURES))
    Console().print(shown)
