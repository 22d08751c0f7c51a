"""Real people: each view of several calibrated cameras by itself, against the others' points.

What is compared are landmarks, as the estimator sees them in the pictures: those on the
reconstructed body against those that are triangulated. The view that is measured has no part in its
truth, and the scene none in the pose prior.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from rich.console import Console
from rich.progress import Progress

from sfv_gym import skeleton
from sfv_gym.benchmarks.studies.reconstruction.calibration import CalibratedCamera, read_cameras
from sfv_gym.benchmarks.studies.reconstruction.errors import (
    FULL,
    RAW,
    TRUTH,
    Row,
    jitter,
    joint_errors,
)
from sfv_gym.benchmarks.studies.reconstruction.measure import raw_errors, raw_joints
from sfv_gym.benchmarks.studies.reconstruction.triangulation import View, triangulate
from sfv_gym.errors import CalibrationError, VideoError
from sfv_gym.pose.landmarks import JOINTS
from sfv_gym.pose.registry import DEFAULT, get_estimator

if TYPE_CHECKING:
    from sfv_gym.motion import ReferenceMotion
    from sfv_gym.pose import LandmarkSet, PoseSequence
    from sfv_gym.reconstruction.prior import PosePrior
    from sfv_gym.video import VideoReader

KNOWN_FOCAL = "full, focal length known"


class ViewFigures(TypedDict):
    """Errors of a view by row; how well its truth is known.

    ``left_out_mm``: by how much the truth moves without this view, e after one similarity a frame.
    ``ray_mm``: median distance of the view's landmarks from the points that all views agree on;
    ``turned_deg``: by which its camera was turned for that.
    """

    rows: dict[str, Row]
    seconds: float
    left_out_mm: float
    ray_mm: float
    turned_deg: float


class RealFigures(TypedDict):
    """Figures by view, and of what clips."""

    estimator: str
    frames: int
    fps: float
    views: dict[str, ViewFigures]


@dataclass(frozen=True)
class Filmed:
    """A camera's video and the person in it."""

    camera: CalibratedCamera
    reader: VideoReader
    poses: PoseSequence

    @property
    def view(self) -> View:
        """What it says of the 12 limb landmarks."""
        joints = self.poses.landmarks.joints
        seen = self.poses.landmarks_2d[:, joints]
        known = np.isfinite(seen).all(-1) & self.poses.detected[:, None]
        return View(
            self.camera,
            self.camera.rays(seen, self.poses.width, self.poses.height),
            np.where(known, np.nan_to_num(self.poses.visibility[:, joints]), 0.0),
        )

    @property
    def focal_px(self) -> float:
        """The camera's focal length in the video's pixels."""
        scale = self.camera.scale(self.poses.width, self.poses.height)
        return float(self.camera.matrix[0, 0] * scale)


def measure_real(folder: Path, *, estimator: str = DEFAULT) -> RealFigures:
    """Figures of a scene filmed by several cameras.

    Args:
        folder: with ``calibration`` (see ``read_cameras``) and ``videos/<name of the camera>.mp4``,
            which begin at the same instant.
        estimator: what finds the person, see ``get_estimator``.

    Raises:
        CalibrationError, VideoError, PoseError: something is missing or does not fit.
        UnknownIdError, SettingError: there is no such estimator.
    """
    from sfv_gym.pose import estimate_pose

    chosen = get_estimator(estimator)
    readers = open_views(folder)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=4 * len(readers))

        def tick(doing: str) -> None:
            bar.update(task, advance=1, description=doing)

        prior, scene = prior_without(reader.sha256 for _, reader in readers), []
        for camera, reader in readers:
            tick(f"{camera.name}: poses")
            poses = estimate_pose(reader, estimator=chosen, progress=False)
            scene.append(Filmed(camera, reader, poses))
        together = triangulate([filmed.view for filmed in scene])
        fps, everyone = scene[0].reader.fps, together.smooth(scene[0].reader.fps)
        figures: RealFigures = {
            "estimator": chosen.name,
            "frames": together.frames,
            "fps": fps,
            "views": {},
        }
        for i, filmed in enumerate(scene):
            others = [other.view for other in scene if other is not filmed]
            truth = triangulate(others).smooth(fps)
            name = filmed.camera.name
            tick(f"{name}: raw")
            rows = {RAW: raw_errors(raw_joints(filmed.reader), truth, fps)}
            tick(f"{name}: {FULL}")
            started = time.perf_counter()
            rows[FULL] = _reconstructed(filmed, truth, prior)
            seconds = time.perf_counter() - started
            tick(f"{name}: {KNOWN_FOCAL}")
            rows[KNOWN_FOCAL] = _reconstructed(filmed, truth, prior, filmed.focal_px)
            rows[TRUTH] = {"jitter": jitter(truth, fps)}
            figures["views"][name] = {
                "rows": rows,
                "seconds": seconds,
                "left_out_mm": joint_errors(truth, everyone, fps)["pa_mm"],
                "ray_mm": 1e3 * float(np.median(together.errors[i][filmed.view.weights > 0])),
                "turned_deg": float(np.degrees(together.turned[i])),
            }
    return figures


def open_views(folder: Path) -> list[tuple[CalibratedCamera, VideoReader]]:
    """The cameras of a scene that have a video, and those, which must be of equal length.

    Raises:
        CalibrationError, VideoError: something is missing or does not fit.
    """
    from sfv_gym.video import open_video

    cameras = read_cameras(folder / "calibration")
    videos = {video.stem: video for video in sorted((folder / "videos").glob("*.mp4"))}
    if not videos:
        raise VideoError(f"{folder / 'videos'}: no <camera>.mp4 is there")
    if strangers := sorted(videos.keys() - cameras.keys()):
        raise CalibrationError(
            f"{folder}: no camera is called {', '.join(strangers)}; there are {', '.join(cameras)}"
        )
    readers = [(cameras[name], open_video(video)) for name, video in videos.items()]
    kinds = {(reader.num_frames, round(reader.fps, 3)) for _, reader in readers}
    if len(kinds) > 1:
        said = ", ".join(f"{frames} at {fps:g} fps" for frames, fps in sorted(kinds))
        raise VideoError(f"{folder / 'videos'}: not equally long: frames {said}")
    return readers


def person_landmarks(motion: ReferenceMotion, landmarks: LandmarkSet) -> np.ndarray:
    """Where the 12 limb landmarks (T, 12, 3) sit on the reconstructed person, in the motion's
    world."""
    from sfv_gym.fitting.articulation import Pose
    from sfv_gym.fitting.canonical_body import Body
    from sfv_gym.fitting.tensors import matrices, tensor
    from sfv_gym.reconstruction.markers import markers

    assert motion.person_scale is not None  # as every motion that comes of a video
    pos, quat = skeleton.forward_kinematics(
        motion.person_root_pos,
        motion.person_root_quat,
        motion.person_joint_quat,
        motion.person_offsets,
    )
    pose = Pose.of(tensor(pos), matrices(quat))
    found = markers(Body(tensor(motion.person_scale)), pose, landmarks).numpy()
    return np.asarray(found[:, [landmarks.marker(name) for name in JOINTS]])


def prior_without(sha256: Iterable[str]) -> PosePrior:
    """The product's pose prior, but for what it knows from the library's clips of these videos."""
    from sfv_gym.library import library_clips
    from sfv_gym.reconstruction.prior import shipped_prior
    from sfv_gym.registry import find_motion

    scene = set(sha256)
    skills = [clip.skill for clip in library_clips()]
    sources = {skill: find_motion(skill).provenance.get("source", {}) for skill in skills}
    return shipped_prior(tuple(s for s in skills if sources[s].get("sha256") in scene))


def _reconstructed(
    filmed: Filmed, truth: np.ndarray, prior: PosePrior, focal_px: float | None = None
) -> Row:
    from sfv_gym.reconstruction import reconstruct

    motion = reconstruct(
        filmed.poses, skill="real", loop="none", focal_px=focal_px, prior=prior, progress=False
    )
    return joint_errors(person_landmarks(motion, filmed.poses.landmarks), truth, motion.fps)
