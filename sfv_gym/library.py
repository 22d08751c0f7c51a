"""The library of skills: every clip that ``reference_motions/library.yml`` names, to a motion.

One command makes them all; there are no hand edits. A motion that is there already, made from the
same clip with the same settings, is left alone, so that an interrupted build goes on.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from sfv_gym.characters import CHARACTERS
from sfv_gym.errors import MotionError, SFVError, UnknownIdError, VideoError
from sfv_gym.extract import Extraction, extract_motion
from sfv_gym.motion import ReferenceMotion
from sfv_gym.retargeting.store import save_retargeted

LIBRARY_VERSION = 6
"""Raised when the pipeline changes so that every motion is to be made again."""
MAX_BYTES = 200_000
COLUMNS = 6


@dataclass(frozen=True)
class LibraryClip:
    """One entry of the library.

    Attributes:
        skill: snake_case. file: the clip's file name. source: what its provenance says.
        settings: keywords of ``extract_motion`` that differ from the defaults.
        frames: whether pictures of the video may be shown.
    """

    skill: str
    file: str
    source: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)
    frames: bool = True


@dataclass(frozen=True)
class Built:
    """What became of an entry: the motion's figures, or what went wrong."""

    skill: str
    fresh: bool
    motion: ReferenceMotion | None
    error: str = ""


def library_clips() -> list[LibraryClip]:
    """All entries of ``library.yml``."""
    text = resources.files("sfv_gym.reference_motions").joinpath("library.yml").read_text()
    table = yaml.safe_load(text)
    clips = []
    for skill, entry in table["clips"].items():
        entry = dict(entry)
        source = dict(table["sources"][entry.pop("source")])
        source["title"] = source["title"].format(what=entry.pop("what"))
        frames = source.pop("frames", True)
        clips.append(LibraryClip(skill, entry.pop("file"), source, entry, frames))
    return clips


def build_library(
    folders: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    skills: Iterable[str] | None = None,
    sheets: str | os.PathLike[str] | None = None,
    force: bool = False,
    progress: bool = True,
) -> Iterable[Built]:
    """Make the motions one after the other; yields what became of each.

    Args:
        folders: where the clips are.
        out: folder for ``<skill>.npz``.
        skills: only these.
        sheets: folder for a picture of each, ``<skill>.webp``: video above, character below; the
            character alone where the video may not be shown.
        force: make again what is there already.

    Raises:
        UnknownIdError: there is no entry of a skill that is asked for.
    """
    clips = {clip.skill: clip for clip in library_clips()}
    wanted = list(skills or clips)
    unknown = [skill for skill in wanted if skill not in clips]
    if unknown:
        raise UnknownIdError(f"the library has no {', '.join(unknown)}; it has {', '.join(clips)}")
    for skill in wanted:
        try:
            yield _build(clips[skill], folders, Path(out), sheets, force, progress)
        except SFVError as error:  # one clip that fails must not cost the others
            yield Built(skill, True, None, str(error))


def _build(
    clip: LibraryClip,
    folders: Sequence[str | os.PathLike[str]],
    out: Path,
    sheets: str | os.PathLike[str] | None,
    force: bool,
    progress: bool,
) -> Built:
    video = find_clip(clip.file, folders)
    target = out / f"{clip.skill}.npz"
    made_from = json.dumps(
        {
            "version": LIBRARY_VERSION,
            "settings": clip.settings,
            "sha256": hashlib.sha256(video.read_bytes()).hexdigest(),
        },
        sort_keys=True,
    )
    if target.is_file() and not force:
        motion = ReferenceMotion.load(target)
        if motion.made_from == made_from:
            _save_retargeted(target)
            return Built(clip.skill, False, motion)
    extraction = extract_motion(
        video, skill=clip.skill, out=target, source=clip.source, progress=progress, **clip.settings
    )
    motion = extraction.motion
    motion.made_from = made_from
    motion.save(target)
    if target.stat().st_size > MAX_BYTES:
        raise MotionError(f"{target} is larger than {MAX_BYTES // 1000} kB")
    _save_retargeted(target)
    if sheets is not None:
        _write_sheet(extraction, Path(sheets) / f"{clip.skill}.webp", video_too=clip.frames)
    return Built(clip.skill, True, motion)


def _save_retargeted(target: Path) -> None:
    """Beside a motion, in a folder of each other character's name, its trajectory."""
    # as it is loaded: the file's numbers are rounded, and the trajectory belongs to those
    motion = ReferenceMotion.load(target)
    for character in CHARACTERS.values():
        if not character.is_canonical:
            save_retargeted(motion, character, target.parent / character.name / target.name)


def find_clip(name: str, folders: Sequence[str | os.PathLike[str]]) -> Path:
    """The clip called ``name`` in one of the folders; VideoError if there is none."""
    for folder in folders:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    raise VideoError(f"{name} is in none of {', '.join(str(folder) for folder in folders)}")


def _write_sheet(extraction: Extraction, out: Path, *, video_too: bool) -> None:
    """Video frames with the person drawn in, and the reconstructed character at the same times.

    Args:
        video_too: whether pictures of the video may be shown.
    """
    from sfv_gym.panels import CLIP_WIDTH, HEIGHT, clip_panels, view_azimuth
    from sfv_gym.pose import overlay_frames
    from sfv_gym.reconstruction import reprojected
    from sfv_gym.rendering import reference_pictures
    from sfv_gym.video import write_picture

    motion, poses = extraction.motion, extraction.poses
    panels = clip_panels(overlay_frames(extraction.reader, reprojected(motion, poses)), poses)
    frames = np.linspace(0, len(panels) - 1, COLUMNS).round().astype(int)
    character = reference_pictures(
        motion, frames / motion.fps, width=CLIP_WIDTH, height=HEIGHT, azimuth=view_azimuth(poses)
    )
    rows = [np.hstack(list(character))]
    if video_too:
        rows.insert(0, np.hstack([panels[i] for i in frames]))
    sheet = np.vstack(rows)
    write_picture(out, sheet, width=sheet.shape[1] // 2)
