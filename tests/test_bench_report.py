"""Reports from made-up results; the matrix and the push table from policies that ship."""

import base64
import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sfv_gym.benchmarks import plots
from sfv_gym.benchmarks.analysis import analyse
from sfv_gym.benchmarks.report import write_report
from sfv_gym.benchmarks.results import read_results, run_folder
from sfv_gym.benchmarks.rollout_video import ROLLOUT_VIDEO
from sfv_gym.benchmarks.studies import matrix as matrix_module
from sfv_gym.benchmarks.studies.matrix import matrix_overview, matrix_values, measure_matrix
from sfv_gym.benchmarks.studies.matrix import page as matrix_page
from sfv_gym.benchmarks.studies.pushes import (
    DIRECTIONS,
    NeverFallsError,
    PushTrial,
    largest_pushes,
    measure_pushes,
)
from sfv_gym.benchmarks.studies.pushes import page as pushes_page
from sfv_gym.benchmarks.suites import get_suite
from sfv_gym.benchmarks.trained_policies import (
    PolicyFile,
    TrainedPolicy,
    find_policies,
    find_policy,
    measure_policies,
    to_be_measured,
)
from sfv_gym.errors import BenchmarkError, PolicyError, UnknownIdError
from sfv_gym.files import write_json
from sfv_gym.jobs.job import Reporter

ROOT = Path(__file__).resolve().parent.parent
SUITE = get_suite("SFV-Quick")
BUDGET = {"steps": 1000, "evaluations": 4}


def result(task: str, algorithm: str, seed: int, score: float) -> dict:
    samples = [250, 500, 750, 1000]
    return {
        "format": 1,
        "status": "finished",
        "suite": SUITE.name,
        "suite_hash": SUITE.content_hash(),
        "task": task,
        "motion_hash": f"motion of {task}",
        "algorithm": algorithm,
        "seed": seed,
        "budget": BUDGET,
        "machine": {"cpu": "a processor", "cores": 2},
        "versions": {"mujoco": "4.0.0"},
        "revision": "abc",
        "score": score,
        "evaluation": {
            "normalized_return": score,
            "success_rate": 0.5,
            "success_interval": [0.4, 0.6],
        },
        "samples": 1000,
        "seconds": 120.0,
        "curve": [
            {"samples": n, "seconds": 0.12 * n, "normalized_return": score * n / 1000}
            for n in samples
        ],
    }


def failed(task: str, algorithm: str, seed: int, blame: str) -> dict:
    error = {"blame": blame, "message": f"{algorithm}: a|b", "type": "E", "traceback": ""}
    whole = result(task, algorithm, seed, 0.0)
    for key in ("score", "evaluation", "samples", "seconds", "curve"):
        del whole[key]
    return {**whole, "status": "failed", "error": error}


@pytest.fixture
def made():
    """Three seeds of two algorithms on three tasks; ``good`` is 0.2 better everywhere."""
    rng = np.random.default_rng(0)
    return [
        result(task.name, name, seed, round(base + 0.1 * i + rng.normal(0, 0.02), 4))
        for i, task in enumerate(SUITE.tasks)
        for name, base in (("good", 0.5), ("bad", 0.3))
        for seed in range(3)
    ]


def put(folder, results) -> None:
    for one in results:
        path = folder / "results" / one["task"] / one["algorithm"] / f"{one['seed']}.json"
        write_json(path, one)


def test_figures_are_those_of_the_scores(made):
    analysis = analyse(made)
    good, bad = analysis.algorithms
    assert (good.name, bad.name) == ("good", "bad")
    assert good.scores.shape == (3, 3)
    scores = [r["score"] for r in made if r["algorithm"] == "good"]
    assert good.aggregates["mean"].value == pytest.approx(np.mean(scores))
    assert good.aggregates["optimality_gap"].value == pytest.approx(1 - np.mean(scores))
    assert good.curve.value[-1] == pytest.approx(good.aggregates["iqm"].value)
    np.testing.assert_allclose(good.seconds, [30, 60, 90, 120])
    assert analysis.better["good", "bad"].value == 1.0
    assert analysis.better["bad", "good"].high == 0.0


def test_a_run_that_its_algorithm_broke_counts_zero(made):
    task = SUITE.tasks[0].name
    made = [r for r in made if (r["task"], r["algorithm"], r["seed"]) != (task, "good", 1)]
    analysis = analyse([*made, failed(task, "good", 1, "algorithm")])
    good = next(one for one in analysis.algorithms if one.name == "good")
    assert good.scores[1, 0] == 0.0 and good.seeds == (0, 1, 2)
    analysis = analyse([*made, failed(task, "good", 1, "machine")])
    good = next(one for one in analysis.algorithms if one.name == "good")
    assert good.seeds == (0, 2) and len(analysis.failures) == 1


def test_an_algorithm_without_a_complete_seed_is_left_out_by_name(made):
    analysis = analyse([*made, result(SUITE.tasks[0].name, "late", 0, 0.9)])
    assert [one.name for one in analysis.algorithms] == ["good", "bad"]
    assert analysis.incomplete == ("late",)


def test_the_report_shows_each_algorithm_s_best_run_of_a_task(made, tmp_path):
    put(tmp_path, made)
    task = SUITE.tasks[0].name
    runs = [one for one in made if (one["task"], one["algorithm"]) == (task, "good")]
    for one in runs[:2]:  # the third left none
        path = run_folder(tmp_path, task, "good", one["seed"]) / ROLLOUT_VIDEO
        path.parent.mkdir(parents=True)
        path.write_bytes(f"video of seed {one['seed']}".encode() * 100)
    best = max(runs[:2], key=lambda one: one["score"])
    page = write_report(tmp_path).read_text()
    shown = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    assert len(shown) == 1 and base64.b64decode(shown[0]).startswith(
        f"video of seed {best['seed']}".encode()
    )
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert f"![{task}, good" in (tmp_path / "report.md").read_text()


def test_the_report_is_whole_and_loads_nothing(made, tmp_path):
    put(tmp_path, [*made, failed(SUITE.tasks[0].name, "late", 0, "algorithm")])
    page = write_report(tmp_path, leaderboard=tmp_path / "docs" / "board.md")
    html = page.read_text()
    assert html.count("<svg") == 5 and "</html>" in html
    assert not re.search(r'(?:src|href)="(?!#)', html)  # a picture's parts may refer to each other
    assert "good beats bad" in html and "late: a|b" in html
    text = (tmp_path / "report.md").read_text()
    assert "late: a\\|b" in text
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (tmp_path / target).stat().st_size > 1000
    board = (tmp_path / "leaderboard.md").read_text()
    assert board == (tmp_path / "docs" / "board.md").read_text()
    assert board.index("| good |") < board.index("| bad |")
    assert re.search(r"\| good \| 0\.\d{3} \[0\.\d+, 0\.\d+\]", board)
    rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert len(rows) == 19 and {row["status"] for row in rows} == {"finished", "failed"}
    assert (rows[0]["success_interval_low"], rows[0]["success_interval_high"]) == ("0.4", "0.6")
    assert len(list(csv.DictReader((tmp_path / "curves.csv").read_text().splitlines()))) == 18 * 4


def test_the_same_results_give_the_same_report(made, tmp_path):
    put(tmp_path, made)
    first = write_report(tmp_path, tmp_path / "a").read_text()
    assert first == write_report(tmp_path, tmp_path / "b").read_text()


def test_one_seed_has_no_interval(made, tmp_path):
    put(tmp_path, [one for one in made if one["seed"] == 0])
    write_report(tmp_path)
    board = (tmp_path / "leaderboard.md").read_text()
    assert re.search(r"\| good \| 0\.\d{3} \| 0\.\d{3} \|", board)


def test_other_contents_of_a_suite_are_refused(made):
    with pytest.raises(BenchmarkError, match="other contents of SFV-Quick-v2"):
        analyse([{**one, "suite_hash": "0"} for one in made])


def test_mixed_versions_are_refused_before_anything_is_written(made, tmp_path):
    put(tmp_path, [*made[:-1], {**made[-1], "suite": "SFV-Quick-v3"}])
    with pytest.raises(BenchmarkError, match="different suites"):
        write_report(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results"]
    with pytest.raises(BenchmarkError):
        read_results(tmp_path)


# --- policies ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def walker() -> TrainedPolicy:
    return find_policy("SFV-Walk-v0")


def test_a_policy_of_flat_ground_plays_on_other_ground_and_the_reverse(walker):
    rng = np.random.default_rng(0)
    seen = rng.normal(size=(3, 147)).astype(np.float32)
    rough = np.concatenate((seen, rng.normal(size=(3, 65)).astype(np.float32)), axis=1)
    np.testing.assert_array_equal(walker.predict(seen), walker.predict(rough))
    policy = walker.policy
    weight = np.pad(policy.layers[0][0], ((0, 0), (0, 65)), constant_values=0.5)
    wide = replace(
        policy,
        mean=np.pad(policy.mean, (0, 65)),
        std=np.pad(policy.std, (0, 65), constant_values=1.0),
        layers=[(weight, policy.layers[0][1]), *policy.layers[1:]],
    )
    on_flat = TrainedPolicy("wide", "SFV-Walk-Slopes-v0", wide).predict(seen)
    np.testing.assert_allclose(on_flat, walker.predict(seen), atol=1e-6)


def test_policies_are_found_by_id_and_by_file(walker, tmp_path):
    path = tmp_path / "mine.safetensors"
    walker.policy.save(path)
    found = find_policy(str(path))
    assert (found.name, found.env_id) == ("mine.safetensors", "SFV-Walk-v0")
    replace(walker.policy, card={}).save(path)
    with pytest.raises(PolicyError, match="does not say which environment"):
        find_policy(str(path))
    with pytest.raises(PolicyError, match="no policy ships"):
        find_policy("SFV-Walk-Beam-v0")
    with pytest.raises(UnknownIdError):
        find_policy("SFV-Wakl-v0")
    assert {"SFV-Walk-v0", "SFV-Backflip-v0"} <= {one.env_id for one in find_policies(None)}


def test_the_matrix_holds_every_cell_and_hard_ground_is_harder(walker, tmp_path):
    found = measure_matrix([walker], terrains=["flat", "gaps"], difficulties=[0.0, 1.0], episodes=4)
    found = json.loads(json.dumps(found))
    values = matrix_values(found, found["policies"][0], "normalized_return")
    assert values.shape == (2, 2) and np.isfinite(values).all()
    assert values[0, 0] == values[0, 1] > values[1, 1]  # flat ground has no difficulty
    for cell in found["policies"][0]["cells"]:
        low, high = cell["success_interval"]
        assert low <= cell["success_rate"] <= high
        low, high = cell["normalized_return_interval"]
        assert low <= cell["normalized_return"] <= high
    text = matrix_page(found).markdown()
    assert "| gaps | " in text and text.count("[") >= 4
    shown = plots.svg(lambda: matrix_overview(found), "matrix").decode()
    assert "SFV-Walk-v0" in shown and "gaps" in shown
    with pytest.raises(UnknownIdError, match="unknown terrain 'moon'"):
        measure_matrix([walker], terrains=["moon"])


def test_a_gentle_push_is_survived_and_a_huge_one_is_not(walker):
    angle = DIRECTIONS["side"]
    trial = PushTrial(walker, num_episodes=4, seed=0)
    assert trial.survives(0.0, angle).mean() >= 0.75
    assert not trial.survives(20_000.0, angle).any()
    forces = largest_pushes(trial, angle, step=400.0, most=2000.0)
    assert set(forces) <= {0.0, 400.0, 800.0, 1200.0, 1600.0, 2000.0}
    # what was played before does not matter
    anew = PushTrial(walker, num_episodes=4, seed=0)
    np.testing.assert_array_equal(forces, largest_pushes(anew, angle, step=400.0, most=2000.0))
    force = float(forces.max()) + 400.0
    fresh = PushTrial(walker, num_episodes=4, seed=0)
    np.testing.assert_array_equal(trial.survives(force, angle), fresh.survives(force, angle))


def test_pushes_make_a_table_and_appear_in_the_report(made, walker, tmp_path):
    flip = find_policy("SFV-Backflip-v0")
    found = measure_pushes([flip], step=500.0, most=1000.0, episodes=4)
    low, high = found["policies"][0]["front"]["interval"]
    assert low <= found["policies"][0]["front"]["median"] <= high
    put(tmp_path, made)
    write_json(tmp_path / "pushes.json", found)
    matrix = measure_matrix([flip], terrains=["flat"], difficulties=[0.0], episodes=2)
    write_json(tmp_path / "matrix.json", matrix)
    html = write_report(tmp_path).read_text()
    assert "Largest push survived" in html and html.count("<svg") == 7


def test_a_skill_on_the_ground_cannot_be_pushed_over(walker):
    lying = replace(walker, name="lying", env_id="SFV-GetUpFaceUp-v0")
    with pytest.raises(NeverFallsError, match="goes to the ground"):
        PushTrial(lying, num_episodes=2, seed=0)
    found = measure_pushes([lying], step=500.0, most=500.0, episodes=2)
    assert found["policies"][0]["front"] is None
    assert "| lying | on the ground itself |" in pushes_page(found).markdown()


def test_a_measurement_goes_on_and_measures_only_what_is_new(walker, tmp_path, monkeypatch):
    file, asked = tmp_path / "rows.json", []

    def measure(policy: PolicyFile, reporter: Reporter):
        asked.append(policy.name)
        assert policy.load().policy.content_hash() == walker.policy.content_hash()
        if policy.name == "broken":
            raise KeyboardInterrupt
        return {"figure": float(len(asked))}

    monkeypatch.setattr(matrix_module, "measure_for_test", measure, raising=False)

    def rows(names, settings):
        policies = [replace(walker, name=name) for name in names]
        function = "sfv_gym.benchmarks.studies.matrix:measure_for_test"
        found = measure_policies(policies, function, lambda policy: policy, settings, file=file)
        return found["policies"]

    with pytest.raises(KeyboardInterrupt):
        rows(["a", "b", "broken"], {"episodes": 2})
    assert [row["policy"] for row in json.loads(file.read_text())["policies"]] == ["a", "b"]
    found = rows(["new", "a", "b"], {"episodes": 2})
    assert asked == ["a", "b", "broken", "new"]
    assert [row["figure"] for row in found] == [4.0, 1.0, 2.0]
    assert json.loads(file.read_text())["policies"] == found

    changed = replace(walker.policy, mean=walker.policy.mean + 1)
    assert changed.content_hash() != walker.policy.content_hash()
    walker = replace(walker, policy=changed)
    assert rows(["a"], {"episodes": 2})[0]["figure"] == 5.0  # other weights
    assert rows(["a"], {"episodes": 3})[0]["figure"] == 6.0  # other settings
    assert len(asked) == 6


@pytest.mark.parametrize("name", ["matrix.json", "pushes.json"])
def test_no_committed_figures_are_of_a_policy_that_has_changed(name):
    """`sfv bench matrix` and `sfv bench pushes` make what is missing."""
    found = json.loads((ROOT / "benchmarks/baselines/policies" / name).read_text())
    missing = to_be_measured(found)
    shown = {row["policy"] for row in found["policies"]}
    assert not shown & set(missing)
    assert shown | set(missing) == {policy.name for policy in find_policies(None)}
