"""The results page: figures come from its JSON, pictures from the policies."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

from typer.testing import CliRunner

from sfv_gym.benchmarks.cli import app
from sfv_gym.benchmarks.studies.policies import measure as measuring
from sfv_gym.benchmarks.studies.policies import targets
from sfv_gym.benchmarks.studies.policies.cards import known_origin, write_card
from sfv_gym.benchmarks.studies.policies.measure import measure_all, shipped, stale
from sfv_gym.benchmarks.studies.policies.page import README, Notes, page, readme, remark
from sfv_gym.errors import SFVError
from sfv_gym.jobs.local import LocalExecutor
from sfv_gym.library import library_clips
from sfv_gym.play.evaluation import PUBLISHED_EPISODES, evaluate
from sfv_gym.play.policy import Policy, load_policy, policies_folder
from sfv_gym.registry import make_id
from sfv_gym.train.runs import POLICY

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def committed():
    return json.loads((DOCS / "results.json").read_text())


@pytest.fixture
def quick(monkeypatch):
    """Measuring takes no time: made-up figures; gives the ids that were measured."""
    asked = []

    def measure(policy, env_id, episodes):
        asked.append(env_id)
        figures = evaluate(lambda obs: np.zeros((len(obs), 28)), env_id, episodes=2, horizon=5)
        return {
            "made_of": measuring.made_of(policy, env_id, episodes),
            **dict.fromkeys(("first_frame", "rsi", "selection"), figures.as_dict()),
        }

    monkeypatch.setattr(measuring, "measure", measure)
    return asked


@pytest.fixture
def two(tmp_path):
    """A folder with copies of two shipped policies and their cards."""
    folder = tmp_path / "policies"
    folder.mkdir()
    for env_id in TWO:
        for suffix in (".safetensors", ".json"):
            shutil.copy(policies_folder() / f"{env_id}{suffix}", folder)
    return folder


TWO = ("SFV-Backflip-v0", "SFV-Punch-v0")


def test_every_shipped_policy_is_on_the_page_with_figures_of_its_motion(committed):
    assert list(committed) == shipped(policies_folder())
    assert stale(committed, policies_folder()) == [], "run sfv bench policies --docs docs --cards"
    for env_id in committed:
        assert (DOCS / "results" / f"{env_id}.webp").is_file(), env_id


def test_every_card_holds_the_published_figures_inside_the_policy_and_beside_it(committed):
    for env_id, record in committed.items():
        inside = Policy.load(policies_folder() / f"{env_id}.safetensors").card
        beside = json.loads((policies_folder() / f"{env_id}.json").read_text())
        assert {**inside, "curve": beside["curve"]} == beside, env_id
        assert inside["evaluation"] == {**record["first_frame"], "rsi": record["rsi"]}, env_id
        assert inside["selection"] == record["selection"], env_id
        assert inside["evaluation"]["episodes"] == PUBLISHED_EPISODES


def test_a_card_that_began_from_a_policy_says_what_had_gone_into_it():
    for path in policies_folder().glob("*.json"):
        card = json.loads(path.read_text())
        policy = Policy.load(path.with_suffix(".safetensors"))
        if card.get("init"):  # by its own words, or by what `--cards` will put there
            whole = {**card, **known_origin(path.stem, policy)}
            assert whole.get("samples_before", 0) > 0, path.name


def test_the_readme_shows_the_figures_of_the_json(committed):
    text = (ROOT / "README.md").read_text()
    between = text.partition(README[0])[2].partition(README[1])[0]
    for env_id in Notes.read().readme:
        first = committed[env_id]["first_frame"]
        [row] = [line for line in between.splitlines() if line.startswith(f"| `{env_id}`")]
        cells = [cell.strip() for cell in row.split("|")][1:-1]
        shown = [float(number) for number in re.findall(r"\d+\.\d+", cells[2])]
        expected = [first["success_rate"], *(first.get("success_interval") or [])]
        assert shown == pytest.approx(expected, abs=0.005)
        shown = [float(number) for number in cells[3].split("/")]
        expected = [first["normalized_return_sfv"], first["normalized_return"]]
        assert shown == pytest.approx(expected, abs=0.005)
        shown = [float(number) for number in re.findall(r"\d+", cells[5])]
        assert shown == pytest.approx([first["mpjpe_mm"], first["mpjpe_root_mm"]], abs=0.5)


def test_the_readme_counts_the_skills_that_there_are():
    text = (ROOT / "README.md").read_text()
    counts = {int(n) for n in re.findall(r"(\d+)\s+skills", text)}
    assert counts == {len(library_clips())}


def test_remarks_hold_no_figures_of_ours():
    known = Notes.read()
    texts = [note["text"] for note in known.remarks.values()]
    for text in [*texts, *known.unlearned.values()]:
        assert not re.search(r"\d", re.sub(r"\{[^}]*\}", "", text)), text


def test_a_remark_is_of_the_policy_that_was_looked_at(committed):
    env_id = "SFV-Backflip-v0"
    record = {**committed[env_id], "made_of": {"policy_hash": "this"}}
    of_this = {"of": "this", "text": "lands after {mean_seconds:.2f} s"}
    seconds = record["first_frame"]["mean_seconds"]
    assert remark(env_id, record, of_this) == f"lands after {seconds:.2f} s"
    assert remark(env_id, record, {**of_this, "of": "another"}) == ""
    untouched = {"init": "SFV-Walk-v0.safetensors", "samples": 0, "samples_total": 1000}
    record = {**record, "training": untouched}
    said = remark(env_id, record, of_this)
    assert said.startswith("Walk's policy as it is; 1,000 further samples") and "Lands" in said


def test_targets_are_judged_by_the_figures(committed):
    paper = Notes.read().paper

    def judged(success: float, returned: float) -> dict[str, bool | None]:
        low, high = max(success - 0.1, 0.0), min(success + 0.1, 1.0)
        figures = {
            "success_rate": success,
            "success_interval": [low, high],
            "normalized_return_sfv": returned,
            "normalized_return_sfv_interval": [returned - 0.01, returned + 0.01],
        }
        ids = [*committed, "SFV-Crawl-v0", "SFV-Sideflip-v0"]
        records = {env_id: {"first_frame": figures, "made_of": {}} for env_id in ids}
        found = targets.outcomes(records, paper)
        return [one for group in found.values() for one in group]

    assert all(one.met for one in judged(1.0, 0.99))
    assert not any(one.met for one in judged(0.1, 0.1))
    some = judged(0.85, 0.75)
    assert {one.met for one in some} == {True, False}
    assert any(one.figure == "0.85 [0.75, 0.95]" for one in some)
    flat = sum(one.count("-") == 2 for one in {*committed, "SFV-Crawl-v0", "SFV-Sideflip-v0"})
    assert any(f"[0, {flat}]" in one.figure for one in some)  # by lower and upper ends
    text = page(committed).markdown()
    section = text.partition("## What earlier targets say")[2].partition("\n## ")[0]
    every = [one for group in targets.outcomes(committed, paper).values() for one in group]
    assert section.count("| met |") == sum(bool(one.met) for one in every)
    assert len(every) == 19
    assert all(one.met is None for one in targets.outcomes({}, paper)["Humanoid over gaps"])


def test_page_shows_the_figures_and_names_the_failures(committed):
    env_id = next(iter(committed))
    record = json.loads(json.dumps(committed[env_id]))
    record["first_frame"]["success_rate"] = 0.25
    record["first_frame"]["normalized_return_sfv"] = 0.4321
    text = page({env_id: record}).markdown()
    assert "| 0.432 [" in text and "0.25 [" in text
    assert "success of at least 0.9 on 0" in text


def test_every_skill_without_a_policy_is_named_with_a_reason(committed):
    text = page(committed).markdown()
    for clip in library_clips():
        env_id = make_id(clip.skill)
        name = env_id.removeprefix("SFV-").removesuffix("-v0")
        listed = f"* **{name}**: " in text.partition("## Not learned")[2]
        assert listed == (env_id not in committed), name
    assert "not tried" not in text


def test_one_policy_is_measured_and_drawn_into_an_empty_folder(tmp_path):
    env_id = "SFV-Backflip-v0"
    arguments = ["policies", env_id, "--docs", str(tmp_path), "--episodes", "2", "--workers", "1"]
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


def test_what_has_not_changed_is_not_measured_again(two, tmp_path, quick):
    keep = tmp_path / "results.json"
    first = measure_all(TWO, two, {}, keep=keep)
    assert quick == list(TWO) and json.loads(keep.read_text()) == first
    assert measure_all(TWO, two, first) == first
    assert len(quick) == 2

    policy = Policy.load(two / f"{TWO[0]}.safetensors")
    policy.mean = policy.mean + 1  # another policy
    policy.save(two / f"{TWO[0]}.safetensors")
    assert stale(first, two) == [TWO[0]]
    second = measure_all(TWO, two, first)
    assert quick[2:] == [TWO[0]] and list(second) == list(TWO)
    measure_all(TWO, two, second, episodes=64)
    measure_all(TWO, two, second, force=True)
    assert len(quick) == 7
    assert measure_all(TWO, two, {})[TWO[1]] == first[TWO[1]]


def test_a_card_takes_the_figures_inside_and_beside_and_nothing_else(two, quick):
    records = measure_all(TWO, two, {})
    env_id = TWO[0]
    file = two / f"{env_id}.safetensors"
    before, before_beside = Policy.load(file), json.loads(file.with_suffix(".json").read_text())
    assert write_card(two, env_id, records[env_id])
    after, beside = Policy.load(file), json.loads(file.with_suffix(".json").read_text())
    assert after.content_hash() == before.content_hash()
    assert {k for k in after.card if after.card[k] != before.card[k]} == {"evaluation", "selection"}
    assert beside == {**after.card, "curve": before_beside["curve"]}
    assert after.card["evaluation"]["rsi"] == records[env_id]["rsi"]
    assert not write_card(two, env_id, records[env_id])  # it has them
    assert stale(measure_all(TWO, two, records), two) == []


def test_a_card_is_told_what_had_gone_into_the_policy_that_it_began_from(tmp_path, quick):
    env_id = "SFV-StealthyWalk-v0"
    for suffix in (".safetensors", ".json"):
        shutil.copy(policies_folder() / f"{env_id}{suffix}", tmp_path)
    policy = Policy.load(tmp_path / f"{env_id}.safetensors")
    known = known_origin(env_id, policy)
    if not known:
        pytest.skip("another policy ships by now, whose card says it by itself")
    records = measure_all([env_id], tmp_path, {})
    assert known.items() <= records[env_id]["training"].items()
    write_card(tmp_path, env_id, records[env_id])
    assert known.items() <= Policy.load(tmp_path / f"{env_id}.safetensors").card.items()
    policy.mean = policy.mean + 1
    assert known_origin(env_id, policy) == {}


def test_cards_hold_no_quick_look(two, tmp_path):
    arguments = ["policies", "--folder", str(two), "--docs", str(tmp_path / "d"), "--cards"]
    result = CliRunner().invoke(app, [*arguments, "--episodes", "2"])
    assert isinstance(result.exception, SFVError) and "128 episodes" in str(result.exception)


def test_the_table_goes_into_the_readme_beside_the_docs(tmp_path, committed):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "results.json").write_text(json.dumps(committed))
    (tmp_path / "README.md").write_text(f"before\n{README[0]}\nold\n{README[1]}\nafter\n")
    arguments = ["policies", "--from-json", "--no-pictures", "--docs", str(docs)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    text = (tmp_path / "README.md").read_text()
    assert text == f"before\n{README[0]}\n{readme(committed).body()}\n{README[1]}\nafter\n"


def test_processes_give_the_same_as_one(two):
    here = measure_all(TWO, two, {}, episodes=2)
    with LocalExecutor(2) as executor:
        assert measure_all(TWO, two, {}, episodes=2, executor=executor) == here


def test_a_run_of_another_seed_is_set_beside_the_shipped_policy_and_kept(tmp_path):
    env_id, run = "SFV-Backflip-v0", tmp_path / "run"
    policy = load_policy(env_id)
    run.mkdir()
    shown = json.loads((policies_folder() / f"{env_id}.json").read_text())
    policy.card = {**policy.card, "seed": 7, "motion_hash": shown["motion_hash"]}
    policy.save(run / POLICY)
    arguments = ["policies", env_id, "--docs", str(tmp_path), "--episodes", "2", "--no-pictures"]
    arguments += ["--workers", "1"]
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
