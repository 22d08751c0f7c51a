"""What each choice of the trainer does: the recipe, and the same with one setting otherwise.

``sfv bench choices --docs docs`` trains every variant on a few skills with several seeds, and
writes ``training.json`` and the table in ``training.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
import yaml
from rich.console import Console

from sfv_gym.benchmarks.fingerprint import environment_hash, stream_name
from sfv_gym.benchmarks.machine import describe_machine, versions
from sfv_gym.benchmarks.pages import fill, table_lines
from sfv_gym.envs.vector_env import ImitationVectorEnv
from sfv_gym.errors import SFVError, UnknownIdError
from sfv_gym.files import write_json, write_text
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, evaluate
from sfv_gym.play.policy import Policy
from sfv_gym.registry import find_motion
from sfv_gym.seeds import Purpose, stream

if TYPE_CHECKING:
    from sfv_gym.train.queue import Job

RECIPE = "recipe"
PAGE, FIGURES = "training.md", "training.json"
BEGIN, END = "<!-- written by `sfv bench choices` -->", "<!-- /written -->"
NEVER_EARLY = {"target_evaluations": 0}
"""Every run uses its whole budget: runs of different lengths could not be compared."""

FINAL = "final.json"
"""In a run's folder: what its last policy does."""

Figures = dict[str, Any]


@dataclass(frozen=True)
class Variant:
    """A way to train: ``key`` names its folder, ``settings`` override the recipe's."""

    key: str
    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What is measured: each variant, the recipe first, on each skill."""

    skills: tuple[str, ...]
    samples: int
    variants: tuple[Variant, ...]

    @classmethod
    def read(cls) -> Study:
        """The one in ``choices.yml``."""
        text = resources.files("sfv_gym.benchmarks").joinpath("choices.yml").read_text()
        table = yaml.safe_load(text)
        entries = {RECIPE: table["recipe"], **table["choices"]}
        variants = tuple(Variant(key, e["name"], e["settings"]) for key, e in entries.items())
        return cls(tuple(table["skills"]), int(table["samples"]), variants)

    def only(self, keys: list[str]) -> Study:
        """The recipe and the choices ``keys``.

        Raises:
            UnknownIdError: there is no such choice.
        """
        known = {variant.key: variant for variant in self.variants}
        if unknown := [key for key in keys if key not in known]:
            raise UnknownIdError(
                f"there is no choice {', '.join(unknown)}; there are {', '.join(known)}"
            )
        kept = tuple(v for v in self.variants if v.key in (RECIPE, *keys))
        return Study(self.skills, self.samples, kept)


def measure(
    study: Study, out: Path, *, seeds: int, workers: int | None, console: Console
) -> Figures:
    """Train what is not trained yet in ``out``, and gather the learning curves.

    What a run comes to is what its last policy does in ``PUBLISHED_EPISODES`` episodes that are
    the same for all runs and that no run was chosen by.

    Raises:
        SFVError: a run failed, or one in ``out`` was made with other settings.
    """
    from sfv_gym.train.queue import Job, work_through
    from sfv_gym.train.runs import read_curve

    def jobs() -> Iterator[tuple[Variant, Job]]:
        for seed in range(seeds):  # first one seed of everything: a look at all of it comes early
            for variant in study.variants:
                for env_id in study.skills:
                    folder = out / variant.key / str(seed) / env_id
                    label = f"{env_id} {variant.key} seed {seed}"
                    settings = {**variant.settings, **NEVER_EARLY}
                    yield variant, Job(env_id, folder, label, seed, settings)

    todo = list(jobs())
    for _, job in todo:
        _check_settings(job, study.samples)
    results = work_through(
        [job for _, job in todo], workers=workers, budget=study.samples, console=console
    )
    if failed := [result for result in results if result.outcome == "failed"]:
        raise SFVError(f"{len(failed)} of {len(results)} runs failed: {failed[0].message}")
    curves: dict[str, dict[str, dict[str, Any]]] = {}
    finals: dict[str, dict[str, dict[str, Any]]] = {}
    for variant, job in todo:
        final = _final(job)
        finals.setdefault(variant.key, {}).setdefault(job.env_id, {})[str(job.seed)] = final
        rows = [
            [row["samples"], round(row["normalized_return_sfv"], 4), row["success_rate"]]
            for row in read_curve(job.folder)
        ]
        curves.setdefault(variant.key, {}).setdefault(job.env_id, {})[str(job.seed)] = rows
    return {
        "samples": study.samples,
        "machine": describe_machine(),
        "versions": versions(),
        "motions": {i: find_motion(i).content_hash() for i in study.skills},
        "variants": {v.key: {"name": v.name, "settings": v.settings} for v in study.variants},
        "curves": curves,
        "episodes": PUBLISHED_EPISODES,
        "finals": finals,
    }


def _final(job: Job) -> dict[str, Any]:
    """What the last policy of a run that is over does, kept in the run's folder."""
    from sfv_gym.train.runs import read_json

    policy = _last_policy(job)
    made_of = {
        "policy_hash": policy.content_hash(),
        "environment_hash": environment_hash(job.env_id),
        "stream": stream_name(Purpose.CHOICES),
        "episodes": PUBLISHED_EPISODES,
    }
    kept = read_json(job.folder / FINAL)
    if made_of.items() <= kept.items():
        return kept
    found = evaluate(
        policy.predict, job.env_id, episodes=PUBLISHED_EPISODES, seed=stream(Purpose.CHOICES)
    )
    final = {
        "normalized_return_sfv": round(found.normalized_return_sfv, 4),
        "success_rate": round(found.success_rate, 4),
        **made_of,
    }
    write_json(job.folder / FINAL, final)
    return final


def _last_policy(job: Job) -> Policy:
    """The one in a run's last checkpoint; that in the run's folder is its best."""
    from stable_baselines3.common.vec_env import VecNormalize

    from sfv_gym.envs.sb3 import SB3VecEnv
    from sfv_gym.train.lean_ppo import LeanPPO
    from sfv_gym.train.ppo import export_policy
    from sfv_gym.train.runs import CHECKPOINT

    envs = ImitationVectorEnv(job.env_id, num_threads=1)
    normalized = VecNormalize(SB3VecEnv(envs))
    model = LeanPPO.load(job.folder / CHECKPOINT, env=normalized, device="cpu")
    normalized.obs_rms = model.extra["normalization"]
    policy = export_policy(model, {})
    normalized.close()
    return policy


def _check_settings(job: Job, samples: int) -> None:
    """See that a run that is there already is the one that is wanted: the recipe may have
    changed since, and the queue leaves a run its settings."""
    from sfv_gym.train.config import PPOConfig
    from sfv_gym.train.runs import CONFIG, read_json

    saved = read_json(job.folder / CONFIG).get("ppo")
    wanted = PPOConfig.for_env(job.env_id, steps=samples, **job.settings)
    if saved is not None and PPOConfig.for_env(job.env_id, **saved) != wanted:
        raise SFVError(f"{job.folder} was trained with other settings: choose another --out")


def table(figures: Figures) -> str:
    """Markdown: normalized return and success of each variant on each skill, over the seeds."""
    curves = figures["curves"]
    skills = list(figures["motions"])
    seeds = len(curves[RECIPE][skills[0]])
    finals = figures.get("finals")
    what = (
        "of the last evaluation"
        if finals is None  # of an earlier version
        else f"of the last policy in {figures['episodes']} episodes that no run was chosen by"
    )
    lines = [
        f"Normalized return (`sfv`) and success {what}, after "
        f"{figures['samples']:,} samples, learning rate and noise as in a run of that length: mean "
        f"over {seeds} seeds, and the smallest and largest. In bold, that every seed is on the "
        "same side of every seed of the recipe's.",
        "",
    ]

    def ends(key: str, skill: str) -> np.ndarray:
        """Normalized return and success (2, R) of the runs of a variant on a skill."""
        if finals is None:
            return np.array([rows[-1][1:] for rows in curves[key][skill].values()]).T
        keys = ("normalized_return_sfv", "success_rate")
        runs = finals[key][skill].values()
        return np.array([[run[name] for run in runs] for name in keys])

    rows = [
        (variant["name"], *(_cell(ends(key, skill), ends(RECIPE, skill)[0]) for skill in skills))
        for key, variant in figures["variants"].items()
    ]
    return "\n".join([*lines, *table_lines(["", *(f"`{skill}`" for skill in skills)], rows)])


def _cell(ends: np.ndarray, others: np.ndarray) -> str:
    """Of the runs' ends (2, R), beside the returns (R',) of the recipe's runs."""
    returns, success = ends
    text = f"{returns.mean():.3f} ({returns.min():.3f}–{returns.max():.3f})"
    apart = returns.min() > others.max() or returns.max() < others.min()
    return (f"**{text}**" if apart and len(returns) > 1 else text) + f", {success.mean():.2f}"


def write_docs(figures: Figures, docs: Path) -> None:
    """``training.json``, and the table in ``training.md``: between its marks, or at the end."""
    page = docs / PAGE
    text = page.read_text(encoding="utf-8") if page.is_file() else "# Training\n"
    if BEGIN not in text or END not in text:
        write_text(page, f"{text}\n## Over several seeds\n\n{BEGIN}\n{END}\n")
    write_json(docs / FIGURES, figures)
    fill(page, BEGIN, END, table(figures))


def choices(
    choice: Annotated[
        list[str] | None,
        typer.Option(help="Only this one beside the recipe; several times for more."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the runs.")] = Path("runs/choices"),
    docs: Annotated[Path, typer.Option(help="Folder of training.md and training.json.")] = Path(
        "out/training"
    ),
    seeds: Annotated[int, typer.Option(help="How many seeds, from 0 on.", min=1)] = 3,
    samples: Annotated[
        int | None, typer.Option(help="Control steps of each run; as in choices.yml.", min=1)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Runs side by side; one for each core by default.", min=1)
    ] = None,
) -> None:
    """What each choice of the trainer does; the same command goes on where it was stopped."""
    study = Study.read()
    if choice:
        study = study.only(choice)
    if samples:
        study = Study(study.skills, samples, study.variants)
    console = Console(stderr=True)
    figures = measure(study, out, seeds=seeds, workers=workers, console=console)
    write_docs(figures, docs)
    Console().print(f"{docs / PAGE}: {len(study.variants)} ways to train, {seeds} seeds")
