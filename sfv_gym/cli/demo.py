"""``sfv demo``: the shipped clips through the whole pipeline, and a report to look at."""

from __future__ import annotations

import importlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from sfv_gym.cli.report import SkillResult, write_report
from sfv_gym.envs.task import Task
from sfv_gym.errors import SFVError, UnknownIdError
from sfv_gym.extract import extract_motion
from sfv_gym.files import atomic_path
from sfv_gym.library import clips_folder
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.agents import policy_agent
from sfv_gym.play.episodes import Predict
from sfv_gym.play.evaluation import Evaluation, evaluate
from sfv_gym.play.policy import Policy, load_policy
from sfv_gym.play.rollout import rollout
from sfv_gym.registry import find_motion, make_id, register_motion

EPISODES = 20
CYCLIC_SECONDS = 10.0
"""How much is shown of a motion that goes on for ever."""
CLOSE = 0.02
"""Metres, on average over joints and frames, between two extractions of a clip that a policy does
not mind."""


@dataclass(frozen=True)
class Clip:
    """A video that ships with the package: one entry of ``assets/clips/clips.json``."""

    skill: str
    file: str
    title: str
    origin: str
    author: str
    licence: str

    @property
    def path(self) -> Path:
        """Where the video lies in the installed package."""
        return clips_folder() / self.file

    @property
    def source(self) -> dict[str, str]:
        """For the provenance of what is made from it."""
        keys = ("title", "origin", "author", "licence")
        return {k: v for k, v in asdict(self).items() if k in keys}


def shipped_clips() -> list[Clip]:
    """The clips in ``assets/clips``."""
    return [Clip(**entry) for entry in json.loads((clips_folder() / "clips.json").read_text())]


def run_demo(
    out: str | os.PathLike[str],
    *,
    train: bool = False,
    skills: Sequence[str] = ("walk", "backflip"),
    steps: int | None = None,
    progress: bool = True,
) -> Path:
    """Turn each clip into a motion, an environment and a moving character; returns the report.

    Args:
        out: folder for everything; what is there already is replaced file by file.
        train: train the policies on the fresh motions instead of taking the shipped ones. A
            training run that was interrupted goes on where it was.
        skills: which of the shipped clips.
        steps: with ``train``, control steps of each run; the recipe's by default.
        progress: print a line per stage, and progress bars, on stderr.

    Raises:
        UnknownIdError: there is no clip of a skill.
        PolicyError: no policy ships for a skill, and ``train`` is not set.
        SFVError: whatever a stage raises.
    """
    folder = Path(out)
    known = {clip.skill: clip for clip in shipped_clips()}
    for skill in skills:
        if skill not in known:
            raise UnknownIdError(f"no clip of {skill!r} ships; known: {', '.join(known)}")
    # Whatever is missing is said before the minutes that the first stages take.
    try:
        importlib.import_module("sfv_gym.play.panels")
    except ImportError as error:
        raise SFVError(f"the demo needs sfv-gym[video]: {error}; `sfv doctor` tells more") from None
    shipped = {} if train else {s: load_policy(make_id(s)) for s in skills}
    began = time.monotonic()
    results = []
    for number, skill in enumerate(skills, start=1):
        stages = _Stages(f"[{number}/{len(skills)}] {skill}", progress)
        results.append(_run_skill(known[skill], folder, shipped.get(skill), steps, stages))
    report = folder / "report.html"
    write_report(report, results, time.monotonic() - began)
    with atomic_path(folder / "figures.json") as temporary:
        figures = {r.env_id: r.evaluation.as_dict() for r in results}
        temporary.write_text(json.dumps(figures, indent=1))
    return report


# --- one clip ---------------------------------------------------------------------------------


def _run_skill(
    clip: Clip, folder: Path, policy: Policy | None, steps: int | None, stages: _Stages
) -> SkillResult:
    """Every stage for one clip; ``policy`` None trains one."""
    from sfv_gym.play.panels import clip_panels, side_by_side, view_azimuth
    from sfv_gym.video import open_video, write_video

    place = folder / clip.skill
    files = {
        name: place / file
        for name, file in (
            ("motion", f"{clip.skill}.npz"),
            ("poses", "poses.npz"),
            ("overlay", "overlay.mp4"),
            ("video", "side_by_side.mp4"),
        )
    }
    with stages("video to motion"):
        extraction = extract_motion(
            clip.path,
            skill=clip.skill,
            out=files["motion"],
            overlay=files["overlay"],
            poses_out=files["poses"],
            source=clip.source,
            progress=stages.progress,
        )
    motion, poses, notes = extraction.motion, extraction.poses, list(extraction.notes)
    reference = motion
    if policy is None:
        with stages("training"):
            policy = _train(files["motion"], folder / "runs", motion, steps, stages.progress)
    else:
        reference, note = _reference_for(motion, find_motion(clip.skill))
        notes.append(note)
    env_id, task = make_id(clip.skill), Task.of(reference)
    with stages("evaluation"):
        evaluation = _evaluate(policy.predict, task, env_id)
        still = np.zeros(task.action_size)
        baseline = _evaluate(lambda x: np.tile(still, (len(x), 1)), task, env_id)
    with stages("pictures"):
        cyclic = motion.loop == "wrap"
        seconds = CYCLIC_SECONDS if cyclic else motion.duration
        played = rollout(task, policy_agent(policy.predict), seconds=seconds, name=env_id)
        overlay = open_video(files["overlay"])
        frames = side_by_side(
            clip_panels(overlay, poses),
            overlay.fps,
            played,
            cyclic=cyclic,
            azimuth=view_azimuth(poses),
        )
        write_video(files["video"], frames, played.hz, crf=27)
    return SkillResult(
        env_id=env_id,
        skill=clip.skill,
        video=files["video"],
        files=tuple(files.values()),
        motion=motion,
        confidence=poses.visibility.mean(-1),
        evaluation=evaluation,
        baseline=baseline,
        played=played,
        card=policy.card,
        notes=tuple(notes),
        stage_seconds=stages.seconds,
    )


def _evaluate(predict: Predict, task: Task, env_id: str) -> Evaluation:
    threads = os.cpu_count() or 1
    return evaluate(predict, task, episodes=EPISODES, num_threads=threads, name=env_id)


def _train(
    path: Path, runs: Path, motion: ReferenceMotion, steps: int | None, progress: bool
) -> Policy:
    """Train on the motion, or go on with the run on the very same motion."""
    try:
        from sfv_gym.train.ppo import train
        from sfv_gym.train.runs import CHECKPOINT
    except ImportError as error:
        raise SFVError(
            f"training needs more packages ({error}): pip install sfv-gym[train]"
        ) from None

    env_id = register_motion(path)  # the skill's id, of the fresh motion from here on
    run = runs / f"{env_id}-{motion.content_hash()[:8]}"
    train(
        env_id,
        run,
        steps=steps,
        resume=(run / CHECKPOINT).is_file(),
        num_threads=os.cpu_count() or 1,
        progress=progress,
    )
    return Policy.load(run / "policy.safetensors")


def _reference_for(fresh: ReferenceMotion, shipped: ReferenceMotion) -> tuple[ReferenceMotion, str]:
    """What a shipped policy follows, and a sentence on why: the fresh motion, where that is close
    to the one that the policy was trained on."""
    trained = "The policy was trained on the motion that ships with the package; today's extraction"
    other = "the character follows that one. With --train it learns today's."
    if fresh.num_frames != shipped.num_frames:
        return shipped, f"{trained} is of another length, so {other}"
    gap = np.linalg.norm(fresh.joint_positions() - shipped.joint_positions(), axis=-1).mean()
    differs = f"{trained} differs from it by {1000 * gap:.1f} mm on average"
    return (fresh, f"{differs}.") if gap <= CLOSE else (shipped, f"{differs}, so {other}")


class _Stages:
    """Prints a line per stage and remembers how long each took."""

    def __init__(self, title: str, progress: bool) -> None:
        self.title, self.progress = title, progress
        self.seconds: dict[str, float] = {}
        self._console = Console(stderr=True, quiet=not progress, highlight=False, markup=False)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        self._console.print(f"{self.title}: {name} …")
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began
        self._console.print(f"{self.title}: {name} done in {self.seconds[name]:.1f} s")
