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

import numpy as np
import yaml
from rich.console import Console
from rich.markup import escape

from sfv_gym.characters import CHARACTERS
from sfv_gym.errors import MotionError, SFVError, UnknownIdError, VideoError
from sfv_gym.extract import Extraction, extract_motion
from sfv_gym.files import JSON
from sfv_gym.jobs.folder import scratch_folder
from sfv_gym.jobs.job import Executor, Job, Reporter
from sfv_gym.jobs.local import InlineExecutor
from sfv_gym.jobs.supervise import Outcome, supervise
from sfv_gym.motion import ReferenceMotion
from sfv_gym.motion.object_hints import object_hints
from sfv_gym.retargeting.store import is_saved, save_retargeted

LIBRARY_VERSION = 7
"""Raised when the pipeline changes so that every motion is to be made again."""
MAX_BYTES = 200_000
COLUMNS = 6


@dataclass(frozen=True)
class LibraryClip:
    """One entry of the library.

    Attributes:
        skill: snake_case. file: the clip's file name. source: what its provenance says.
        settings: keywords of ``extract_motion`` that differ from the defaults; ``objects`` as a
            file of objects has them.
        frames: whether pictures of the video may be shown.
    """

    skill: str
    file: str
    source: JSON
    settings: JSON = field(default_factory=dict)
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


@dataclass(frozen=True)
class Building:
    """An entry that is to be built, as a job's arguments."""

    skill: str
    folders: tuple[Path, ...]
    out: Path
    sheets: Path | None = None
    force: bool = False

    @property
    def clip(self) -> LibraryClip:
        """The entry."""
        return next(clip for clip in library_clips() if clip.skill == self.skill)

    @property
    def target(self) -> Path:
        """The motion's file."""
        return self.out / f"{self.skill}.npz"


def build_library(
    folders: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    skills: Iterable[str] | None = None,
    sheets: str | os.PathLike[str] | None = None,
    force: bool = False,
    executor: Executor | None = None,
    console: Console | None = None,
) -> list[Built]:
    """Make the motions, each by a job of its own; what became of each, in order.

    Args:
        folders: where the clips are; those that ship with the package are found without.
        out: folder for ``<skill>.npz``.
        skills: only these.
        sheets: folder for a picture of each, ``<skill>.webp``: video above, character below; the
            character alone where the video may not be shown.
        force: make again what is there already.
        executor: who makes them; this process by default.
        console: for progress.

    Raises:
        UnknownIdError: there is no entry of a skill that is asked for.
    """
    known = [clip.skill for clip in library_clips()]
    wanted = list(dict.fromkeys(skills or known))
    if unknown := [skill for skill in wanted if skill not in known]:
        raise UnknownIdError(f"the library has no {', '.join(unknown)}; it has {', '.join(known)}")
    console = console or Console(quiet=True)
    target, places = Path(out).absolute(), tuple(Path(folder).absolute() for folder in folders)
    beside = None if sheets is None else Path(sheets).absolute()
    made: dict[str, Built] = {}

    def keep(built: Built) -> str:
        made[built.skill] = built
        if built.motion is None:
            return f"[red]{built.skill}[/red]: {escape(built.error)}"
        state = "made" if built.fresh else "up to date"
        verdict = built.motion.verdict
        grade = "" if verdict is None else f", {escape(str(verdict))}"
        return f"{built.skill}: {state}, {built.motion.duration:.1f} s{grade}"

    def ended(outcome: Outcome) -> str:
        building: Building = outcome.job.arguments
        if outcome.result is None:
            return keep(Built(building.skill, True, None, outcome.error))
        fresh, motion = outcome.result["fresh"], ReferenceMotion.load(building.target)
        return keep(Built(building.skill, fresh, motion))

    with scratch_folder(target, "library") as scratch:
        jobs = []
        for skill in wanted:
            building = Building(skill, places, target, beside, force)
            try:
                motion = None if force else _up_to_date(building)
            except SFVError as error:  # one clip that fails must not cost the others
                console.print(keep(Built(skill, True, None, str(error))), highlight=False)
                continue
            if motion is None or not _is_retargeted(motion, building.target):
                function = "sfv_gym.library:build"
                jobs.append(Job(function, building, scratch / skill, skill, temporary=True))
            else:
                console.print(keep(Built(skill, False, motion)), highlight=False)
        supervise(
            jobs,
            executor or InlineExecutor(),
            ended,
            title="motions",
            console=console,
            done=len(wanted) - len(jobs),
        )
    return [made[skill] for skill in wanted]


def build(building: Building, reporter: Reporter) -> JSON:
    """Make one motion, and what other characters do of it: a job's function."""
    if not building.force and _up_to_date(building) is not None:
        _save_retargeted(building.target)
        return {"fresh": False}
    _build(building)
    return {"fresh": True}


def _made_from(clip: LibraryClip, video: Path) -> str:
    """What a motion of the library depends on, as its file has it."""
    return json.dumps(
        {
            "version": LIBRARY_VERSION,
            "settings": clip.settings,
            "sha256": hashlib.sha256(video.read_bytes()).hexdigest(),
        },
        sort_keys=True,
    )


def _up_to_date(building: Building) -> ReferenceMotion | None:
    """The motion that is there, if it is of the present clip and settings.

    Raises:
        VideoError: the clip is in none of the folders.
        MotionError: what is there is damaged.
    """
    video = find_clip(building.clip.file, building.folders)
    if not building.target.is_file():
        return None
    motion = ReferenceMotion.load(building.target)
    return motion if motion.made_from == _made_from(building.clip, video) else None


def _build(building: Building) -> None:
    clip, target = building.clip, building.target
    video = find_clip(clip.file, building.folders)
    settings = dict(clip.settings)
    if "objects" in settings:
        settings["objects"] = object_hints(settings["objects"])
    extraction = extract_motion(
        video, skill=clip.skill, out=target, source=clip.source, progress=False, **settings
    )
    motion = extraction.motion
    motion.made_from = _made_from(clip, video)
    motion.save(target)
    if target.stat().st_size > MAX_BYTES:
        raise MotionError(f"{target} is larger than {MAX_BYTES // 1000} kB")
    _save_retargeted(target)
    if building.sheets is not None:
        sheet = building.sheets / f"{clip.skill}.webp"
        _write_sheet(extraction, sheet, video_too=clip.frames)


def _is_retargeted(motion: ReferenceMotion, target: Path) -> bool:
    """Whether what ``_save_retargeted`` would write is there."""
    return all(
        is_saved(motion, character, target.parent / character.name / target.name)
        for character in CHARACTERS.values()
        if not character.is_canonical
    )


def _save_retargeted(target: Path) -> None:
    """Beside a motion, in a folder of each other character's name, its trajectory."""
    # as it is loaded: the file's numbers are rounded, and the trajectory belongs to those
    motion = ReferenceMotion.load(target)
    for character in CHARACTERS.values():
        if not character.is_canonical:
            save_retargeted(motion, character, target.parent / character.name / target.name)


def clips_folder() -> Path:
    """Where the clips are that ship with the package."""
    return Path(str(resources.files("sfv_gym.assets"))) / "clips"


def find_clip(name: str, folders: Sequence[str | os.PathLike[str]]) -> Path:
    """The clip called ``name`` in one of the folders, or among those that ship; VideoError if there
    is none."""
    for folder in (*folders, clips_folder()):
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    places = ", ".join(str(folder) for folder in folders) or "the package"
    raise VideoError(f"{name} is not in {places}: where clips are from, library.yml says")


def _write_sheet(extraction: Extraction, out: Path, *, video_too: bool) -> None:
    """Video frames with the person drawn in, and the reconstructed character at the same times.

    Args:
        video_too: whether pictures of the video may be shown.
    """
    from sfv_gym.play.panels import CLIP_WIDTH, HEIGHT, clip_panels, view_azimuth
    from sfv_gym.play.pictures import reference_pictures
    from sfv_gym.pose import overlay_frames
    from sfv_gym.reconstruction import reprojected
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
