"""Video file to motion file: stages 1 and 2 in a row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sfv_gym.errors import MotionError, OutputError
from sfv_gym.motion import LOOPS, ReferenceMotion
from sfv_gym.registry import is_skill_name

CAMERAS = ("static", "moving")


def extract_motion(
    video: str | os.PathLike[str],
    *,
    skill: str,
    out: str | os.PathLike[str],
    start: float | None = None,
    end: float | None = None,
    loop: str = "auto",
    camera: str = "static",
    overlay: str | os.PathLike[str] | None = None,
    poses_out: str | os.PathLike[str] | None = None,
    source: dict[str, Any] | None = None,
    progress: bool = True,
) -> ReferenceMotion:
    """Reconstruct the motion of the person in ``video`` and write it to ``out``.

    Args:
        skill: snake_case name.
        start, end: seconds of the clip to use.
        loop: ``"wrap"`` for a cyclic motion, ``"none"``, or ``"auto"`` to find out.
        camera: ``"static"``, or ``"moving"`` for one that pans after the person from where it
            stands.
        overlay: also write the video with the skeleton drawn in, here.
        poses_out: also write the detected poses, here.
        source: title, licence and author of the clip, for the motion's provenance.

    Raises:
        VideoError, PoseError, PoseModelError, MotionError, OutputError: see ``errors``.
    """
    # Wrong settings must not cost the minutes that the pose stage takes.
    if loop not in ("auto", *LOOPS):
        raise MotionError(f"loop must be auto, wrap or none, not {loop!r}")
    if camera not in CAMERAS:
        raise MotionError(f"camera must be one of {', '.join(CAMERAS)}, not {camera!r}")
    if not is_skill_name(skill):
        raise MotionError(f"{skill!r} is no skill name: use snake_case, such as back_flip")
    for target in (out, overlay, poses_out):
        if target is not None:
            _check_writable(Path(target))

    from sfv_gym.pose import estimate_pose, overlay_frames, stabilize
    from sfv_gym.reconstruction import reconstruct
    from sfv_gym.reconstruction.camera import DEFAULT_FOCAL
    from sfv_gym.video import open_video, write_video

    reader = open_video(video, start, end)
    poses = estimate_pose(reader, progress=progress)
    if poses_out is not None:
        poses.save(poses_out)
    if overlay is not None:
        write_video(overlay, overlay_frames(reader, poses), reader.fps)
    if camera == "moving":
        focal = DEFAULT_FOCAL * max(poses.width, poses.height)
        poses = stabilize(poses, reader, focal)
    motion = reconstruct(poses, skill=skill, loop=loop, progress=progress)
    if source:
        motion.provenance["source"] = {**motion.provenance.get("source", {}), **source}
    motion.save(out)
    return motion


def _check_writable(target: Path) -> None:
    folder = target.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write {target}: {folder} is not a folder that you can write to")
