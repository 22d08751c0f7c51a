"""Ablations of training: the runs, and the table that is made of them."""

import io
import json

import pytest
from rich.console import Console

from sfv_gym.benchmarks.studies.ablations import MARKS, Study, Variant, measure, page, write_docs
from sfv_gym.errors import SFVError, UnknownIdError
from sfv_gym.jobs.local import InlineExecutor
from sfv_gym.train.config import PPOConfig

SKILL = "SFV-Punch-v0"
TINY = {"num_envs": 8, "n_steps": 16, "batch_size": 64, "n_epochs": 1, "hidden": [8]}


def figures(recipe: list[float], other: list[float]) -> dict:
    """Made-up figures: the last normalized return of each seed."""

    def runs(returns):
        return {str(seed): [[500, 0.1, 0.0], [1000, r, 0.5]] for seed, r in enumerate(returns)}

    names = {"recipe": {"name": "the recipe"}, "other": {"name": "another way"}}
    curves = {"recipe": {SKILL: runs(recipe)}, "other": {SKILL: runs(other)}}
    return {"samples": 1000, "motions": {SKILL: "hash"}, "variants": names, "curves": curves}


def test_every_ablation_is_a_change_of_the_recipe():
    study = Study.read()
    assert study.variants[0].key == "recipe" and not study.variants[0].settings
    for env_id in study.skills:
        recipe = PPOConfig.for_env(env_id)
        for variant in study.variants[1:]:
            assert PPOConfig.for_env(env_id, **variant.settings) != recipe, variant.key
    assert [v.key for v in study.only(["narrow_noise"]).variants] == ["recipe", "narrow_noise"]
    with pytest.raises(UnknownIdError, match="no ablation nonsense"):
        study.only(["nonsense"])


@pytest.mark.usefixtures("few_episodes")
def test_runs_are_made_once_and_their_curves_gathered(tmp_path):
    variants = (
        Variant("recipe", "the recipe", TINY),
        Variant("slow", "slow", {**TINY, "learning_rate": 1e-6}),
    )
    study = Study((SKILL,), 384, variants)

    def run() -> tuple[dict, str]:
        console = Console(file=io.StringIO(), width=200)
        found = measure(study, tmp_path, seeds=1, executor=InlineExecutor(), console=console)
        return found, console.file.getvalue()

    first, _ = run()
    again, said = run()
    assert first == again and said.count("was finished before") == 2
    faster = Study((SKILL,), 384, (Variant("recipe", "the recipe", {**TINY, "gamma": 0.9}),))
    quiet = Console(file=io.StringIO())
    with pytest.raises(SFVError, match="other settings"):
        measure(faster, tmp_path, seeds=1, executor=InlineExecutor(), console=quiet)
    ((samples, value, _),) = first["curves"]["slow"][SKILL]["0"]
    assert samples == 384 and 0.0 < value < 1.0
    assert value != first["curves"]["recipe"][SKILL]["0"][0][1]
    assert "slow | 0." in page(first).body()


def test_a_difference_is_bold_when_no_seed_contradicts_it():
    assert "**0.700 (0.600–0.800)**" in page(figures([0.3, 0.5], [0.6, 0.8])).body()
    assert "**" not in page(figures([0.3, 0.7], [0.6, 0.8])).body()
    assert "**" not in page(figures([0.3], [0.6])).body()  # one seed shows nothing


def test_the_table_takes_its_place_on_the_page(tmp_path):
    path = tmp_path / "training.md"
    path.write_text(f"before\n{MARKS[0]}\nformer figures\n{MARKS[1]}\nafter\n")
    made = figures([0.3, 0.5], [0.6, 0.8])
    write_docs(made, tmp_path)
    text = path.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "former" not in text and "another way" in text
    assert json.loads((tmp_path / "training.json").read_text()) == made
    path.unlink()
    for _ in range(2):  # the second time it is there
        write_docs(made, tmp_path)
        assert path.read_text().count("another way") == 1
    assert path.read_text().startswith("# Training\n")
