"""Suites never change after release, and name what there is."""

import dataclasses

import pytest

from sfv_gym import list_envs
from sfv_gym.benchmarks import suites
from sfv_gym.benchmarks.suites import SUITES, Budget, Suite, SuiteTask, get_suite
from sfv_gym.errors import UnknownIdError

RELEASED = {
    "SFV-Quick-v2": "d10ce3bc3d0c6da8",
    "SFV-10-v2": "7db4b4330a22f5b4",
    "SFV-Terrain-v2": "69e47124764b970d",
    "SFV-Atlas-v2": "5340d4b1e1ea44de",
    "SFV-Full-v2": "53aaef3c75e63c91",
}


def test_the_content_of_a_released_suite_is_what_it_was():
    assert {suite.name: suite.content_hash() for suite in SUITES} == RELEASED, (
        "a released suite never changes: make the next version of it"
    )


def test_the_hash_depends_on_everything_in_a_suite():
    suite = get_suite("SFV-Quick")
    changed = (
        dataclasses.replace(suite, tasks=suite.tasks[:2]),
        dataclasses.replace(suite, version=suite.version + 1),
        dataclasses.replace(suite, budgets={**suite.budgets, "small": Budget(1, 1)}),
        dataclasses.replace(suite, protocol=dataclasses.replace(suite.protocol, train_horizon=91)),
    )
    assert len({suite.content_hash(), *(one.content_hash() for one in changed)}) == 5


def test_every_task_is_registered_once():
    known = {entry.env_id: entry for entry in list_envs()}
    for suite in SUITES:
        names = [task.name for task in suite.tasks]
        assert len(set(names)) == len(names)
        for task in suite.tasks:
            on_flat = known[task.env_id].terrain == "flat"
            assert on_flat == (task.difficulty is None), task.name


def test_suites_are_what_they_are_called():
    assert len(get_suite("SFV-Quick").tasks) == 3
    assert len(get_suite("SFV-10").tasks) == 10
    assert all("Atlas" in task.env_id for task in get_suite("SFV-Atlas").tasks)
    difficulties = {task.difficulty for task in get_suite("SFV-Terrain").tasks}
    assert difficulties == {None, 0.25, 0.5, 1.0}
    assert set(get_suite("SFV-10").tasks) <= set(get_suite("SFV-Full").tasks)


def test_a_family_is_its_newest_version(monkeypatch):
    old = get_suite("SFV-Quick")
    new = dataclasses.replace(old, version=old.version + 1)
    monkeypatch.setattr(suites, "SUITES", (new, *SUITES))
    assert get_suite("SFV-Quick") is new
    assert get_suite(old.name) is old


def test_a_withdrawn_version_says_why():
    with pytest.raises(UnknownIdError, match=r"SFV-10-v1 was withdrawn: .*start states"):
        get_suite("SFV-10-v1")
    assert not {suite.name for suite in SUITES} & set(suites.WITHDRAWN)


def test_names_of_tasks_say_the_difficulty():
    assert SuiteTask("SFV-Walk-v0").name == "SFV-Walk-v0"
    assert SuiteTask("SFV-Walk-Gaps-v0", 0.5).name == "SFV-Walk-Gaps-v0@0.5"


@pytest.mark.parametrize("text", ["huge", "-5", "0", "", "1e5"])
def test_an_unknown_budget_names_the_known_ones(text):
    with pytest.raises(UnknownIdError, match="small, standard or a number"):
        get_suite("SFV-Quick").budget(text)


def test_a_budget_can_be_a_number():
    assert get_suite("SFV-Quick").budget("20_000").steps == 20_000
    assert get_suite("SFV-Quick").budget("small") == Budget(400_000, 8)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(UnknownIdError, match="SFV-Quick-v2"):
        get_suite("SFV-Quack")
    with pytest.raises(UnknownIdError, match="SFV-Walk-v0"):
        get_suite("SFV-Quick").task("SFV-Wlak-v0")


def test_a_suite_is_data():
    assert isinstance(get_suite("SFV-Quick"), Suite)
    with pytest.raises(dataclasses.FrozenInstanceError):
        get_suite("SFV-Quick").version = 3
