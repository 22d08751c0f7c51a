"""What is measured: every ``<clip>.mp4`` in a folder that has a truth, ``<clip>.npz``, beside it:
joints_world (T, J, 3) metres, z up, joint_names, fps, contact (T, 4); perhaps orientations of root,
chest and head in that world, (T, 4) wxyz.

Errors are those of the person (``ReferenceMotion.joint_positions(person=True)``) in 12 limb joints.
Raw is what MediaPipe's heavy model says of one upright frame at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np
from rich.console import Console
from rich.progress import Progress

from sfv_gym import skeleton
from sfv_gym.benchmarks.studies.reconstruction.errors import (
    FULL,
    LINK_COLUMNS,
    OF_PATHS,
    ORIENTED_LINKS,
    RAW,
    TRUTH,
    TRUTH_JOINTS,
    Row,
    Views,
    jitter,
    joint_errors,
    mpjae_deg,
    views,
)
from sfv_gym.errors import MotionError, VideoError
from sfv_gym.pose.registry import DEFAULT, get_estimator
from sfv_gym.rotations import quat_to_matrix

if TYPE_CHECKING:
    from sfv_gym.motion import ReferenceMotion
    from sfv_gym.pose import PoseSequence
    from sfv_gym.reconstruction.joint_network import JointNetworks
    from sfv_gym.reconstruction.prior import PosePrior
    from sfv_gym.video import VideoReader

ORIENTATIONS = ("root_quat_wxyz", "chest_quat_wxyz", "head_quat_wxyz")
TRUTH_AXES = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
"""The canonical skeleton's axes in the truth's, whose body at rest faces -y with its left to +x."""


class ClipFigures(TypedDict):
    """Errors of a clip by row: raw, full, the character's, and the ablations'; how long the
    reconstruction took in seconds, what it says of itself, and some instants to look at."""

    rows: dict[str, Row]
    seconds: float
    quality: dict[str, Any]
    views: Views


class Figures(TypedDict):
    """Figures by clip, and what found the person."""

    estimator: NotRequired[str]
    clips: dict[str, ClipFigures]


class Clip:
    """A video with its truth; poses are found once per setting.

    Args:
        estimator: what finds the person, see ``get_estimator``.

    Raises:
        VideoError, MotionError: the video or its truth is missing or does not fit.
    """

    def __init__(self, video: Path, estimator: str = DEFAULT) -> None:
        self.name, self.video, self.estimator = video.stem, video, estimator
        path = video.with_suffix(".npz")
        try:
            with np.load(path, allow_pickle=False) as data:
                names = [str(n) for n in data["joint_names"]]
                columns = [names.index(n) for n in TRUTH_JOINTS]
                self.truth = np.asarray(data["joints_world"], float)[:, columns]
                self.planted = np.asarray(data["contact"])[:, 2:] > 0.5  # l_foot, r_foot
                self.turns = _orientations(data) if ORIENTATIONS[0] in data else None
        except (OSError, KeyError, ValueError) as error:
            raise MotionError(f"{path}: not a truth for {video.name}: {error}") from None

    def poses(self, **settings: Any) -> PoseSequence:
        """The product's poses, see ``estimate_pose``."""
        from sfv_gym.pose import estimate_pose
        from sfv_gym.video import open_video

        found = estimate_pose(
            open_video(self.video), estimator=self.estimator, progress=False, **settings
        )
        self._check_frames(found.num_frames)
        return found

    def prior(self) -> PosePrior:
        """The product's pose prior, but for what it knows from clips of the same name."""
        from sfv_gym.library import library_clips
        from sfv_gym.reconstruction.prior import shipped_prior

        return shipped_prior(
            tuple(c.skill for c in library_clips() if _kind(c.file) == _kind(self.video.name))
        )

    def networks(self) -> JointNetworks:
        """The product's networks that have not seen what clips of the same name show."""
        from sfv_gym.reconstruction.joint_network import shipped_networks

        return shipped_networks().without(_kind(self.video.name))

    def raw(self) -> tuple[Row, np.ndarray]:
        """What MediaPipe's heavy model says by itself.

        Returns:
            The errors, and the 12 limb joints as by ``raw_joints``.
        """
        from sfv_gym.video import open_video

        video = open_video(self.video)
        solid = raw_joints(video)
        self._check_frames(len(solid))
        return raw_errors(solid, self.truth, video.fps), solid

    def errors(self, joints: np.ndarray, fps: float) -> Row:
        """Of all links (T, 15, 3)."""
        return joint_errors(joints[:, LINK_COLUMNS], self.truth, fps, self.planted)

    def motion_errors(self, motion: ReferenceMotion) -> Row:
        """Of the person's joints, and of the links whose orientations the truth knows."""
        quat = skeleton.forward_kinematics(
            motion.person_root_pos, motion.person_root_quat, motion.person_joint_quat
        )[1]
        joints = motion.joint_positions(person=True)
        row = self.errors(joints, motion.fps)
        if self.turns is not None:
            turns = quat_to_matrix(quat[:, ORIENTED_LINKS])
            row["mpjae_deg"] = mpjae_deg(turns, self.turns, joints[:, LINK_COLUMNS], self.truth)
        return row

    def _check_frames(self, found: int) -> None:
        if found != len(self.truth):
            raise VideoError(f"{self.video}: {found} frames, truth {len(self.truth)}")


def raw_joints(video: VideoReader) -> np.ndarray:
    """What MediaPipe's heavy model says of one upright frame at a time, and nothing else.

    Returns:
        The 12 limb joints (T, 12, 3), metres from the hips in the camera's frame, NaN where nobody
        was seen.
    """
    from sfv_gym.pose.mediapipe.detector import single_frames
    from sfv_gym.pose.mediapipe.model import ensure_pose_model
    from sfv_gym.pose.quiet import quiet_stderr

    model = ensure_pose_model("heavy")
    with quiet_stderr():
        people = list(single_frames(video, model))
    nobody = np.full((len(TRUTH_JOINTS), 3), np.nan)
    return np.array([nobody if p is None else p.landmarks_3d[p.landmarks.joints] for p in people])


def raw_errors(solid: np.ndarray, truth: np.ndarray, fps: float) -> Row:
    """Errors of joints (T, 12, 3) that have no path, in the frames in which they were seen."""
    seen = np.isfinite(solid).all((1, 2))
    return {**joint_errors(solid[seen], truth[seen], fps), **dict.fromkeys(OF_PATHS, np.nan)}


def _person(clip: Clip, poses: PoseSequence, **changes: Any) -> Row:
    """Errors of the person's fit under other settings than the product's."""
    from sfv_gym.reconstruction.evidence import gather_evidence
    from sfv_gym.reconstruction.person import PersonProblem
    from sfv_gym.reconstruction.pipeline import ITERATIONS, fit_person
    from sfv_gym.reconstruction.weights import Weights

    ground = changes.pop("ground", True)
    weights = replace(Weights(), **changes.pop("weights", {}))
    networks = changes.pop("networks", clip.networks())
    settings = {"prior": clip.prior(), **changes}
    problem = PersonProblem(gather_evidence(poses, networks=networks), weights, **settings)
    fit, _ = fit_person(problem, ITERATIONS, ground=ground)
    return clip.errors(fit.pose.pos.numpy(), poses.fps)


def _orientations(truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T, 3, 3, 3) of ORIENTED_LINKS, as the canonical skeleton's axes have them."""
    quat = np.stack([truth[name] for name in ORIENTATIONS], axis=1)
    return quat_to_matrix(np.asarray(quat, float)) @ TRUTH_AXES


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
    "landmarks as they are, no joint networks": lambda c: _person(c, c.poses(), networks=None),
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


def measure_clip(
    clip: Clip, ablations: bool = False, tick: Callable[[str], None] = print
) -> ClipFigures:
    """Rows of figures of one clip: raw, full, the character's, and the ablations'."""
    from sfv_gym.reconstruction import reconstruct

    tick(f"{clip.name}: raw")
    errors, raw = clip.raw()
    rows = {RAW: errors}
    tick(f"{clip.name}: {FULL}")
    poses = clip.poses()
    started = time.perf_counter()
    motion = reconstruct(
        poses,
        skill=clip.name,
        loop="none",
        prior=clip.prior(),
        networks=clip.networks(),
        progress=False,
    )
    seconds = time.perf_counter() - started
    person = motion.joint_positions(person=True)
    rows[FULL] = clip.motion_errors(motion)
    rows[TRUTH] = {"jitter": jitter(clip.truth, motion.fps)}
    rows["retargeted to the character"] = clip.errors(motion.joint_positions(), motion.fps)
    for name, row in ABLATIONS.items() if ablations else ():
        tick(f"{clip.name}: {name}")
        rows[name] = row(clip)
    return {
        "rows": rows,
        "seconds": seconds,
        "quality": motion.provenance["quality"],
        "views": views(raw, person[:, LINK_COLUMNS], clip.truth),
    }


def measure(
    folder: Path,
    only: list[str] | None = None,
    *,
    estimator: str = DEFAULT,
    ablations: bool = False,
) -> Figures:
    """Figures of the clips in a folder that have a truth.

    Args:
        only: names of clips; all by default.
        estimator: what finds the person, see ``get_estimator``.
        ablations: also leave out one part after the other.

    Raises:
        VideoError, MotionError: there is no clip with its truth, or one does not fit.
        UnknownIdError, SettingError: there is no such estimator.
    """
    chosen = get_estimator(estimator)
    videos = [
        video
        for video in sorted(folder.glob("*.mp4"))
        if video.with_suffix(".npz").is_file() and (not only or video.stem in only)
    ]
    if not videos:
        raise VideoError(f"{folder}: no <clip>.mp4 with its truth <clip>.npz is there")
    figures: Figures = {"estimator": chosen.name, "clips": {}}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=len(videos) * (2 + (len(ABLATIONS) if ablations else 0)))

        def tick(doing: str) -> None:
            bar.update(task, advance=1, description=doing)

        for video in videos:
            figures["clips"][video.stem] = measure_clip(Clip(video, estimator), ablations, tick)
    return figures
