"""From a clip to a character that does the same, in stages that go on where they were stopped.

Motion and verdict; the policy to start from as it is; fine-tuning until it is good or told to stop;
evaluation on fresh episodes; film, report, model card.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from rich.console import Console

from sfv_gym.characters import get_character
from sfv_gym.checks import real, whole
from sfv_gym.envs.task import Task
from sfv_gym.files import JSON, check_folder, write_json
from sfv_gym.jobs.folder import locked_folder, read_json
from sfv_gym.jobs.machine import usable_cores
from sfv_gym.motion import BAD, ReferenceMotion
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, Evaluation, evaluate
from sfv_gym.play.policy import Policy
from sfv_gym.registry import CHARACTER_TITLES, TERRAIN_TITLES, make_id
from sfv_gym.seeds import Purpose, checked_seed, stream
from sfv_gym.terrains import get_terrain
from sfv_gym.train.config import MOST_STEPS, Asked, recipes
from sfv_gym.train.device import check_threads
from sfv_gym.train.learn.call import Call
from sfv_gym.train.learn.film import play_one, write_film
from sfv_gym.train.learn.folder import Stages
from sfv_gym.train.learn.page import usage, write_card, write_learned_page
from sfv_gym.train.learn.result import Learned
from sfv_gym.train.learn.source import (
    OVERLAY,
    RECONSTRUCTION,
    check_verdict,
    find_source,
)
from sfv_gym.train.learn.start import NONE, find_start
from sfv_gym.train.learn.training import EVALUATION, TRAINING, make_policy
from sfv_gym.train.ppo import ENDING_SETTINGS
from sfv_gym.train.runs import POLICY, read_curve

RECIPE = "learn"
"""Of ``hyperparams/ppo.yml``."""
MOST_THREADS = 4
"""Of the physics, where it is not said."""
RUNS = Path("learned")
"""Where folders lie that nobody has named."""
ZERO_SHOT, CARD_TEXT = "zero_shot.json", "card.md"
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
        call = Call(
            folder, env_id, found, begin, asked, minutes, seed, threads, strict, progress, stages,
            say,
        )  # fmt: skip
        try:
            return _run(call)
        except BaseException:
            stages.leave_nothing()
            raise


def _run(call: Call) -> Learned:
    """All stages, one after the other; those that are done are left alone."""
    motion = _motion(call)
    task = Task.of(call.env_id, observation=call.observation)
    zero_shot = _zero_shot(call, task)
    make_policy(call, task, zero_shot)
    return _show(call, task, motion, zero_shot)


def _motion(call: Call) -> ReferenceMotion:
    files = call.source.files()
    if not call.stages.is_done("motion", {}, files):
        call.say(f"Motion: {call.source.path.name} …")
    call.stages.do(
        "motion",
        {},
        files,
        lambda: call.source.make(call.folder, strict=call.strict, progress=call.progress),
    )
    motion = ReferenceMotion.load(call.folder / files[0])
    check_verdict(motion, call.strict)
    call.source.register(call.folder)
    call.say(f"Motion: {motion.num_frames} frames, {motion.duration:.2f} s")
    if motion.verdict is not None:
        call.say(f"Reconstruction: {motion.verdict.grade}")
        for _, text in motion.verdict.lines():
            call.say(f"- {text}")
        if motion.verdict.grade == BAD:
            call.say(f"It is learned all the same. Look at {call.folder / RECONSTRUCTION}.")
    return motion


def _zero_shot(call: Call, task: Task) -> Evaluation | None:
    if call.start.policy is None:
        why = "" if call.start.asked else f": no tracker of {task.character.name} ships"
        call.say(f"Start: from nothing{why}")
        return None
    made_of = {"motion": task.motion_hash, "policy": call.start.digest}

    def work() -> JSON:
        # not by the episodes of the figures in the end: these decide whether to train
        seed = stream(Purpose.SELECTION, call.seed)
        found = evaluate(
            call.start.predict(),
            task,
            episodes=PUBLISHED_EPISODES,
            seed=seed,
            num_threads=call.threads,
            name=call.env_id,
        )
        write_json(call.folder / ZERO_SHOT, found.as_dict())
        return {}

    call.stages.do("zero-shot", made_of, [ZERO_SHOT], work)
    found = Evaluation.from_dict(read_json(call.folder / ZERO_SHOT))
    call.say(f"Start: {call.start.name}, as it is: success {found.success_rate:.2f}")
    return found


def _show(call: Call, task: Task, motion: ReferenceMotion, zero_shot: Evaluation | None) -> Learned:
    policy = Policy.load(call.folder / POLICY)
    evaluation = Evaluation.from_dict(read_json(call.folder / EVALUATION))
    own = None if call.source.registered else call.folder / call.source.files()[0]
    seen = call.observation
    lines = usage(call.env_id, own, call.folder / POLICY, seen)
    made_of = {
        "motion": task.motion_hash,
        "policy": policy.content_hash(),
        "card": policy.card.get("samples_total"),
    }
    files = (FILM, SHEET, REPORT, CARD_TEXT)

    def work() -> JSON:
        call.say("Film and report …")
        began = time.monotonic()
        played = play_one(policy.predict, task, call.env_id)
        write_film(
            call.folder / FILM,
            call.folder / SHEET,
            played,
            cyclic=motion.loop == "wrap",
            overlay=call.folder / OVERLAY if call.source.kind == "video" else None,
            poses=call.source.poses(call.folder),
        )
        rows = [("the policy", evaluation)]
        if zero_shot is not None:
            rows.append((f"{call.start.name}, as it is", zero_shot))
        write_card(call.folder / CARD_TEXT, policy.card, rows, lines)
        seconds = {**call.stages.seconds(), "film": round(time.monotonic() - began, 2)}
        page = call.folder / RECONSTRUCTION
        run = call.folder / TRAINING
        write_learned_page(
            call.folder / REPORT,
            motion=motion,
            card=policy.card,
            rows=rows,
            curve=read_curve(run) if run.is_dir() else [],
            played=played,
            film=call.folder / FILM,
            sheet=call.folder / SHEET,
            has_video=call.source.kind == "video",
            reconstruction=page if page.is_file() else None,
            seconds=seconds,
            notes=(call.stages.result("motion") or {}).get("notes", []),
            lines=lines,
        )
        return {"seconds": seconds["film"]}

    call.stages.do("film", made_of, files, work)
    learned = _learned(call, motion, zero_shot, evaluation, lines, call.stages.seconds())
    write_json(call.folder / LEARNED, learned.as_dict())
    return learned


def _learned(
    call: Call,
    motion: ReferenceMotion,
    zero_shot: Evaluation | None,
    evaluation: Evaluation,
    lines: str,
    seconds: dict[str, float],
) -> Learned:
    samples = (call.stages.result("training") or {}).get("samples", 0)
    return Learned(
        folder=call.folder,
        env_id=call.env_id,
        observation=call.observation,
        motion=motion,
        motion_file=call.folder / call.source.files()[0],
        policy=call.folder / POLICY,
        film=call.folder / FILM,
        sheet=call.folder / SHEET,
        report=call.folder / REPORT,
        start=call.start.name if call.start.policy is not None else NONE,
        target=call.target,
        zero_shot=zero_shot,
        evaluation=evaluation,
        samples=samples,
        seconds=seconds,
        usage=lines,
    )
