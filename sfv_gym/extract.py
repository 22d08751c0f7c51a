"""Video file, or file of joints, to motion file: stages 1 and 2 in a row."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfv_gym.errors import MotionError, OutputError, VerdictError
from sfv_gym.files import JSON
from sfv_gym.motion import BAD, LOOPS, ReferenceMotion, Verdict
from sfv_gym.motion.object_hints import ObjectHint, check_hints, read_object_hints
from sfv_gym.registry import is_skill_name

if TYPE_CHECKING:
    from sfv_gym.pose import PoseEstimator, PoseSequence
    from sfv_gym.reconstruction.prior import PosePrior
    from sfv_gym.video import VideoReader

log = logging.getLogger(__name__)

CAMERAS = ("auto", "static", "moving")
_ANY_SIDE = 2**16
"""Pixels: frames as large as the video's, which is what other people's pixels are of."""
_BACKGROUND_FRAMES = 15
"""Of the video, in fewer than half of which the person stands before any one place."""


@dataclass(frozen=True)
class Extraction:
    """What came of a video.

    Attributes:
        motion: as it was written.
        poses: the landmarks, as the video has them, also where its camera moves.
        reader: of the video's frames, which it gives again.
        notes: what was found out or decided about the video, in sentences.
    """

    motion: ReferenceMotion
    poses: PoseSequence
    reader: VideoReader
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict | None:
        """How far the motion can be believed, and why: ``motion.verdict``."""
        return self.motion.verdict


def extract_motion(
    video: str | os.PathLike[str],
    *,
    skill: str,
    out: str | os.PathLike[str],
    start: float | None = None,
    end: float | None = None,
    speed: float = 1.0,
    loop: str = "auto",
    estimator: str | PoseEstimator = "mediapipe",
    pose: str | os.PathLike[str] | None = None,
    camera: str = "auto",
    focal: float | None = None,
    subject: str | int = "largest",
    overlay: str | os.PathLike[str] | None = None,
    poses_out: str | os.PathLike[str] | None = None,
    report: str | os.PathLike[str] | None = None,
    strict: bool = False,
    source: JSON | None = None,
    prior: PosePrior | None = None,
    progress: bool = True,
    objects: str | os.PathLike[str] | Sequence[ObjectHint] | None = None,
) -> Extraction:
    """Reconstruct the motion of the person in ``video`` and write it to ``out``.

    Args:
        skill: snake_case name.
        start, end: seconds of the clip to use, in the file's own time, as a player shows it.
        speed: how fast the clip plays what it shows: 0.25 for slow motion at a quarter of the real
            speed. The motion comes out at the real speed, which gravity decides on.
        loop: ``"wrap"`` for a cyclic motion, ``"none"``, or ``"auto"`` to find out.
        estimator: what finds the person in the frames, as for ``sfv_gym.pose.get_estimator``: a
            name, ``module:function``, ``path/file.py:function``, or an object of one's own.
        pose: a file of poses that another program saw in this video, in place of an estimator: see
            ``sfv_gym.pose.files.read_poses``. Where it has pixels alone, ``estimator`` is asked for
            depth.
        camera: ``"static"``; ``"moving"`` for one that pans or zooms from where it stands; or
            ``"auto"`` to find out from the background.
        focal: the camera's focal length, where it is known, in units of the picture's longer
            side: the 35 mm equivalent divided by 36.
        subject: which of several people, as for ``estimate_pose``: ``"largest"``, a number from 1
            on, or ``"x,y"``.
        overlay: also write the video with the reconstructed person drawn in, here.
        poses_out: also write the detected poses, here.
        report: also write a page to judge the motion by, here.
        strict: raise where the verdict on the motion is ``"bad"``, and write nothing.
        source: title, licence and author of the clip, for the motion's provenance.
        prior: of the person's pose; by default the shipped one.
        objects: that stand in the clip and that the person touches: a file, see
            ``sfv_gym.motion.object_hints.read_object_hints``, or what it would hold.

    Raises:
        VideoError, PoseError, PoseModelError: of the video and the person in it; see ``errors``.
        PoseFileError: of the file of poses.
        VerdictError: the motion is bad, and ``strict``.
        MotionError, OutputError, UnknownIdError, SettingError: of what was asked for and comes out.
    """
    # Wrong settings must not cost the minutes that the pose stage takes.
    _check_asked(skill, loop, out, overlay, poses_out, report)
    if camera not in CAMERAS:
        raise MotionError(f"camera must be one of {', '.join(CAMERAS)}, not {camera!r}")
    if focal is not None and not 0.2 <= focal <= 20.0:
        raise MotionError(
            "the focal length is counted in longer sides of the picture, from 0.2 to 20 (its 35 mm "
            f"equivalent / 36), not {focal:g}"
        )
    hints = _object_hints(objects, loop)

    from sfv_gym.pose import estimate_pose, get_estimator, overlay_frames, parse_subject
    from sfv_gym.pose.files import read_poses
    from sfv_gym.pose.jumps import PERSON_JUMPS, find_jumps
    from sfv_gym.pose.stabilize import follow_camera, moves, stabilize
    from sfv_gym.reconstruction import reconstruct, reprojected
    from sfv_gym.reconstruction.camera import DEFAULT_FOCAL
    from sfv_gym.reconstruction.object_place import TouchedObject
    from sfv_gym.reconstruction.report import write_report
    from sfv_gym.video import check_one_shot, cut_error, open_video, write_video
    from sfv_gym.video.reader import MAX_SIDE

    parse_subject(subject)
    chosen = get_estimator(estimator)
    file = None if pose is None else read_poses(pose, depth=chosen)
    max_side = MAX_SIDE if file is None else _ANY_SIDE
    reader = open_video(video, start, end, speed=speed, max_side=max_side)
    touched = [
        TouchedObject(hint, hint.touching(len(reader), reader.start, reader.file_fps))
        for hint in hints
    ]
    notes = [*reader.notes, *check_one_shot(reader)]
    for note in notes:
        log.warning("%s: %s", reader.path.name, note)
    poses = estimate_pose(
        reader,
        estimator=file or chosen,
        ensemble=file is None,  # a file has no second look
        subject=subject,
        progress=progress,
    )
    poses, notes = _from_video(poses, reader, notes)
    if jumps := find_jumps(poses, np.array(reader.repeated)):
        raise cut_error(reader, jumps, PERSON_JUMPS)
    focal_px = (focal or DEFAULT_FOCAL) * max(poses.width, poses.height)
    if file is not None and focal is None:
        focal_px = file.focal_in(reader) or focal_px
    still, path = poses, None
    if camera == "moving" or (camera == "auto" and moves(poses, reader, focal_px)):
        path = follow_camera(poses, reader, focal_px)
        still = stabilize(poses, path, focal_px)
        notes = [*notes, f"{path}, which was taken out; if it did not: --camera static"]
        log.warning("%s: %s", reader.path.name, notes[-1])
    motion = reconstruct(
        still,
        skill=skill,
        loop=loop,
        focal_px=focal_px,
        camera_path=path,
        speed=reader.speed,
        prior=prior,
        progress=progress,
        objects=touched,
        picture=_background(reader) if touched and path is None else None,
    )
    _check_verdict(motion, strict)
    if poses_out is not None:
        poses.save(poses_out)
    if overlay is not None:
        frames = overlay_frames(reader, reprojected(motion, poses))
        write_video(overlay, frames, reader.file_fps)
    if report is not None:
        write_report(report, motion, overlay_frames(reader, reprojected(motion, poses)))
    if source:
        motion.provenance["source"] = {**motion.provenance.get("source", {}), **source}
    motion.save(out)
    return Extraction(motion, poses, reader, tuple(notes))


def import_motion(
    file: str | os.PathLike[str],
    *,
    skill: str,
    out: str | os.PathLike[str],
    start: float | None = None,
    end: float | None = None,
    fps: float | None = None,
    unit: str = "auto",
    up: str = "auto",
    person: int = 1,
    loop: str = "auto",
    report: str | os.PathLike[str] | None = None,
    strict: bool = False,
    source: JSON | None = None,
    prior: PosePrior | None = None,
    progress: bool = True,
) -> ReferenceMotion:
    """Reconstruct the motion of joints in space, as from motion capture, and write it to ``out``.

    No video is needed. Ground, contacts, gravity and the character are as for a video's.

    Args:
        file: BVH, TRC, CSV, or SMPL parameters or joints in a world; see
            ``sfv_gym.pose.files.read_joints``.
        skill: snake_case name.
        start, end: seconds of the file to use.
        fps: frames per second, where the file does not say; 30 by default.
        unit: of the file: ``"m"``, ``"cm"``, ``"mm"``, ``"in"``, metres as a number, or ``"auto"``.
        up: the axis that is up in it: ``"y"``, ``"z"``, ``"-y"``, ..., or ``"auto"``.
        person: which of several, the one who is longest in view first.
        loop: ``"wrap"`` for a cyclic motion, ``"none"``, or ``"auto"`` to find out.
        report, strict: as for ``extract_motion``.
        source: title, licence and author, for the motion's provenance.
        prior: of the person's pose; by default the shipped one.

    Raises:
        PoseFileError: of the file.
        VerdictError: the motion is bad, and ``strict``.
        PoseError, MotionError, OutputError: of what was asked for and comes out.
    """
    _check_asked(skill, loop, out, report)

    from sfv_gym.pose.files import read_joints
    from sfv_gym.reconstruction import reconstruct_joints
    from sfv_gym.reconstruction.report import write_report

    joints = read_joints(file, fps=fps, unit=unit, up=up, person=person).between(start, end)
    motion = reconstruct_joints(joints, skill=skill, loop=loop, prior=prior, progress=progress)
    _check_verdict(motion, strict)
    if report is not None:
        write_report(report, motion)
    if source:
        motion.provenance["source"] = {**motion.provenance["source"], **source}
    motion.save(out)
    return motion


def _check_asked(skill: str, loop: str, *targets: str | os.PathLike[str] | None) -> None:
    if loop not in ("auto", *LOOPS):
        raise MotionError(f"loop must be auto, wrap or none, not {loop!r}")
    if not is_skill_name(skill):
        raise MotionError(f"{skill!r} is no skill name: use snake_case, such as back_flip")
    for target in targets:
        if target is not None:
            _check_writable(Path(target))


def _object_hints(
    objects: str | os.PathLike[str] | Sequence[ObjectHint] | None, loop: str
) -> Sequence[ObjectHint]:
    if objects is None:
        return ()
    if loop == "wrap":
        raise MotionError("a motion with objects does not wrap: they are in one place only")
    if isinstance(objects, str | os.PathLike):
        return read_object_hints(objects)
    check_hints(objects)
    return objects


def _background(reader: VideoReader) -> np.ndarray:
    """What a still camera sees (H, W, 3) in 0..1 where nobody stands in front: the median of a few
    frames over all of the time."""
    chosen = set(np.linspace(0, len(reader) - 1, _BACKGROUND_FRAMES).astype(int).tolist())
    frames = [frame for i, frame in enumerate(reader) if i in chosen]
    return np.asarray(np.median(frames, axis=0)) / 255.0


def _check_verdict(motion: ReferenceMotion, strict: bool) -> None:
    """Raise where a bad motion is not wanted, before anything is written."""
    if strict and motion.verdict is not None and motion.verdict.grade == BAD:
        raise VerdictError(f"the reconstruction is {motion.verdict}; nothing was written")


def _from_video(
    poses: PoseSequence, video: VideoReader, notes: list[str]
) -> tuple[PoseSequence, list[str]]:
    """The poses with what the video stage knows of them, and all notes on them.

    A frame that is shown again says nothing about its own time: it becomes a hole, which
    reconstruction bridges, instead of a person who freezes and jumps.
    """
    again = np.array(video.repeated)
    notes = [*notes, *poses.source.get("notes", [])]
    if lost := video.range_advice(poses.detected):
        log.warning("%s: %s", video.path.name, lost)
        notes.append(lost)
    poses = replace(
        poses,
        landmarks_2d=np.where(again[:, None, None], np.nan, poses.landmarks_2d),
        landmarks_3d=np.where(again[:, None, None], np.nan, poses.landmarks_3d),
        visibility=np.where(again[:, None], 0.0, poses.visibility),
        detected=poses.detected & ~again,
        source={**poses.source, "speed": video.speed, "notes": notes},
    )
    return poses, notes


def _check_writable(target: Path) -> None:
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {target}: {folder} is not a folder that you can write to")
