"""The results page: figures come from its JSON, pictures from the policies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("stable_baselines3")

from typer.testing import CliRunner

from sfv_gym.benchmarks.cli import app
from sfv_gym.benchmarks.policies import page, shipped, stale
from sfv_gym.evaluation import evaluate
from sfv_gym.library import library_clips
from sfv_gym.policy import load_policy, policies_folder
from sfv_gym.registry import make_id
from sfv_gym.train.runs import POLICY

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture(scope="module")
def committed():
    return json.loads((DOCS / "results.json").read_text())


def test_the_committed_page_is_that_of_the_committed_figures(committed):
    assert (DOCS / "results.md").read_text() == page(committed)


def test_every_shipped_policy_is_on_the_page_with_figures_of_its_motion(committed):
    assert list(committed) == shipped(policies_folder())
    assert stale(committed) == []
    for env_id in committed:
        assert (DOCS / "results" / f"{env_id}.webp").is_file(), env_id


@pytest.mark.parametrize("env_id", ["SFV-Walk-v0", "SFV-Backflip-v0", "SFV-Cartwheel-v0"])
def test_figures_come_again_with_another_seed(committed, env_id):
    figures = evaluate(load_policy(env_id).predict, env_id, seed=77)
    shown = committed[env_id]["first_frame"]
    assert figures.normalized_return == pytest.approx(shown["normalized_return"], abs=0.05)
    assert figures.normalized_return_sfv == pytest.approx(shown["normalized_return_sfv"], abs=0.05)


def test_page_shows_the_figures_and_names_the_failures(committed):
    env_id = next(iter(committed))
    record = json.loads(json.dumps(committed[env_id]))
    record["first_frame"]["success_rate"] = 0.25
    record["first_frame"]["normalized_return_sfv"] = 0.4321
    text = page({env_id: record})
    assert "| 0.432 |" in text and "0.25 /" in text
    assert "success of at least 0.9 on 0" in text


def test_every_skill_without_a_policy_is_named_with_a_reason(committed):
    text = page(committed)
    for clip in library_clips():
        env_id = make_id(clip.skill)
        name = env_id.removeprefix("SFV-").removesuffix("-v0")
        listed = f"* **{name}**: " in text.partition("## Not learned")[2]
        assert listed == (env_id not in committed), name
    assert "not tried" not in text


def test_one_policy_is_measured_and_drawn_into_an_empty_folder(tmp_path):
    env_id = "SFV-Backflip-v0"
    arguments = ["policies", env_id, "--docs", str(tmp_path), "--episodes", "2"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    records = json.loads((tmp_path / "results.json").read_text())
    assert list(records) == [env_id]
    assert records[env_id]["first_frame"]["episodes"] == 2
    assert records[env_id]["rsi"]["start"] == "rsi"
    text = (tmp_path / "results.md").read_text()
    assert "0.741" in text  # the paper's backflip
    for picture in (f"results/{env_id}.webp", "images/results_sheet.webp"):
        assert picture in text and (tmp_path / picture).stat().st_size > 1000
    assert (tmp_path / "results" / f"{env_id}.webp").stat().st_size < 200_000


def test_a_policy_that_does_not_ship_is_refused(tmp_path):
    result = CliRunner().invoke(app, ["policies", "SFV-Nothing-v0", "--docs", str(tmp_path)])
    assert result.exit_code != 0 and "SFV-Nothing-v0" in str(result.exception)


def test_a_run_of_another_seed_is_set_beside_the_shipped_policy_and_kept(tmp_path):
    env_id, run = "SFV-Backflip-v0", tmp_path / "run"
    policy = load_policy(env_id)
    run.mkdir()
    policy.card = {**policy.card, "seed": 7}
    policy.save(run / POLICY)
    arguments = ["policies", env_id, "--docs", str(tmp_path), "--episodes", "2", "--no-pictures"]
    result = CliRunner().invoke(app, [*arguments, "--again", str(run)])
    assert result.exit_code == 0, result.output
    again = json.loads((tmp_path / "results.json").read_text())[env_id]["again"]
    assert [row["training"]["seed"] for row in again] == [7]
    text = (tmp_path / "results.md").read_text()
    assert "## From another seed" in text and "| 7 | +0.000 |" in text
    CliRunner().invoke(app, arguments)  # measures the shipped one anew
    assert json.loads((tmp_path / "results.json").read_text())[env_id]["again"] == again

    policy.card["seed"] = load_policy(env_id).card["seed"]
    policy.save(run / POLICY)
    result = CliRunner().invoke(app, [*arguments, "--from-json", "--again", str(run)])
    assert result.exit_code != 0 and "seed 0, too" in str(result.exception)
