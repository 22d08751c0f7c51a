"""From a clip to a character that does the same, in stages that go on where they were stopped.

Motion and verdict; the policy to start from as it is; fine-tuning until it is good or told to stop;
evaluation on fresh episodes; film, report, model card.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from sfv_gym.characters import get_character
from sfv_gym.checks import real, whole
from sfv_gym.envs.task import Task
from sfv_gym.files import JSON, check_folder, write_json
from sfv_gym.jobs.folder import locked_folder, read_json
from sfv_gym.jobs.machine import usable_cores
from sfv_gym.motion import BAD, ReferenceMotion
from sfv_gym.play.by_motion import publish_id
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, Evaluation, evaluate
from sfv_gym.play.policy import Policy
from sfv_gym.registry import CHARACTER_TITLES, TERRAIN_TITLES, make_id
from sfv_gym.seeds import Purpose, checked_seed, stream
from sfv_gym.terrains import get_terrain
from sfv_gym.train.config import MOST_STEPS, Asked, recipes
from sfv_gym.train.device import check_threads
from sfv_gym.train.facts import machine_facts, task_facts
from sfv_gym.train.learn.film import play_one, seconds_after_training, write_film
from sfv_gym.train.learn.folder import Stages
from sfv_gym.train.learn.page import usage, write_card, write_learned_page
from sfv_gym.train.learn.result import Learned
from sfv_gym.train.learn.source import (
    OVERLAY,
    RECONSTRUCTION,
    Source,
    check_verdict,
    find_source,
)
from sfv_gym.train.learn.start import NONE, Start, find_start
from sfv_gym.train.ppo import ENDING_SETTINGS, train_in
from sfv_gym.train.progress import ProgressBar
from sfv_gym.train.recorder import what_was_given
from sfv_gym.train.runs import CARD, POLICY, RunState, read_curve

RECIPE = "learn"
"""Of ``hyperparams/ppo.yml``."""
EVALUATE_EVERY = 50_000
"""Control steps between two evaluations in training."""
MOST_THREADS = 4
"""Of the physics, where it is not said."""
TORCH_THREADS = 1
"""Of the updates. Two of the physics do no harm beside other busy processes; two of torch wait for
each other: 40,960 samples of a kick took 148 s in place of 32."""
STARTING = 5.0
"""Seconds until a run begins to count its own."""
RUNS = Path("learned")
"""Where folders lie that nobody has named."""
TRAINING = "training"
"""The folder of the run, within the folder."""
ZERO_SHOT, EVALUATION, CARD_TEXT = "zero_shot.json", "evaluation.json", "card.md"
FILM, SHEET, REPORT, LEARNED = "film.mp4", "sheet.webp", "report.html", "learn.json"


def learn(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    character: str = "humanoid",
    terrain: str = "flat",
    minutes: float | None = None,
    steps: int | None = None,
    target: float | None = None,
    start: str | os.PathLike[str] | None = None,
    skill: str | None = None,
    seed: int = 0,
    threads: int | None = None,
    strict: bool = False,
    extraction: JSON | None = None,
    settings: JSON | None = None,
    progress: bool = True,
) -> Learned:
    """Make a character do what is to be seen in a video, and write down all that came of it.

    Everything lies in one folder. Killed at any moment, the same call goes on there; with more
    ``minutes`` or ``steps`` a call that was done learns on.

    Args:
        source: a video of one person; joints in space, as ``import_motion`` takes them; a motion
            file; or the name of a skill.
        out: the folder; ``learned/<skill>`` by default.
        character, terrain: who learns it, and where.
        minutes: how long all stages may take together, in all processes that had a part. What
            evaluation and film will take is kept back from training; what comes before and after
            it is never cut short, and one rollout is always played. None is no limit.
        steps: the most control steps to learn from; by default those of the recipe ``learn`` in
            ``train/hyperparams/ppo.yml``.
        target: success rate from which on a policy is good, and training ends; by default the
            recipe's.
        start: what to start from: ``"tracker"``, the shipped policy of many motions; a policy
            file; or ``"none"``. By default the tracker where one ships for the character.
        skill: snake_case name of the motion; by default the file's, with ``my_`` in front where
            the library has a skill of that name. Its ids are registered in this process, as
            ``register_motion`` does it.
        seed: of the training.
        threads: of physics and evaluations; by default the cores that this process may use, at
            most 4.
        strict: raise before training where the verdict on the motion is ``"bad"``.
        extraction: keywords of ``extract_motion`` or ``import_motion``, such as ``start``, ``end``,
            ``speed`` and ``subject``.
        settings: of the training, in place of the recipe's; see ``train_policy``.
        progress: whether to show lines and bars on stderr.

    Raises:
        UnknownIdError: there is no such skill, character or terrain.
        SettingError: a number is out of its range, or a setting is unknown.
        PolicyError: there is no such policy to start from, or it does not fit.
        VideoError, PoseError, PoseFileError, MotionError: of the source, before training.
        VerdictError: the motion is bad, and ``strict``.
        OutputError: the folder holds what was learned otherwise, is in use, or cannot be written.
        RenderError: there is no OpenGL to draw the film with; said before training.
        KeyboardInterrupt: after a checkpoint.
    """
    # what is wrong is said before minutes are spent
    get_character(character)
    get_terrain(terrain)
    if minutes is not None:
        minutes = real("minutes", minutes, 0.0, 1e6)
    if steps is not None:
        steps = whole("steps", steps, 1, MOST_STEPS)
    threads = min(usable_cores(), MOST_THREADS) if threads is None else threads
    check_threads(threads)
    begin = find_start(start, character, terrain)
    found = find_source(source, skill, extraction)
    overrides: JSON = {**recipes()[RECIPE], **(settings or {})}
    if begin.observation is not None:
        overrides["observation"] = begin.observation
    if target is not None:
        overrides["target_success"] = target
    env_id = make_id(found.skill, CHARACTER_TITLES[character], TERRAIN_TITLES[terrain])
    asked = Asked.for_env(env_id, steps, overrides)
    folder = RUNS / found.skill if out is None else Path(out)
    check_folder(folder)
    if folder.is_file():
        check_folder(folder / LEARNED)  # raises
    fixed = {k: v for k, v in sorted(overrides.items()) if k not in ENDING_SETTINGS}
    identity = {
        "source": found.digest,
        "skill": found.skill,
        "character": character,
        "terrain": terrain,
        "start": begin.digest,
        "seed": checked_seed(seed),
        "extraction": found.extraction,
        "settings": fixed,
    }
    say = Console(stderr=True, quiet=not progress, highlight=False, markup=False, soft_wrap=True)
    with locked_folder(folder, f"another process is at work in {folder}"):
        stages = Stages(folder, identity)
        learning = _Learning(
            folder, env_id, found, begin, asked, minutes, seed, threads, strict, progress, stages,
            say,
        )  # fmt: skip
        try:
            return learning.run()
        except BaseException:
            stages.leave_nothing()
            raise


@dataclass(frozen=True, eq=False)
class _Learning:
    """One call of ``learn``, whose arguments were checked."""

    folder: Path
    env_id: str
    source: Source
    start: Start
    asked: Asked
    minutes: float | None
    seed: int
    threads: int
    strict: bool
    progress: bool
    stages: Stages
    console: Console

    def run(self) -> Learned:
        """All stages, one after the other; those that are done are left alone."""
        motion = self._motion()
        task = Task.of(self.env_id, observation=self.asked.config.observation)
        zero_shot = self._zero_shot(task)
        self._train(task, zero_shot)
        return self._show(task, motion, zero_shot)

    def _say(self, text: str) -> None:
        self.console.print(text)

    # --- motion -----------------------------------------------------------------------------------

    def _motion(self) -> ReferenceMotion:
        files = self.source.files()
        if not self.stages.is_done("motion", {}, files):
            self._say(f"Motion: {self.source.path.name} …")
        self.stages.do(
            "motion",
            {},
            files,
            lambda: self.source.make(self.folder, strict=self.strict, progress=self.progress),
        )
        motion = ReferenceMotion.load(self.folder / files[0])
        check_verdict(motion, self.strict)
        self.source.register(self.folder)
        self._say(f"Motion: {motion.num_frames} frames, {motion.duration:.2f} s")
        if motion.verdict is not None:
            self._say(f"Reconstruction: {motion.verdict.grade}")
            for _, text in motion.verdict.lines():
                self._say(f"- {text}")
            if motion.verdict.grade == BAD:
                self._say(f"It is learned all the same. Look at {self.folder / RECONSTRUCTION}.")
        return motion

    # --- the policy to start from, as it is -----------------------------------------------------

    def _zero_shot(self, task: Task) -> Evaluation | None:
        if self.start.policy is None:
            self._say(
                "Start: from nothing"
                + ("" if self.start.asked else f": no tracker of {task.character.name} ships")
            )
            return None
        made_of = {"motion": task.motion_hash, "policy": self.start.digest}

        def work() -> JSON:
            # not by the episodes of the figures in the end: these decide whether to train
            seed = stream(Purpose.SELECTION, self.seed)
            found = evaluate(
                self.start.predict(),
                task,
                episodes=PUBLISHED_EPISODES,
                seed=seed,
                num_threads=self.threads,
                name=self.env_id,
            )
            write_json(self.folder / ZERO_SHOT, found.as_dict())
            return {}

        self.stages.do("zero-shot", made_of, [ZERO_SHOT], work)
        found = Evaluation.from_dict(read_json(self.folder / ZERO_SHOT))
        self._say(f"Start: {self.start.name}, as it is: success {found.success_rate:.2f}")
        return found

    # --- training ---------------------------------------------------------------------------------

    @property
    def _target(self) -> float:
        return self.asked.config.target_success

    def _train(self, task: Task, zero_shot: Evaluation | None) -> None:
        """Leave the policy with its card and its evaluation."""
        config = self.asked.config
        good = zero_shot is not None and zero_shot.success_rate >= self._target
        made_of = {
            "motion": task.motion_hash,
            "ends": {
                "steps": config.steps,
                "minutes": self.minutes,
                "target": [self._target, config.target_evaluations],
            },
        }
        files = (POLICY, CARD, EVALUATION)
        if good and self.start.fits(task):
            self._say(f"Training: none, success is {self._target:g} or more already")
            self.stages.do("training", made_of, files, lambda: self._as_it_is(task))
        else:
            self.stages.do("training", made_of, files, lambda: self._learn(task))

    def _as_it_is(self, task: Task) -> JSON:
        """The policy to start from is the one."""
        policy, path = self.start.policy, self.start.path
        assert policy is not None and path is not None
        fixed, rsi = publish_id(
            policy.predict,
            self.env_id,
            observation=self.asked.config.observation,
            num_threads=self.threads,
        )
        card = {
            **task_facts(self.env_id),
            "algorithm": policy.card.get("algorithm", "unknown"),
            "settings": policy.card.get("settings", {}),
            **what_was_given(path),
            "seed": self.seed,
            "samples": 0,
            "seconds": 0.0,
            "samples_total": 0,
            "outcome": "target",
            **machine_facts(),
        }
        self._save(policy, card, {**fixed.as_dict(), "rsi": rsi.as_dict()})
        return {"samples": 0}

    def _learn(self, task: Task) -> JSON:
        """A run of PPO, or going on with it."""
        began, run = time.monotonic(), self.folder / TRAINING
        state = RunState.read(run)
        rest = seconds_after_training(task, self.threads)
        asked = self._with_minutes(rest + time.monotonic() - began + STARTING)
        if state.exists:
            self._say(f"Training: goes on after {state.samples / 1e6:.2f} M samples")
        with (
            locked_folder(run, f"another process is training in {run}"),
            ProgressBar("Training", show=self.progress) as bar,
        ):
            train_in(
                run,
                self.env_id,
                asked,
                seed=self.seed,
                resume=state.exists,
                init=self.start.path,
                num_threads=self.threads,
                torch_threads=TORCH_THREADS,
                device="cpu",
                evaluate_every=EVALUATE_EVERY,
                listener=bar,
            )
        policy = Policy.load(run / POLICY)
        self._save(policy, policy.card, policy.card["evaluation"])
        # what earlier processes have spent: all of it, or what the run has counted
        before = max(state.seconds, self.stages.seconds().get("training", 0.0))
        seconds = before + time.monotonic() - began
        return {"samples": policy.card["samples_total"], "seconds": seconds}

    def _with_minutes(self, rest: float) -> Asked:
        """The settings with the minutes that are left to the run, evaluations on the way included.

        Args:
            rest: seconds that what follows will take.
        """
        if self.minutes is None:
            return self.asked
        before = sum(self.stages.seconds().get(name, 0.0) for name in ("motion", "zero-shot"))
        left = max(60.0 * self.minutes - before - rest, 0.1)
        self._say(
            f"Training: at most {left / 60:.1f} min of {self.minutes:g}; {before / 60:.1f} are "
            f"spent, {rest / 60:.1f} are kept for evaluation and film"
        )
        config = self.asked.config
        values = {**self.asked.overrides(), "minutes": left / 60.0}
        return Asked.for_env(self.env_id, config.steps, values)

    def _save(self, policy: Policy, card: JSON, evaluation: JSON) -> None:
        """The policy, its card and its evaluation; the evaluation last."""
        card = {**card, "evaluation": evaluation}
        replace(policy, card=card).save(self.folder / POLICY)
        write_json(self.folder / CARD, card)
        write_json(self.folder / EVALUATION, evaluation)

    # --- what is to be seen ---------------------------------------------------------------------

    def _show(self, task: Task, motion: ReferenceMotion, zero_shot: Evaluation | None) -> Learned:
        policy = Policy.load(self.folder / POLICY)
        evaluation = Evaluation.from_dict(read_json(self.folder / EVALUATION))
        own = None if self.source.registered else self.folder / self.source.files()[0]
        seen = self.asked.config.observation
        lines = usage(self.env_id, own, self.folder / POLICY, seen)
        made_of = {
            "motion": task.motion_hash,
            "policy": policy.content_hash(),
            "card": policy.card.get("samples_total"),
        }
        files = (FILM, SHEET, REPORT, CARD_TEXT, LEARNED)

        def work() -> JSON:
            self._say("Film and report …")
            began = time.monotonic()
            played = play_one(policy.predict, task, self.env_id)
            write_film(
                self.folder / FILM,
                self.folder / SHEET,
                played,
                cyclic=motion.loop == "wrap",
                overlay=self.folder / OVERLAY if self.source.kind == "video" else None,
                poses=self.source.poses(self.folder),
            )
            rows = [("the policy", evaluation)]
            if zero_shot is not None:
                rows.append((f"{self.start.name}, as it is", zero_shot))
            write_card(self.folder / CARD_TEXT, policy.card, rows, lines)
            seconds = {**self.stages.seconds(), "film": round(time.monotonic() - began, 2)}
            page = self.folder / RECONSTRUCTION
            run = self.folder / TRAINING
            write_learned_page(
                self.folder / REPORT,
                motion=motion,
                card=policy.card,
                rows=rows,
                curve=read_curve(run) if run.is_dir() else [],
                played=played,
                film=self.folder / FILM,
                sheet=self.folder / SHEET,
                has_video=self.source.kind == "video",
                reconstruction=page if page.is_file() else None,
                seconds=seconds,
                notes=(self.stages.result("motion") or {}).get("notes", []),
                lines=lines,
            )
            learned = self._learned(motion, zero_shot, evaluation, lines, seconds)
            write_json(self.folder / LEARNED, learned.as_dict())
            return {"seconds": seconds["film"]}

        self.stages.do("film", made_of, files, work)
        return self._learned(motion, zero_shot, evaluation, lines, self.stages.seconds())

    def _learned(
        self,
        motion: ReferenceMotion,
        zero_shot: Evaluation | None,
        evaluation: Evaluation,
        lines: str,
        seconds: dict[str, float],
    ) -> Learned:
        samples = (self.stages.result("training") or {}).get("samples", 0)
        return Learned(
            folder=self.folder,
            env_id=self.env_id,
            observation=self.asked.config.observation,
            motion=motion,
            motion_file=self.folder / self.source.files()[0],
            policy=self.folder / POLICY,
            film=self.folder / FILM,
            sheet=self.folder / SHEET,
            report=self.folder / REPORT,
            start=self.start.name if self.start.policy is not None else NONE,
            target=self._target,
            zero_shot=zero_shot,
            evaluation=evaluation,
            samples=samples,
            seconds=seconds,
            usage=lines,
        )
