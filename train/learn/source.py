"""What a character is to learn: a video, joints in space, or a motion that is there already."""

from __future__ import annotations

import difflib
import hashlib
import os
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sfv_gym.errors import MotionError, SettingError, UnknownIdError, VerdictError, VideoError
from sfv_gym.extract import extract_motion, import_motion
from sfv_gym.files import JSON, atomic_path
from sfv_gym.motion import BAD, ReferenceMotion
from sfv_gym.pose import PoseSequence
from sfv_gym.pose.files import SPACE_SUFFIXES
from sfv_gym.pose.files.plain import SUFFIXES
from sfv_gym.registry import (
    TRACKER,
    get_entry,
    is_skill_name,
    library_skills,
    list_envs,
    load_motion,
    make_id,
    register_motion,
    skill_of_file,
)

Kind = Literal["video", "joints", "motion"]
EXTRACTION: dict[Kind, frozenset[str]] = {
    "video": frozenset(("start", "end", "speed", "loop", "subject", "camera", "focal", "pose")),
    "joints": frozenset(("start", "end", "loop", "fps", "unit", "up", "person")),
    "motion": frozenset(),
}
"""Keywords of ``extract_motion`` and ``import_motion`` that may be given, by kind of source."""
VIDEO_FILES = "video"
"""Folder of what is drawn of a video, apart from the motion: its poses are an ``.npz``, too."""
POSES, OVERLAY = f"{VIDEO_FILES}/poses.npz", f"{VIDEO_FILES}/overlay.mp4"
RECONSTRUCTION = "reconstruction.html"


@dataclass(frozen=True)
class Source:
    """Where a motion comes from.

    Attributes:
        path: of the file; of a skill, its motion.
        skill: what the motion will be called.
        digest: changes with the file's content.
        registered: whether it is the motion that the skill's ids have already, as shipped or
            as the user's.
        extraction: keywords of ``extract_motion`` or ``import_motion``.
    """

    kind: Kind
    path: Path
    skill: str
    digest: str
    registered: bool
    extraction: JSON

    def files(self) -> tuple[str, ...]:
        """What ``make`` writes, as paths in the folder; the motion first."""
        motion = f"{self.skill}.npz"
        if self.kind == "motion":
            return (motion,)
        rest = (POSES, OVERLAY) if self.kind == "video" else ()
        return (motion, RECONSTRUCTION, *rest)

    def make(self, folder: Path, *, strict: bool, progress: bool) -> JSON:
        """Write the motion and what belongs to it into ``folder``.

        Returns:
            The notes on the video.

        Raises:
            VerdictError: the motion is bad, and ``strict``.
            VideoError, PoseError, PoseFileError, MotionError, ...: as ``extract_motion`` and
                ``import_motion``.
        """
        target, page = folder / self.files()[0], folder / RECONSTRUCTION
        if self.kind == "motion":
            check_verdict(load_motion(self.path), strict)
            with atomic_path(target) as temporary:
                shutil.copyfile(self.path, temporary)
            return {"notes": []}
        if self.kind == "joints":
            import_motion(
                self.path,
                skill=self.skill,
                out=target,
                report=page,
                strict=strict,
                progress=progress,
                **self.extraction,
            )
            return {"notes": []}
        extraction = extract_motion(
            self.path,
            skill=self.skill,
            out=target,
            report=page,
            poses_out=folder / POSES,
            overlay=folder / OVERLAY,
            strict=strict,
            progress=progress,
            **self.extraction,
        )
        return {"notes": list(extraction.notes)}

    def register(self, folder: Path) -> None:
        """See that the skill's ids are of this motion, in this process."""
        if not self.registered:
            register_motion(folder / self.files()[0], self.skill)

    def poses(self, folder: Path) -> PoseSequence | None:
        """What was seen in the video; None where there is none."""
        return PoseSequence.load(folder / POSES) if self.kind == "video" else None


def find_source(
    source: str | os.PathLike[str], skill: str | None = None, extraction: JSON | None = None
) -> Source:
    """What ``source`` names.

    Args:
        source: a video; joints in space, as ``import_motion`` takes them; a motion file; or the
            name of a skill.
        skill: what to call the motion. By default as its file is called, with ``my_`` in front
            where a motion of the library has that name.
        extraction: keywords of ``extract_motion`` or ``import_motion``.

    Raises:
        UnknownIdError, VideoError: there is neither such a file nor such a skill.
        MotionError: it is a damaged motion, or ``skill`` is no skill's name.
        SettingError: ``extraction`` holds what this kind of source has not.
    """
    name = os.fspath(source)
    path = Path(name)
    registered = False
    kind: Kind = "motion"
    if path.is_file():
        kind = _kind(path)
    elif path.suffix or len(path.parts) != 1:
        raise VideoError(f"{path}: there is no such file")
    else:
        path, registered = _motion_of(name), skill in (None, name)
        skill = skill or name
    given = {key: value for key, value in (extraction or {}).items() if value is not None}
    for key in sorted(given.keys() - EXTRACTION[kind]):
        takers = [other for other, keys in EXTRACTION.items() if key in keys]
        raise SettingError(
            f"{key} is for {' and '.join(takers) or 'nothing here'}: {name} is "
            f"{'a ' if kind != 'joints' else ''}{kind}"
        )
    if kind == "motion":
        motion = load_motion(path)  # a damaged one is said now
        digest = motion.content_hash()
        registered = registered or (skill is None and digest == _shipped(skill_of_file(path)))
    else:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    if skill is None:
        skill = skill_of_file(path)
        if skill == TRACKER or (not registered and skill in library_skills()):
            skill = f"my_{skill}"
    if not is_skill_name(skill):
        raise MotionError(f"{skill!r} is no skill name: use snake_case, such as back_flip")
    return Source(kind, path, skill, digest, registered, given)


def check_verdict(motion: ReferenceMotion, strict: bool) -> None:
    """Raises VerdictError where a bad motion is not wanted."""
    if strict and motion.verdict is not None and motion.verdict.grade == BAD:
        raise VerdictError(f"the reconstruction is {motion.verdict}; nothing was learned from it")


def _kind(path: Path) -> Kind:
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return "motion" if _holds_a_motion(path) else "joints"
    return "joints" if suffix in (*SPACE_SUFFIXES, *SUFFIXES) else "video"


def _holds_a_motion(path: Path) -> bool:
    """Whether an ``.npz`` is a motion, and not another program's; a damaged one counts as one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return "joint_names.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return True


def _motion_of(skill: str) -> Path:
    known = {entry.skill: entry.motion for entry in list_envs() if entry.motion}
    if skill not in known:
        if skill.startswith("SFV-"):
            raise UnknownIdError(
                f"{skill} is an environment's id: name its skill, such as walk, and with "
                "--character and --terrain who learns it and where"
            )
        near = difflib.get_close_matches(skill, known, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else "`sfv envs` lists the skills"
        raise UnknownIdError(f"{skill} is neither a file nor a skill; {hint}")
    return known[skill]


def _shipped(skill: str) -> str | None:
    """The hash of the motion that the ids of a skill of the library have; None of any other."""
    if skill not in library_skills():
        return None
    motion = get_entry(make_id(skill)).motion
    return load_motion(motion).content_hash() if motion else None
