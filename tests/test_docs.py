"""The reference page says what the code does."""

import importlib.util
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

from sfv_gym.envs import ImitationEnv
from sfv_gym.envs.motion_sampling import MOTION_SAMPLINGS
from sfv_gym.envs.observations import OBSERVATIONS
from sfv_gym.envs.starts import INITIALIZATIONS
from sfv_gym.envs.task import SETTINGS, Task

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("build_docs", ROOT / "scripts/build_docs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_docstring_has_the_tables_of_the_models(build):
    text = inspect.getdoc(ImitationEnv)
    for table in (
        build.action_table("humanoid"),
        build.action_table("atlas"),
        build.observation_table(),
        build.observation_table("window"),
        build.object_table(),
    ):
        assert table in text


def test_the_docstring_names_every_argument_and_start():
    text = inspect.getdoc(ImitationEnv)
    display = set(inspect.signature(ImitationEnv).parameters) - {"settings"}
    for name in display | SETTINGS:
        assert f"`{name}`" in text, name
    for name, kind in INITIALIZATIONS.items():
        assert f'`"{name}"`' in text and f"`{kind.__name__}`" in text
    for name in (*MOTION_SAMPLINGS, *OBSERVATIONS):
        assert f'`"{name}"`' in text or f'="{name}"`' in text, name


def test_a_task_has_a_field_for_every_setting():
    """``difficulty`` is the terrain's."""
    assert {f.name for f in fields(Task)} == SETTINGS - {"difficulty"}


@pytest.mark.parametrize("name", ["environments", "skills"])
def test_the_pages_are_built_from_the_code_and_the_motions(build, name):
    path, text = {
        "environments": (build.PAGE, build.page()),
        "skills": (build.SKILLS_PAGE, build.skills_page()),
    }[name]
    assert path.read_text(encoding="utf-8") == text, (
        f"{path.name} is old: run python scripts/build_docs.py"
    )
    pictures = [line for line in text.splitlines() if line.startswith("![")]
    assert len(pictures) >= 5
    for line in pictures:
        picture = build.DOCS / line.split("(")[1].rstrip(")")
        assert picture.is_file(), picture
