"""Ablations of training: the recipe, and the same with one setting otherwise.

``sfv bench ablations --docs docs`` trains every variant on a few skills with several seeds, and
writes ``training.json`` and the table in ``training.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict, cast

import numpy as np
import typer
import yaml
from rich.console import Console
from rich.markup import escape

from sfv_gym.benchmarks.book import Page, Table, texts
from sfv_gym.benchmarks.fingerprint import environment_hash, stream_name
from sfv_gym.benchmarks.studies.policies.records import MadeOf
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import SFVError, UnknownIdError
from sfv_gym.files import JSON, write_json
from sfv_gym.jobs.folder import LOG, read_json
from sfv_gym.jobs.job import Executor, Reporter
from sfv_gym.jobs.machine import describe_machine, versions
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor
from sfv_gym.jobs.supervise import Outcome, supervise
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, evaluate
from sfv_gym.play.policy import Policy
from sfv_gym.registry import find_motion
from sfv_gym.seeds import Purpose, stream
from sfv_gym.train.config import Asked, PPOConfig
from sfv_gym.train.job import Training, training_job
from sfv_gym.train.job import run as train
from sfv_gym.train.runs import CHECKPOINT, CONFIG, RunState, read_curve

RECIPE = "recipe"
PAGE, FIGURES = "training.md", "training.json"
MARKS = ("<!-- written by `sfv bench ablations` -->", "<!-- /written -->")
NEVER_EARLY = {"target_evaluations": 0}
"""Every run uses its whole budget: runs of different lengths could not be compared."""

FINAL = "final.json"
"""In a run's folder: what its last policy does."""

Settings = dict[str, Any]
"""Of the trainer, by name: a part of ``PPOConfig``."""


class Final(MadeOf):
    """What the last policy of a run does, and what that depends on."""

    normalized_return_sfv: float
    success_rate: float


class VariantFigures(TypedDict):
    """What a variant is."""

    name: str
    settings: Settings


class Figures(TypedDict):
    """What ``training.json`` holds; curves and finals by variant, skill and seed.

    A curve has rows of samples, normalized return, success. Those of an earlier version have no
    finals.
    """

    samples: int
    machine: dict[str, Any]
    versions: dict[str, str]
    motions: dict[str, str]
    variants: dict[str, VariantFigures]
    curves: dict[str, dict[str, dict[str, list[list[float]]]]]
    episodes: NotRequired[int]
    finals: NotRequired[dict[str, dict[str, dict[str, Final]]]]


@dataclass(frozen=True)
class Variant:
    """A way to train: ``key`` names its folder, ``settings`` override the recipe's."""

    key: str
    name: str
    settings: Settings


@dataclass(frozen=True)
class Study:
    """What is measured: each variant, the recipe first, on each skill."""

    skills: tuple[str, ...]
    samples: int
    variants: tuple[Variant, ...]

    @classmethod
    def read(cls) -> Study:
        """The one in ``ablations.yml``."""
        text = resources.files("sfv_gym.benchmarks.studies").joinpath("ablations.yml").read_text()
        table = yaml.safe_load(text)
        entries = {RECIPE: table["recipe"], **table["ablations"]}
        variants = tuple(Variant(key, e["name"], e["settings"]) for key, e in entries.items())
        return cls(tuple(table["skills"]), int(table["samples"]), variants)

    def only(self, keys: list[str]) -> Study:
        """The recipe and the ablations ``keys``.

        Raises:
            UnknownIdError: there is no such ablation.
        """
        known = {variant.key: variant for variant in self.variants}
        if unknown := [key for key in keys if key not in known]:
            raise UnknownIdError(
                f"there is no ablation {', '.join(unknown)}; there are {', '.join(known)}"
            )
        kept = tuple(v for v in self.variants if v.key in (RECIPE, *keys))
        return Study(self.skills, self.samples, kept)


@dataclass(frozen=True)
class AblationRun:
    """A run of the study: a training, and the variant that it is of."""

    variant: str
    training: Training

    @property
    def label(self) -> str:
        """What it is called in what is printed."""
        return f"{self.training.env_id} {self.variant} seed {self.training.seed}"


def run(one: AblationRun, reporter: Reporter) -> JSON:
    """Train, unless that is done, and measure the last policy: a job's function."""
    training = one.training
    if not RunState.read(training.folder, training.budget).finished:
        train(training, reporter)
    reporter.say("is trained; its last policy is measured")
    return {**_final(training)}


def measure(
    study: Study,
    out: Path,
    *,
    seeds: int,
    executor: Executor,
    console: Console,
) -> Figures:
    """Train what is not trained yet in ``out``, and gather the learning curves.

    What a run comes to is what its last policy does in ``PUBLISHED_EPISODES`` episodes that are
    the same for all runs and that no run was chosen by.

    Raises:
        SFVError: a run failed, or one in ``out`` was made with other settings.
    """
    runs = [
        AblationRun(
            variant.key,
            Training(
                env_id,
                out.absolute() / variant.key / str(seed) / env_id,
                Asked.for_env(env_id, study.samples, {**variant.settings, **NEVER_EARLY}),
                seed=seed,
            ),
        )
        for seed in range(seeds)  # first one seed of everything: a look at all of it comes early
        for variant in study.variants
        for env_id in study.skills
    ]
    finals = _finals(runs, executor, console)
    curves: dict[str, dict[str, dict[str, list[list[float]]]]] = {}
    ends: dict[str, dict[str, dict[str, Final]]] = {}
    for one, final in zip(runs, finals, strict=True):
        training = one.training
        env_id, seed = training.env_id, str(training.seed)
        ends.setdefault(one.variant, {}).setdefault(env_id, {})[seed] = final
        rows = [
            [row["samples"], round(row["normalized_return_sfv"], 4), row["success_rate"]]
            for row in read_curve(training.folder)
        ]
        curves.setdefault(one.variant, {}).setdefault(env_id, {})[seed] = rows
    return {
        "samples": study.samples,
        "machine": describe_machine(),
        "versions": versions(),
        "motions": {i: find_motion(i).content_hash() for i in study.skills},
        "variants": {v.key: {"name": v.name, "settings": v.settings} for v in study.variants},
        "curves": curves,
        "episodes": PUBLISHED_EPISODES,
        "finals": ends,
    }


def _finals(runs: Sequence[AblationRun], executor: Executor, console: Console) -> list[Final]:
    """What the last policy of each run does, once all are trained."""
    for one in runs:
        one.training.check()
        _check_settings(one.training)
    finals: dict[str, Final] = {}
    failed: list[str] = []

    def ended(outcome: Outcome) -> str:
        label = outcome.job.label
        if outcome.result is None:
            failed.append(f"{outcome.error} ({outcome.job.folder / LOG})")
            return f"{label}: [red]failed[/red]: {escape(failed[-1])}"
        finals[label] = cast("Final", outcome.result)
        return f"{label}: success {outcome.result['success_rate']:.2f}"

    jobs = []
    for one in runs:
        training = one.training
        state = training.settle(one.label, console)
        if state.finished:
            console.print(f"{one.label}: was finished before", highlight=False, soft_wrap=True)
        if state.finished and (kept := _kept(training)) is not None:
            finals[one.label] = kept
        else:
            function = f"{__name__}:{run.__name__}"
            jobs.append(training_job(function, one, training, one.label))
    done = len(runs) - len(jobs)
    supervise(jobs, executor, ended, title="all runs", console=console, done=done)
    if failed:
        raise SFVError(f"{len(failed)} of {len(runs)} runs failed: {failed[0]}")
    return [finals[one.label] for one in runs]


def _final(training: Training) -> Final:
    """What the last policy of a run that is over does, kept in the run's folder."""
    if (kept := _kept(training)) is not None:
        return kept
    policy = _last_policy(training)
    found = evaluate(
        policy.predict, training.env_id, episodes=PUBLISHED_EPISODES, seed=stream(Purpose.ABLATIONS)
    )
    final: Final = {
        "normalized_return_sfv": round(found.normalized_return_sfv, 4),
        "success_rate": round(found.success_rate, 4),
        **_made_of(training, policy),
    }
    write_json(training.folder / FINAL, final)
    return final


def _kept(training: Training) -> Final | None:
    """The same from the run's folder; None if it is not there, or of something else."""
    kept = read_json(training.folder / FINAL)
    if not kept or not _made_of(training, _last_policy(training)).items() <= kept.items():
        return None
    return cast("Final", kept)


def _made_of(training: Training, policy: Policy) -> MadeOf:
    """What the figures of a run depend on."""
    return {
        "policy_hash": policy.content_hash(),
        "environment_hash": environment_hash(training.env_id),
        "stream": stream_name(Purpose.ABLATIONS),
        "episodes": PUBLISHED_EPISODES,
    }


def _last_policy(training: Training) -> Policy:
    """The one in a run's last checkpoint; that in the run's folder is its best."""
    from stable_baselines3.common.vec_env import VecNormalize

    from sfv_gym.envs.sb3 import SB3VecEnv
    from sfv_gym.train.checkpoint import load_checkpoint
    from sfv_gym.train.export import export_policy

    envs = ImitationVectorEnv(training.env_id, num_threads=1)
    normalized = VecNormalize(SB3VecEnv(envs))
    model = load_checkpoint(training.folder / CHECKPOINT, normalized, "cpu")
    policy = export_policy(model, {})
    normalized.close()
    return policy


def _check_settings(training: Training) -> None:
    """See that a run that is there already is the one that is wanted: the recipe may have
    changed since, and a run that goes on keeps its settings."""
    saved = read_json(training.folder / CONFIG).get("ppo")
    if saved is None:
        return
    if PPOConfig.for_env(training.env_id, **saved) != training.asked.config:
        raise SFVError(f"{training.folder} was trained with other settings: choose another --out")


def page(figures: Figures) -> Page:
    """Normalized return and success of each variant on each skill, over the seeds."""
    said = texts("sfv_gym.benchmarks.studies", "ablations_prose.yml")
    skills = list(figures["motions"])
    runs = said["curves" if "finals" not in figures else "finals"]
    note = said["note"].format(
        what=runs.format(episodes=figures.get("episodes")),
        samples=figures["samples"],
        seeds=len(figures["curves"][RECIPE][skills[0]]),
    )
    rows = [
        (
            variant["name"],
            *(_cell(_ends(figures, key, i), _ends(figures, RECIPE, i)[0]) for i in skills),
        )
        for key, variant in figures["variants"].items()
    ]
    table = Table.of(("", *(f"`{skill}`" for skill in skills)), rows)
    return Page(PAGE, "Training", note, (table,), "sfv bench ablations", MARKS)


def _ends(figures: Figures, key: str, skill: str) -> np.ndarray:
    """Normalized return and success (2, R) of the runs of a variant on a skill."""
    if "finals" not in figures:  # of an earlier version
        return np.array([rows[-1][1:] for rows in figures["curves"][key][skill].values()]).T
    runs = figures["finals"][key][skill].values()
    return np.array([[run["normalized_return_sfv"], run["success_rate"]] for run in runs]).T


def _cell(ends: np.ndarray, others: np.ndarray) -> str:
    """Of the runs' ends (2, R), beside the returns (R',) of the recipe's runs."""
    returns, success = ends
    text = f"{returns.mean():.3f} ({returns.min():.3f}–{returns.max():.3f})"
    apart = returns.min() > others.max() or returns.max() < others.min()
    return (f"**{text}**" if apart and len(returns) > 1 else text) + f", {success.mean():.2f}"


def write_docs(figures: Figures, docs: Path) -> None:
    """``training.json``, and the table between the marks of ``training.md``.

    Raises:
        SFVError: the page has no marks.
        OutputError: something cannot be written.
    """
    write_json(docs / FIGURES, figures)
    page(figures).write(docs)


def ablations(
    ablation: Annotated[
        list[str] | None,
        typer.Option(help="Only this one beside the recipe; several times for more."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs/ablations"),
    docs: Annotated[Path, typer.Option(help="Folder of training.md and training.json.")] = Path(
        "out/training"
    ),
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.", min=1)] = 3,
    samples: Annotated[
        int | None, typer.Option(help="Control steps of each run; as in ablations.yml.", min=1)
    ] = None,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Ablations of training; the same command goes on where it was stopped."""
    study = Study.read()
    if ablation:
        study = study.only(ablation)
    if samples:
        study = Study(study.skills, samples, study.variants)
    console = Console(stderr=True)
    kept = "every run has a checkpoint"
    with interruptible(console, kept), make_executor(executor, workers, address) as chosen:
        figures = measure(study, out, seeds=seeds, executor=chosen, console=console)
    write_docs(figures, docs)
    Console().print(f"{docs / PAGE}: {len(study.variants)} ways to train, {seeds} seeds")
