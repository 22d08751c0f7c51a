"""Algorithms are found by name, and a wrong one is named."""

import json
import re
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from sfv_gym.benchmarks import algorithms
from sfv_gym.benchmarks.algorithms import BUILT_IN, find_algorithm
from sfv_gym.benchmarks.cli import app
from sfv_gym.benchmarks.results import FAILED, FINISHED, RunSpec
from sfv_gym.benchmarks.run import execute
from sfv_gym.benchmarks.sb3_agent import SB3Agent, load_settings
from sfv_gym.benchmarks.suites import SUITES, get_suite
from sfv_gym.cli.main import main
from sfv_gym.errors import AlgorithmError, MissingExtraError, SFVError

AGENTS = Path(__file__).parent / "bench_agents.py"
SUITE, TASK = "SFV-Quick-v2", "SFV-Punch-v0"

pytestmark = pytest.mark.usefixtures("short_videos")


def spec(folder: Path, maker: str, steps: int = 512) -> RunSpec:
    name = maker if maker in BUILT_IN else "theirs"
    found = maker if maker in BUILT_IN else f"{AGENTS}:{maker}"
    return RunSpec(SUITE, TASK, name, found, 3, steps, 4, str(folder))


def run(folder: Path, maker: str, steps: int = 512) -> dict:
    result = execute(spec(folder, maker, steps), lambda samples, score: None)
    return json.loads(json.dumps(result))


def test_an_algorithm_of_thirty_lines_runs_and_leaves_a_whole_result(tmp_path):
    result = run(tmp_path, "make_agent")
    assert result["status"] == FINISHED
    assert [point["samples"] for point in result["curve"]] == [128, 256, 384, 512]
    seconds = [point["seconds"] for point in result["curve"]]
    assert 0 < seconds[0] < seconds[-1] <= result["seconds"] < result["total_seconds"]
    assert result["score"] == result["evaluation"]["normalized_return"] > 0.1
    assert result["samples"] == 512 and result["num_envs"] == 8
    assert result["suite_hash"] == get_suite(SUITE).content_hash()
    assert {"python", "mujoco", "numpy"} <= set(result["versions"])
    assert len(result["motion_hash"]) == 16 and result["machine"]["cores"] >= 1


def test_the_same_seed_gives_the_same_result(tmp_path):
    first, again = (run(tmp_path / name, "make_agent") for name in ("a", "b"))
    for key in ("score", "evaluation", "samples"):
        assert first[key] == again[key]
    for one, other in zip(first["curve"], again["curve"], strict=True):
        assert {**one, "seconds": 0} == {**other, "seconds": 0}


@pytest.mark.parametrize(
    ("maker", "message"),
    [
        ("make_raises", "theirs: ZeroDivisionError: the gradient is gone"),
        ("make_nan", "theirs: 8 of 8 actions hold NaN"),
        ("make_shape", r"theirs: actions must have shape \(8, 28\), they have \(8, 27\)"),
        ("make_predicts_nan", "theirs: predict: .*NaN"),
        ("make_predicts_one", r"theirs: predict: actions must have shape \(128, 28\)"),
        ("make_endless", "theirs: has learned from .* the budget is 512"),
    ],
)
def test_what_an_algorithm_does_wrong_is_its_result(tmp_path, monkeypatch, maker, message):
    monkeypatch.setattr("sfv_gym.benchmarks.run.OVERSHOOT", 200)
    if maker.startswith("make_predicts"):  # else the curve's episodes come first
        monkeypatch.setattr("sfv_gym.benchmarks.run._Recorder.after_step", lambda *a: None)
    result = run(tmp_path, maker)
    assert result["status"] == FAILED
    assert result["error"]["blame"] == "algorithm"
    assert re.search(message, result["error"]["message"])
    assert "Traceback" in result["error"]["traceback"]


def test_a_full_disk_is_not_the_algorithm_s_fault(tmp_path):
    result = run(tmp_path, "make_disk")
    assert result["error"]["blame"] == "machine"
    assert "No space left" in result["error"]["message"]


def test_an_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(AlgorithmError, match=r"pppo: .*known: ppo.*my_module:make_agent"):
        find_algorithm("pppo")


def test_a_missing_package_names_the_extra(monkeypatch):
    def missing(name):
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(algorithms.importlib, "import_module", missing)
    for name, extra in (("sbx-ppo", "sbx"), ("trpo", "bench"), ("sac", "bench")):
        with pytest.raises(MissingExtraError, match=rf"{name} needs .*sfv-gym\[{extra}\]"):
            find_algorithm(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no_such_module:make_agent", "ModuleNotFoundError"),
        ("no_such_file.py:make_agent", "there is no file"),
        (f"{AGENTS}:make_toast", "AttributeError"),
        (f"{AGENTS}:no_function", "is not a function"),
    ],
)
def test_a_module_that_cannot_be_used_is_named(text, message):
    with pytest.raises(AlgorithmError, match=message):
        find_algorithm(text)


def test_an_object_without_the_methods_is_refused(tmp_path):
    result = run(tmp_path, "make_nothing")
    assert "lacks one of the methods" in result["error"]["message"]


def test_a_module_in_the_working_folder_is_found(tmp_path, monkeypatch):
    (tmp_path / "own_agent_of_the_test.py").write_text(AGENTS.read_text())
    monkeypatch.chdir(tmp_path)
    found = find_algorithm("own_agent_of_the_test:make_agent")
    assert found.name == "own_agent_of_the_test"
    assert find_algorithm(f"{AGENTS}:make_slow").name == "bench_agents.make_slow"


def test_entry_points_are_found_by_their_name(monkeypatch):
    own = metadata.EntryPoint("climb", "bench_agents:make_agent", algorithms.GROUP)
    monkeypatch.syspath_prepend(str(AGENTS.parent))
    monkeypatch.setattr(algorithms.metadata, "entry_points", lambda group: [own])
    found = find_algorithm("climb")
    agent = found.make(get_suite(SUITE), get_suite(SUITE).tasks[0])
    assert found.name == "climb" and type(agent).__name__ == "Climber"


# --- Stable-Baselines3's kind --------------------------------------------------------------------

OFF_POLICY = {
    "num_envs": 8,
    "learning_starts": 64,
    "batch_size": 32,
    "train_freq": 4,
    "hidden": [8],
}
TINY = {
    "ppo": {"num_envs": 8, "n_steps": 16, "batch_size": 64, "n_epochs": 1, "hidden": [8]},
    "a2c": {"num_envs": 8, "n_steps": 4, "hidden": [8]},
    "trpo": {"num_envs": 8, "n_steps": 16, "batch_size": 64, "hidden": [8]},
    "sac": OFF_POLICY,
    "td3": OFF_POLICY,
    "tqc": OFF_POLICY,
    "ars": {"n_delta": 2, "n_top": 1},
}


@pytest.fixture
def tiny(monkeypatch):
    """The shipped settings, made small."""
    from sfv_gym.benchmarks import sb3_agent

    shipped = sb3_agent.load_settings

    def load(name, suite, task):
        return {**shipped(name, suite, task), **TINY[name]}

    monkeypatch.setattr(sb3_agent, "load_settings", load)


@pytest.mark.parametrize("name", TINY)
def test_every_algorithm_of_stable_baselines3_learns_something(tmp_path, tiny, name):
    result = run(tmp_path, name, steps=256)
    assert result["status"] == FINISHED, result["error"]["traceback"]
    assert result["samples"] >= 256 and len(result["curve"]) >= 1
    assert 0.0 < result["score"] < 1.0
    package = "sb3_contrib" if name in ("trpo", "tqc", "ars") else "stable_baselines3"
    assert package in result["versions"]


@pytest.mark.parametrize("name", ["ppo", "sac"])
def test_a_run_goes_on_from_its_checkpoint(tmp_path, tiny, name):
    """As after a kill: a new agent, the folder of the old one, a longer budget."""
    first = run(tmp_path, name, steps=512)
    checkpoint = max(tmp_path.glob("checkpoint-*"))
    reached = int(checkpoint.name.split("-")[1])
    assert 256 < reached <= 512
    longer = run(tmp_path, name, steps=1024)
    assert longer["status"] == FINISHED, longer["error"]["traceback"]
    assert longer["resumed_at"] == [reached]
    kept = [point for point in first["curve"] if point["samples"] <= reached]
    assert longer["curve"][: len(kept)] == kept
    assert 1024 <= longer["samples"] < 1024 + 512


def test_settings_are_data_for_every_algorithm_and_suite():
    for name in BUILT_IN:
        for suite in SUITES:
            settings = load_settings(name, suite, suite.tasks[0])
            assert settings["num_envs"] >= 1
            # YAML 1.1 reads 5e-4 as text
            assert not any(
                isinstance(value, str)
                for key, value in settings.items()
                if key not in ("policy", "ent_coef")
            ), name


def test_ppo_has_the_settings_of_training():
    from sfv_gym.train.config import PPOConfig

    suite = get_suite("SFV-Quick")
    settings = load_settings("ppo", suite, suite.tasks[0])
    config = PPOConfig.for_env(suite.tasks[0].env_id)
    assert settings["n_steps"] == config.n_steps and settings["gamma"] == config.gamma


def test_settings_for_a_suite_that_is_not_there_are_refused(monkeypatch, tmp_path):
    folder = tmp_path / "hyperparams"
    folder.mkdir()
    (folder / "a2c.yml").write_text("default: {num_envs: 2}\nSFV-Quick: {num_envs: 4}\n")
    monkeypatch.setattr("sfv_gym.benchmarks.sb3_agent.resources.files", lambda name: tmp_path)
    suite = get_suite("SFV-Quick")
    assert load_settings("a2c", suite, suite.tasks[0])["num_envs"] == 4
    assert load_settings("a2c", get_suite("SFV-10"), suite.tasks[0])["num_envs"] == 2
    (folder / "a2c.yml").write_text("default: {num_envs: 2}\nSFV-Quik: {num_envs: 4}\n")
    with pytest.raises(SFVError, match="there is no suite SFV-Quik"):
        load_settings("a2c", suite, suite.tasks[0])


def test_predict_before_learn_is_a_mistake_in_the_program():
    from stable_baselines3 import A2C

    with pytest.raises(AssertionError, match="learn comes first"):
        SB3Agent(A2C, {}).predict(np.zeros((1, 147)))


def test_the_list_says_which_extra_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sbx", None)  # as if it were not installed
    result = CliRunner().invoke(app, ["algorithms"])
    assert result.exit_code == 0
    assert "sfv-gym[sbx]" in "".join(result.output.split())


def test_an_error_is_printed_with_its_brackets(monkeypatch, capsys):
    """Square brackets are markup to rich."""
    monkeypatch.setitem(sys.modules, "sbx", None)
    arguments = ["sfv", "bench", "run", "--suite", "SFV-Quick", "--algo", "sbx-ppo"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "sfv-gym[sbx]" in "".join(capsys.readouterr().err.split())
