"""The command line: exit codes, one clear line for wrong input, JSON on stdout alone."""

import json
import os
import re

import numpy as np
import pytest
from motions import swing

COMMANDS = (
    "demo",
    "doctor",
    "extract",
    "people",
    "import",
    "export",
    "assess",
    "envs",
    "learn",
    "train",
    "train-all",
    "eval",
    "render",
    "play",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(sfv, command):
    code, out, _ = sfv(command, "--help")
    assert code == 0
    assert "Example: sfv" in out


def test_envs_lists_ids(sfv):
    code, out, _ = sfv("envs", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {"SFV-Walk-v0", "SFV-Backflip-v0"} <= {row["env_id"] for row in rows}
    assert {row["loop"] for row in rows if row["motion"]} == {"wrap", "none"}
    assert "SFV-Walk-v0" in sfv("envs")[1]


def test_eval_prints_one_json_object(sfv):
    code, out, _ = sfv("eval", "SFV-Backflip-v0", "--episodes", "4", "--json")
    figures = json.loads(out)
    assert code == 0
    wanted = {"normalized_return", "normalized_return_sfv", "success_rate", "mpjpe_mm"}
    assert wanted | {"mpjpe_root_mm", "episodes"} <= set(figures)
    assert figures["episodes"] == 4 and figures["start"] == "fixed"
    assert wanted <= set(figures["rsi"]) and figures["rsi"]["start"] == "rsi"
    code, out, _ = sfv("eval", "SFV-Backflip-v0", "--episodes", "4", "--start", "rsi", "--json")
    assert code == 0 and json.loads(out) == figures["rsi"]


def test_eval_plays_the_published_episodes_unless_it_is_given_a_seed(sfv, monkeypatch):
    from sfv_gym.play import evaluation
    from sfv_gym.play.evaluation import PUBLISHED_EPISODES, publish
    from sfv_gym.play.policy import load_policy

    played = []

    original = evaluation.play_agent

    def play(agent, env_id, *, difficulty=None, **settings):
        assert difficulty is None
        played.append(settings)
        return original(agent, env_id, **{**settings, "episodes": 1})

    monkeypatch.setattr(evaluation, "play_agent", play)
    assert sfv("eval", "SFV-Backflip-v0", "--json")[0] == 0
    publish(load_policy("SFV-Backflip-v0").predict, "SFV-Backflip-v0")
    assert played[:2] == played[2:]
    assert {settings["episodes"] for settings in played} == {PUBLISHED_EPISODES}
    assert sfv("eval", "SFV-Backflip-v0", "--seed", "1", "--json")[0] == 0
    assert [settings["seed"] for settings in played[4:]] == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eval", "SFV-Bakflip-v0"), "did you mean SFV-Backflip-v0"),
        (("eval", "SFV-Walk-v0", "--policy", "none.safetensors"), "no such policy file"),
        (("train", "SFV-Nonsense-v0"), "unknown environment id"),
        (("train", "SFV-Walk-v0", "--resume", "nowhere"), "no checkpoint to resume"),
        (("train", "SFV-Walk-v0", "--set", "gamma"), "NAME=VALUE, as gamma=0.98"),
        (("train", "SFV-Walk-v0", "--set", "gamma=[1"), "NAME=VALUE, as gamma=0.98"),
        (("train", "SFV-Walk-v0", "--set", "gamma=much"), "gamma cannot be 'much'"),
        (("train", "SFV-Walk-v0", "--set", "steps=9"), "give --steps or --budget"),
        (("train", "SFV-Walk-v0", "--set", "env_id=x"), "unknown PPO setting: env_id"),
        # what is set is not lost to the option that was not given
        (("train", "SFV-Walk-v0", "--set", "reward=joy"), "reward cannot be 'joy': it is one of"),
        (("train-all", "SFV-Walk-v0", "--set", "target_success=much"), "target_success cannot be"),
        (("train", "SFV-Walk-v0", "--set", "gama=0.9"), "unknown PPO setting: gama"),
        (("train", "SFV-Walk-v0", "--init", "none.safetensors"), "no such policy file"),
        (("train-all", "SFV-Nonsense-v0"), "unknown environment id"),
        (("train-all", "--skill", "nonsense"), "nothing to train"),
        (("render", "SFV-Walk-v0", "--agent", "clever"), "clever"),
        (("extract", "none.mp4"), "no such file"),
        (("extract", "none.mp4", "--skill", "Bad-Name"), "snake_case"),
        (("extract", "none.mp4", "--loop", "maybe"), "auto, wrap or none"),
        (("eval", "SFV-Walk-v0", "--start", "middle"), "--start must be fixed or rsi"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(sfv, arguments, message, tmp_path):
    code, out, err = sfv(*arguments)
    assert code == 2
    assert out == ""
    assert message in err and err.startswith("error:")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []  # nothing half-written is left


def test_unknown_options_exit_with_2(sfv):
    assert sfv("envs", "--nonsense")[0] == 2


def test_a_text_file_is_no_video(sfv, tmp_path):
    (tmp_path / "notes.mp4").write_text("not a video at all")
    code, _, err = sfv("extract", "notes.mp4")
    assert code == 2
    assert "notes.mp4" in err
    assert [p.name for p in tmp_path.iterdir()] == ["notes.mp4"]


def test_a_broken_motion_in_the_users_folder_is_named(tmp_path):
    """Through the environment variable, in a process of its own."""
    import subprocess
    import sys

    swing().save(tmp_path / "good_one.npz")
    arrays = dict(np.load(tmp_path / "good_one.npz"))
    arrays["root_pos"][3] = np.nan
    np.savez(tmp_path / "bad_one.npz", **arrays)
    code = (
        "import gymnasium as gym, sfv_gym\n"
        "gym.make('SFV-GoodOne-v0').reset()\n"
        "try:\n    gym.make('SFV-BadOne-v0')\n"
        "except sfv_gym.errors.MotionError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "SFV_GYM_MOTIONS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "bad_one.npz" in done.stdout and "root_pos has 3 NaN" in done.stdout


def test_bench_is_a_group_of_its_own(sfv, tmp_path):
    from sfv_gym.benchmarks.cli import app as group

    code, out, _ = sfv("bench", "--help")
    assert code == 0
    said = " ".join(sfv("--help")[1].replace("│", " ").split())
    for command in group.registered_commands:
        assert (name := command.name or command.callback.__name__) in out
        assert re.search(rf"Measure and compare:.*\b{name}\b", said), name
    for command in ("throughput", "torques"):
        code, out, _ = sfv("bench", command, "--help")
        assert code == 0 and "Example: sfv bench" in out
    code, _, err = sfv("bench", "torques", "SFV-Nothing-v0")
    assert code == 2 and "unknown environment id" in err
    assert sfv("bench", "torques", "--no-such-option")[0] == 2
    assert sfv("bench", "torques", "SFV-Backflip-v0", "--episodes", "2", "--out", "t.json")[0] == 0
    figures = json.loads((tmp_path / "t.json").read_text())
    assert len(figures["SFV-Backflip-v0"]) == 12


def test_a_clip_of_the_library_that_fails_is_no_wrong_input(sfv):
    code, _, err = sfv("build-library", ".", "--skill", "crawl")
    assert code == 1 and "crawl_a.mp4 is not in" in err and "1 motions could not be made" in err


def test_envs_can_be_narrowed_down(sfv):
    code, out, _ = sfv("envs", "--json", "--skill", "walk", "--terrain", "gaps")
    assert code == 0
    ids = [row["env_id"] for row in json.loads(out)]
    assert ids == ["SFV-Walk-Atlas-Gaps-v0", "SFV-Walk-Gaps-v0"]
