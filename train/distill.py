"""Distil the policies of single motions into one of many, by DAgger.

The student acts, the specialist of each environment's motion says what it would have done there,
and the student learns that (Ross et al. 2011): so it sees the states that it gets itself into, and
learns the way back. Student and specialists see the same simulation: its observation has what
either sees, of which each takes its own columns.

A run lives in one folder, as PPO's: see ``runs``. Killed at any moment, it goes on from its last
checkpoint, which is written between two updates and holds all that the next one follows from.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from sfv_gym.checks import whole
from sfv_gym.envs.observations import Observation, get_observation
from sfv_gym.envs.starts import get_initialization
from sfv_gym.envs.task import Task
from sfv_gym.errors import OutputError, SettingError, SFVError
from sfv_gym.files import JSON, write_json
from sfv_gym.jobs.folder import locked_folder, read_json
from sfv_gym.jobs.job import Listener
from sfv_gym.play.by_motion import IdEvaluation
from sfv_gym.registry import get_entry, tracker_skills
from sfv_gym.seeds import checked_seed
from sfv_gym.train.config import MOST_ENVIRONMENTS, MOST_STEPS
from sfv_gym.train.device import check_threads
from sfv_gym.train.distill_config import DistillConfig
from sfv_gym.train.lesson import Lesson
from sfv_gym.train.progress import ProgressBar
from sfv_gym.train.runs import CARD, CHECKPOINT, CONFIG, CURVE, POLICY, PROGRESS
from sfv_gym.train.specialists import find_specialists
from sfv_gym.train.teaching import Teaching

EVALUATE_EVERY = 200_000
ENDING_SETTINGS = frozenset(("steps", "minutes"))
"""What may be changed while a run goes on."""


@dataclass(frozen=True)
class Distillation:
    """A distillation as it is asked for.

    Attributes:
        env_id: a tracker's.
        folder: the run's.
        settings: those of ``DistillConfig`` that are given; a run that goes on keeps the others.
        specialists: a folder of policies, called by their ids; by default the shipped ones.
        skills: the motions to learn, or variants of them, as ``find_motion`` has them; by default
            every motion of the tracker.
        resume: go on in a folder that holds a checkpoint.
        evaluate_every: control steps between two evaluations, each of which also writes a
            checkpoint.
    """

    env_id: str
    folder: Path
    settings: JSON = field(default_factory=dict)
    specialists: Path | None = None
    skills: tuple[str, ...] | None = None
    seed: int = 0
    resume: bool = False
    threads: int = 1
    evaluate_every: int = EVALUATE_EVERY


def distill(
    env_id: str,
    run_dir: str | os.PathLike[str],
    *,
    specialists: str | os.PathLike[str] | None = None,
    skills: Sequence[str] | None = None,
    seed: int = 0,
    resume: bool = False,
    num_threads: int = 1,
    evaluate_every: int = EVALUATE_EVERY,
    progress: bool = True,
    settings: JSON | None = None,
) -> IdEvaluation:
    """Learn one policy of a tracker from policies of its motions, in ``run_dir``.

    A motion that has no specialist is left out, and named. The best policy is that of the best
    evaluation on the way; it is measured over the published protocol at the end.

    Args:
        specialists: a folder of policies, called by their ids; by default the shipped ones.
        skills: the motions to learn, or variants of them, as ``find_motion`` has them; by default
            every motion of the tracker.
        resume: go on in a folder that holds a checkpoint, with its settings.
        num_threads: of the physics and of torch.
        evaluate_every: control steps between two evaluations, each of which also writes a
            checkpoint.
        progress: whether to show a bar, and a line for each evaluation.
        settings: of ``DistillConfig``; with ``minutes`` and without ``steps`` it ends by the clock
            alone.

    Returns:
        The best policy's evaluation, of all skills that were asked for.

    Raises:
        UnknownIdError: there is no such id or skill.
        SettingError: the id is no tracker's, or a setting is unknown or out of its range.
        PolicyError: a specialist is damaged or does not fit, or there is none.
        OutputError: the folder holds another run, is in use, or cannot be written.
        SFVError: there is nothing to resume, or it is of other motions, policies or settings.
        KeyboardInterrupt: after a checkpoint.
    """
    folder = Path(run_dir)
    asked = Distillation(
        env_id,
        folder,
        {name: value for name, value in (settings or {}).items() if value is not None},
        None if specialists is None else Path(specialists),
        None if skills is None else tuple(skills),
        seed,
        resume,
        num_threads,
        evaluate_every,
    )
    _check(asked)
    with (
        locked_folder(folder, f"another process is training in {folder}"),
        ProgressBar(env_id, show=progress) as bar,
    ):
        return distill_in(asked, bar)


def distill_in(asked: Distillation, listener: Listener) -> IdEvaluation:
    """``distill`` in a folder that this process has locked, with arguments that were checked.

    Args:
        listener: told of the progress; asked between updates whether to stop.

    Raises:
        As ``distill``; StoppedError: the listener wanted it to stop, and there is a checkpoint.
    """
    torch.set_num_threads(asked.threads)
    config, lesson = _open_run(asked)
    if lesson.without:
        names = ", ".join(lesson.without)
        listener.say(f"no specialist, and so left out: {names}")
    for one in lesson.specialists:
        if not one.knows_the_motion:
            listener.say(f"{one.skill}: its specialist was trained on another motion")
    teaching = Teaching(_task(lesson, config), lesson, config, asked.threads)
    if teaching.sides.missing:
        listener.say(f"learned without mirror images: {teaching.sides.missing}")
    try:
        return teaching.run(asked.folder, asked.resume, asked.evaluate_every, listener)
    finally:
        teaching.close()


def _check(asked: Distillation) -> None:
    """See what is wrong before there is a folder."""
    if get_entry(asked.env_id).motion is not None:
        raise SettingError(
            f"{asked.env_id} is of one motion: distil into a tracker, such as SFV-Tracker-v0"
        )
    if asked.skills is not None and not asked.skills:
        raise SettingError("there is no skill to learn")
    config = DistillConfig.of(**asked.settings)
    checked_seed(asked.seed)
    check_threads(asked.threads)
    whole("evaluate_every", asked.evaluate_every, 1, MOST_STEPS)
    if asked.resume:
        if not (asked.folder / CHECKPOINT).is_file():
            raise SFVError(f"{asked.folder} holds no checkpoint to resume; start without --resume")
        return
    count = len(_lesson(asked).specialists)
    if count * config.envs_per_motion > MOST_ENVIRONMENTS:
        raise SettingError(
            f"envs_per_motion must be at most {MOST_ENVIRONMENTS // count} for {count} motions, it "
            f"is {config.envs_per_motion}"
        )


def _lesson(asked: Distillation) -> Lesson:
    skills = asked.skills or tracker_skills()
    specialists, without = find_specialists(asked.env_id, skills, asked.specialists)
    return Lesson(
        asked.env_id, skills, tuple(specialists), tuple(without), asked.specialists, asked.seed
    )


def _limits(given: JSON) -> JSON:
    """The settings that were given; of steps and minutes, one without the other is the only
    limit."""
    if given.get("minutes") and "steps" not in given:
        return {**given, "steps": MOST_STEPS}
    if "steps" in given and "minutes" not in given:
        return {**given, "minutes": 0}
    return given


def _open_run(asked: Distillation) -> tuple[DistillConfig, Lesson]:
    """Settings and content of a new run, which are written down, or of the one to resume."""
    folder = asked.folder
    if asked.resume:
        config, lesson = _saved_run(asked)
    else:
        if (folder / CHECKPOINT).is_file():
            raise OutputError(
                f"{folder} already holds a run; add --resume or choose another folder"
            )
        config, lesson = DistillConfig.of(**_limits(asked.settings)), _lesson(asked)
        for name in (CURVE, CARD, POLICY, PROGRESS):  # of a run that was killed very early
            (folder / name).unlink(missing_ok=True)
    source = None if lesson.source is None else str(lesson.source.absolute())
    identity = {**lesson.identity(), "source": source}
    write_json(folder / CONFIG, {**identity, "distill": config.as_dict()})
    return config, lesson


def _saved_run(asked: Distillation) -> tuple[DistillConfig, Lesson]:
    """Those of the run in the folder, as far as others may not be, or are not, asked for."""
    folder = asked.folder
    saved = read_json(folder / CONFIG)
    if saved.get("env_id") != asked.env_id or not isinstance(saved.get("distill"), dict):
        raise SFVError(f"{folder} is no distillation into {asked.env_id}")
    was, given = DistillConfig.of(**saved["distill"]), _limits(asked.settings)
    config = DistillConfig.of(**{**was.as_dict(), **given})
    for name in given:
        if name not in ENDING_SETTINGS and getattr(was, name) != getattr(config, name):
            raise SFVError(f"{name} cannot be changed in a run that goes on; start a new one")
    source = saved.get("source")
    lesson = _lesson(
        replace(
            asked,
            skills=asked.skills or tuple(saved.get("skills", ())),
            specialists=asked.specialists or (None if source is None else Path(source)),
            seed=checked_seed(saved.get("seed")),
        )
    )
    if any(saved.get(name) != value for name, value in lesson.identity().items()):
        raise SFVError(
            f"motions or policies have changed since the run in {folder} began; start a new run"
        )
    return config, lesson


def _task(lesson: Lesson, config: DistillConfig) -> Task:
    """That of the simulation, whose observation has what student and specialists see."""
    window = get_observation(config.observation).window
    return Task.of(
        lesson.env_id,
        motions=lesson.taught,
        observation=Observation(phase=True, window=window),
        initialization=get_initialization(
            "rsi", first_frame=config.first_frame, position_noise=config.position_noise
        ),
        horizon=config.horizon,
    )
