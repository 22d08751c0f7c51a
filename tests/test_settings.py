"""The settings of a run: every one has a type and a range, and is listed where it is looked for."""

import json
from dataclasses import fields
from pathlib import Path

import pytest

from sfv_gym.envs.rewards import REWARDS
from sfv_gym.envs.starts import INITIALIZATIONS
from sfv_gym.errors import SettingError
from sfv_gym.train.config import PPOConfig, describe, recipes, schema
from sfv_gym.train.settings import rows, with_table

ENV_ID = "SFV-Walk-v0"
NAMES = [field.name for field in fields(PPOConfig)]
NUMBERS = [name for name in NAMES if schema()[name]["type"] in ("integer", "number")]
INFINITE, NAN = float("inf"), float("nan")


def edges(name: str) -> list[float]:
    """Numbers just outside the range that the setting's own description gives."""
    one = schema()[name]
    step = 1 if one["type"] == "integer" else 1e-6
    low = one.get("exclusiveMinimum", one.get("minimum", 0) - step)
    return [low, one.get("exclusiveMaximum", one.get("maximum", 0) + step)]


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_out_of_its_range_is_refused_with_its_name_and_range(name):
    _, span = describe(schema()[name])
    for value in (*edges(name), NAN, INFINITE, -INFINITE, "nan", "much", True, [1], {}, 10**400):
        with pytest.raises(SettingError) as caught:
            PPOConfig.for_env(ENV_ID, **{name: value})
        message = str(caught.value)
        assert f"the setting {name} cannot be" in message and message.endswith(span), value
        assert "\n" not in message and len(message) < 200


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_envs": 0}, "num_envs cannot be 0: it is a whole number, 1 to 4,096"),
        ({"n_steps": 1.5}, "n_steps cannot be 1.5: it is a whole number"),
        ({"batch_size": 1}, "batch_size cannot be 1"),
        ({"steps": -5}, "steps cannot be -5"),
        ({"gamma": 5}, "gamma cannot be 5: it is a number, 0 to 1"),
        ({"first_frame": 1}, "first_frame cannot be 1: it is a number, 0 to below 1"),
        ({"hidden": []}, "hidden cannot be []"),
        ({"hidden": [0]}, "hidden cannot be [0]: it is a list of whole numbers, 1 to 8 of 1 to"),
        ({"hidden": [-4]}, "hidden cannot be [-4]"),
        ({"hidden": [64] * 9}, "hidden cannot be [64"),
        ({"hidden": 64}, "hidden cannot be 64"),
        ({"hidden": "64"}, "hidden cannot be '64'"),
        ({"reward": "joy"}, "reward cannot be 'joy': it is one of pose, sfv"),
        ({"reward": 3}, "reward cannot be 3"),
        ({"initialization": "late"}, "initialization cannot be 'late': it is one of rsi"),
        ({"gama": 0.9}, "unknown PPO setting: gama; did you mean gamma?"),
        ({"zzzzz": 0.9}, "unknown PPO setting: zzzzz; `sfv train --settings` lists them"),
        ({"num_envs": 1, "n_steps": 1}, "the samples of a rollout, must be from 2 to"),
        ({"num_envs": 4096, "n_steps": 60_000}, "the samples of a rollout, must be from 2 to"),
        ({"first_difficulty": 0.9}, "first_difficulty must not be above last_difficulty"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line(settings, message):
    with pytest.raises(SettingError) as caught:
        PPOConfig.for_env(ENV_ID, **settings)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_numbers_may_be_written_in_any_way():
    config = PPOConfig.for_env(ENV_ID, learning_rate="5e-4", n_steps=32.0, critic_warmup="1e5")
    assert (config.learning_rate, config.n_steps, config.critic_warmup) == (5e-4, 32, 100_000)
    assert isinstance(config.n_steps, int) and isinstance(config.critic_warmup, int)
    assert PPOConfig.for_env(ENV_ID, gamma=None) == PPOConfig.for_env(ENV_ID)


@pytest.mark.parametrize("env_id", recipes())
def test_every_recipe_fits_and_survives_a_run_s_file(env_id):
    config = PPOConfig.for_env(env_id)
    saved = json.loads(json.dumps(config.as_dict()))
    assert PPOConfig.for_env(ENV_ID, **saved) == config
    assert set(recipes()["default"]) == set(NAMES)


def test_names_are_those_that_there_are():
    assert schema()["reward"]["enum"] == list(REWARDS)
    assert schema()["initialization"]["enum"] == list(INITIALIZATIONS)
    for name in REWARDS:
        assert PPOConfig.for_env(ENV_ID, reward=name).reward == name


def test_every_setting_is_listed_with_all_that_is_to_know(sfv):
    assert [row.name for row in rows()] == NAMES
    assert all(all(row) and row.meaning.endswith(".") for row in rows())
    code, out, _ = sfv("train", "--settings")
    assert code == 0
    said = " ".join(out.split())
    for row in rows():
        assert f"{row.name}={row.default} {row.kind}, {row.span} {row.meaning}" in said
    assert "--settings" in sfv("train", "--help")[1]


def test_the_page_has_the_table_that_is_made_from_the_settings():
    page = Path(__file__).resolve().parent.parent / "docs" / "training.md"
    text = page.read_text(encoding="utf-8")
    assert with_table(text) == text, (
        "run python -m sfv_gym.train.settings docs/training.md in the checkout"
    )
