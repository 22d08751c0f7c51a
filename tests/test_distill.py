"""Distillation in small: labels, learning, stopping and going on, and what PPO makes of it."""

import contextlib
import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import sfv_gym
from sfv_gym.envs import Observation
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import Task
from sfv_gym.errors import OutputError, PolicyError, SettingError, SFVError, UnknownIdError
from sfv_gym.jobs.folder import read_json
from sfv_gym.jobs.job import StoppedError
from sfv_gym.play.by_motion import publish_id
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import Policy, load_policy, policies_folder, shipped_policy_path
from sfv_gym.train import teaching
from sfv_gym.train.distill import Distillation, distill, distill_in
from sfv_gym.train.distill_config import DistillConfig
from sfv_gym.train.lean_ppo import LeanPPO
from sfv_gym.train.ppo import train
from sfv_gym.train.runs import CARD, CHECKPOINT, CONFIG, POLICY, RunState
from sfv_gym.train.settings import rows
from sfv_gym.train.specialists import Teachers, find_specialists
from sfv_gym.train.student import Samples

TRACKER = "SFV-Tracker-v0"
SKILLS = ("kick", "punch")
SMALL = {
    "envs_per_motion": 8,
    "horizon": 40,
    "hidden": (64, 32),
    "opening_steps": 16,
    "specialist_steps": 1000,
    "n_steps": 4,
    "batch_size": 128,
    "passes": 6,
    "learning_rate": 3e-3,
    "steps": 3000,
}
BOTH = Observation(phase=True, window=(2, 4, 8, 16))
"""What student and specialists see."""
PPO = {"num_envs": 16, "n_steps": 32, "batch_size": 256, "n_epochs": 2}

pytestmark = pytest.mark.usefixtures("few_episodes")


@pytest.fixture(autouse=True)
def _few_episodes_of_a_distillation(monkeypatch):
    monkeypatch.setattr(teaching, "SELECTION_EPISODES", 2)
    monkeypatch.setattr(teaching, "publish_id", partial(publish_id, episodes=2))


@pytest.fixture
def small_library(monkeypatch):
    """Trackers of two motions."""
    monkeypatch.setattr("sfv_gym.envs.task.tracker_skills", lambda: SKILLS)


def small(folder: Path, **options) -> None:
    options = {"skills": SKILLS, "evaluate_every": 1000, "progress": False, **options}
    distill(TRACKER, folder, settings=options.pop("settings", SMALL), **options)


@pytest.fixture(scope="module")
def distilled(tmp_path_factory) -> Path:
    """The folder of a small distillation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(teaching, "SELECTION_EPISODES", 2)
        patch.setattr(teaching, "publish_id", partial(publish_id, episodes=2))
        run = tmp_path_factory.mktemp("distilled")
        small(run)
    return run


def curve(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "curve.jsonl").read_text().splitlines()]


# --- what is learned ----------------------------------------------------------------------------


@pytest.mark.parametrize("terrain", ["", "-Slopes"])
def test_labels_are_what_each_specialist_would_do_on_its_own_environment(terrain):
    skills = ("kick", "jump")
    specialists, without = find_specialists(f"SFV-Tracker{terrain}-v0", skills, None)
    assert not without
    n, settings = 6, {"horizon": 40}
    task = Task.of(f"SFV-Tracker{terrain}-v0", motions=skills, observation=BOTH, **settings)
    teachers, motion = Teachers(specialists, PolicyLayout.of(task)), np.arange(n) % 2
    own = [ImitationSimulation(Task.of(one.env_id, **settings), n) for one in specialists]
    together = ImitationSimulation(task, n)
    for simulation in (*own, together):
        simulation.seed(5)
    seen = together.begin(together.all_ids, motions=motion)[0]
    theirs = [simulation.begin(simulation.all_ids)[0] for simulation in own]
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels = teachers.actions(seen, motion)
        for m, one in enumerate(specialists):
            expected = one.policy.predict(theirs[m])
            np.testing.assert_allclose(labels[motion == m], expected[motion == m], atol=1e-5)
        assert np.abs(labels).max() > 0.1
        action = np.clip(labels + rng.normal(scale=0.1, size=labels.shape), -1, 1)
        seen = together.step(action).observation
        theirs = [simulation.step(action).observation for simulation in own]


def test_a_distillation_learns_what_the_specialists_do(distilled, tmp_path):
    small(tmp_path, settings={**SMALL, "steps": 1})  # ends with its first update
    [first], errors = ([row["imitation_error"] for row in curve(r)] for r in (tmp_path, distilled))
    assert len(errors) == 3 and errors[-1] < errors[0] and errors[-1] < 0.6 * first
    policy = load_policy(TRACKER, distilled / POLICY)
    card = policy.card
    assert card == read_json(distilled / CARD)
    assert (card["algorithm"], card["outcome"]) == ("DAgger", "budget")
    assert card["specialists"]["kick"]["env_id"] == "SFV-Kick-v0"
    assert list(card["evaluation"]["motions"]) == list(SKILLS)
    assert card["evaluation"]["rsi"]["start"] == "rsi"
    assert RunState.read(distilled).finished
    task = Task.of(TRACKER)
    assert policy.layout == PolicyLayout.of(task) and not policy.critic
    spread = SMALL.get("noise", DistillConfig().noise) / np.sqrt(3)
    np.testing.assert_allclose(np.exp(policy.log_std), np.full(28, spread), rtol=1e-5)
    # the policy is nearer to the specialist than doing nothing is, in states of its own
    simulation = ImitationSimulation(Task.of("SFV-Kick-v0", observation=BOTH), 16)
    simulation.seed(1)
    seen = simulation.reset(simulation.all_ids)
    specialists, _ = find_specialists(TRACKER, ("kick",), None)
    shown = PolicyLayout.of(simulation.task)
    teachers, columns = Teachers(specialists, shown), policy.layout.columns_in(shown)
    off, size = [], []
    for _ in range(15):
        label, action = teachers.actions(seen, simulation.motion), policy.predict(seen[:, columns])
        off.append(np.square(label - action).mean())
        size.append(np.square(label).mean())
        seen = simulation.step(action).observation
    assert np.mean(off) < 0.7 * np.mean(size)


def test_the_same_seed_learns_the_same(distilled, tmp_path):
    hashes = {}
    for seed in (0, 1):
        small(tmp_path / str(seed), seed=seed, settings={**SMALL, "steps": 1500})
        hashes[seed] = Policy.load(tmp_path / str(seed) / POLICY).content_hash()
    small(tmp_path / "again", settings={**SMALL, "steps": 1500})
    assert Policy.load(tmp_path / "again" / POLICY).content_hash() == hashes[0] != hashes[1]


class Stopper:
    """A listener that wants the run to stop after so many rounds."""

    def __init__(self, rounds: float = float("inf")) -> None:
        self.rounds, self.said = rounds, []

    def advance(self, done: float, total: float | None = None, note: str = "") -> None:
        self.rounds -= 1

    def say(self, text: str) -> None:
        self.said.append(text)

    @property
    def stopping(self) -> bool:
        return self.rounds <= 0


def test_a_run_that_is_stopped_ends_with_the_same_weights(tmp_path):
    """To the bit; the buffer is smaller than what is seen, so that it goes round."""
    settings = {**SMALL, "buffer": 1000}
    results = []
    for name, stops in (("whole", ()), ("parts", (5, 9))):
        for part, rounds in enumerate((*stops, float("inf"))):
            asked = Distillation(
                TRACKER, tmp_path / name, settings if part == 0 else {}, skills=SKILLS,
                seed=3, resume=part > 0, evaluate_every=1200,
            )  # fmt: skip
            with contextlib.suppress(StoppedError):
                distill_in(asked, Stopper(rounds))
                assert rounds == float("inf")
        state = torch.load(tmp_path / name / CHECKPOINT, weights_only=False)
        weights = {**state["student"]["network"], "seen": state["kept"]["seen"]}
        rows = [{**row, "seconds": None} for row in curve(tmp_path / name)]
        results.append((weights, rows, Policy.load(tmp_path / name / POLICY).content_hash()))
    (whole, rows, policy), (parts, other_rows, other) = results
    assert len(rows) == 3 and rows == other_rows and policy == other
    for name, values in whole.items():
        assert torch.equal(values, parts[name]), name


def test_an_interrupted_run_goes_on(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(teaching.Teaching, "_report", interrupt)
        with pytest.raises(KeyboardInterrupt):
            small(tmp_path)
    with pytest.raises(SFVError, match="noise cannot be changed"):
        small(tmp_path, resume=True, settings={"noise": 0.0})
    with pytest.raises(SFVError, match="have changed"):
        small(tmp_path, resume=True, skills=("kick",), settings={})
    with pytest.raises(OutputError, match="--resume"):
        small(tmp_path)
    small(tmp_path, resume=True, settings={"steps": 1000})
    assert read_json(tmp_path / CARD)["samples_total"] >= 1000
    small(tmp_path, resume=True, settings={"steps": 1500})  # a larger budget goes on
    assert read_json(tmp_path / CARD)["samples_total"] >= 1500


def test_a_run_may_end_by_the_clock(tmp_path):
    settings = {name: value for name, value in SMALL.items() if name != "steps"}
    small(tmp_path, settings={**settings, "minutes": 1e-6})
    first = read_json(tmp_path / CARD)
    assert first["samples_total"] == 2 * SMALL["envs_per_motion"] * SMALL["opening_steps"]
    small(tmp_path, resume=True, settings={"steps": first["samples_total"] + 1})  # no clock
    assert read_json(tmp_path / CARD)["samples_total"] > first["samples_total"]
    assert read_json(tmp_path / CONFIG)["distill"]["minutes"] == 0


def test_a_motion_without_a_specialist_is_left_out(tmp_path):
    folder = tmp_path / "policies"
    folder.mkdir()
    shutil.copy(shipped_policy_path("SFV-Kick-v0"), folder)
    asked = Distillation(
        TRACKER, tmp_path / "run", {**SMALL, "steps": 300}, folder, SKILLS, evaluate_every=300
    )
    listener = Stopper()
    found = distill_in(asked, listener)
    assert listener.said[0] == "no specialist, and so left out: punch"
    card = read_json(tmp_path / "run" / CARD)
    assert list(card["specialists"]) == ["kick"] and card["without_specialist"] == ["punch"]
    assert list(card["selection"]["motions"]) == ["kick"]
    assert list(found.motions) == list(SKILLS)  # its figures are of all


def test_the_newest_samples_are_kept():
    kept, rng = Samples(4, 1, 1), np.random.default_rng(0)
    for i in range(3):
        values = torch.full((2, 1), float(i))
        kept.add(values, 10 * values)
    assert len(kept) == 4
    seen, labels = kept.draw(100, rng)
    assert set(seen.flatten().tolist()) == {1.0, 2.0} and torch.equal(labels, 10 * seen)


# --- wrong input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env_id", "options", "error", "message"),
    [
        ("SFV-Walk-v0", {}, SettingError, "distil into a tracker"),
        ("SFV-Trakker-v0", {}, UnknownIdError, "did you mean SFV-Tracker-v0"),
        (TRACKER, {"skills": ("wallk",)}, UnknownIdError, "SFV-Wallk-v0"),
        (TRACKER, {"skills": ()}, SettingError, "no skill"),
        (TRACKER, {"settings": {"noise": 2}}, SettingError, "noise cannot be 2"),
        (TRACKER, {"settings": {"nois": 0}}, SettingError, "did you mean noise"),
        (TRACKER, {"settings": {"envs_per_motion": 4096}}, SettingError, "at most 2048"),
        (TRACKER, {"seed": -1}, SettingError, "seed"),
        (TRACKER, {"resume": True}, SFVError, "no checkpoint"),
        (TRACKER, {"specialists": "nowhere"}, PolicyError, "SFV-Kick-v0.safetensors"),
    ],
)  # fmt: skip
def test_wrong_input_is_said(env_id, options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        distill(env_id, tmp_path / "run", progress=False, **{"skills": SKILLS, **options})
    assert not (tmp_path / "run").exists()


def test_a_specialist_of_another_environment_is_refused(tmp_path):
    shutil.copy(shipped_policy_path("SFV-Kick-Slopes-v0"), tmp_path / "SFV-Kick-v0.safetensors")
    with pytest.raises(PolicyError, match="does not fit SFV-Kick-v0"):
        find_specialists(TRACKER, ["kick"], tmp_path)


def test_the_command_line(sfv, distilled):
    code, out, _ = sfv("distill", "--settings")
    said = " ".join(out.split())
    assert code == 0
    for row in rows(DistillConfig):
        assert f"{row.name}={row.default} {row.kind}, {row.span} {row.meaning}" in said
    assert "DAgger" in sfv("distill", "--help")[1]
    code, _, err = sfv("distill", "SFV-Walk-v0")
    assert code == 2 and "SFV-Tracker-v0" in err
    assert "give --minutes" in sfv("distill", TRACKER, "--set", "minutes=3")[2]
    code, out, err = sfv("distill", TRACKER, "--resume", str(distilled))
    assert code == 0 and "punch" in out and "The best policy is" in err
    play = ("eval", "SFV-Kick-v0", "--policy", str(distilled / POLICY), "--episodes", "2", "--json")
    code, _, err = sfv(*play)
    assert code == 2 and "does not show" in err
    code, out, _ = sfv(*play, "--observation", "window")
    assert code == 0 and json.loads(out)["episodes"] == 2


# --- what PPO makes of it -----------------------------------------------------------------------


@pytest.mark.usefixtures("small_library")
@pytest.mark.parametrize(
    ("env_id", "more"), [(TRACKER, {}), ("SFV-Kick-v0", {"observation": "window"})]
)
def test_ppo_begins_with_the_distilled_actions_and_noise(env_id, more, distilled, tmp_path):
    """Until its critic is learned, since the file has none."""
    settings = {**PPO, **more, "critic_warmup": 512}
    train(env_id, tmp_path, steps=512, init=distilled / POLICY, progress=False, settings=settings)
    given, policy = Policy.load(distilled / POLICY), Policy.load(tmp_path / POLICY)
    config = read_json(tmp_path / CONFIG)["ppo"]
    assert config["hidden"] == list(SMALL["hidden"]) and config["observation"] == "window"
    for (weight, bias), (old_weight, old_bias) in zip(policy.layers, given.layers, strict=True):
        np.testing.assert_array_equal(weight, old_weight)
        np.testing.assert_array_equal(bias, old_bias)
    np.testing.assert_array_equal(policy.log_std, given.log_std)
    assert policy.critic and policy.layout == given.layout
    assert policy.card["init"] == f"{TRACKER}.safetensors"
    seen = np.random.default_rng(0).normal(given.mean, given.std, (64, len(given.mean)))
    np.testing.assert_allclose(policy.predict(seen), given.predict(seen), atol=0.01)
    curve_rows = curve(tmp_path)
    assert [row["samples"] for row in curve_rows] == [0, 512]


@pytest.mark.usefixtures("small_library")
def test_ppo_goes_on_with_a_critic_that_knows_the_returns(distilled, tmp_path):
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    train(TRACKER, first, steps=512, init=distilled / POLICY, progress=False, settings=PPO)
    given = Policy.load(first / POLICY)
    assert given.critic
    options = {"init": first / POLICY, "progress": False, "evaluate_every": 10**6}
    # a rate so small that nothing moves shows what a run begins with
    still = {**PPO, "learning_rate": 1e-12, "final_learning_rate": 0.0}
    train(TRACKER, second, steps=512, settings=still, **options)
    model = LeanPPO.load(second / CHECKPOINT)
    assert model.critic_only_until == 0
    weight = model.policy.value_net.weight.detach().numpy()
    np.testing.assert_allclose(weight, given.critic[-1][0], atol=1e-6)
    train(TRACKER, third, steps=512, seed=1, settings={**still, "gamma": 0.9}, **options)
    model = LeanPPO.load(third / CHECKPOINT)
    assert model.critic_only_until > 0
    weight = model.policy.value_net.weight.detach().numpy()
    assert np.abs(weight - given.critic[-1][0]).max() > 0.01


@pytest.mark.usefixtures("small_library")
def test_a_trackers_run_goes_on_and_is_evaluated_by_motion(tmp_path):
    settings = {**PPO, "hidden": (32, 32)}
    train(TRACKER, tmp_path, steps=512, progress=False, settings=settings)
    found = train(TRACKER, tmp_path, steps=1024, resume=True, progress=False)
    assert list(found.motions) == list(SKILLS)
    card = read_json(tmp_path / CARD)
    assert list(card["evaluation"]["motions"]) == list(card["selection"]["motions"])
    assert card["motion_hash"] == Task.of(TRACKER).motion_hash and card["motion_source"] is None
    assert [row["samples"] for row in curve(tmp_path)] == [512, 1024]
    sfv_gym.load_policy(TRACKER, tmp_path / POLICY)


@pytest.mark.parametrize(
    ("env_id", "settings", "message"),
    [
        ("SFV-Kick-v0", {}, "sees reference_position_2.*does not show"),
        ("SFV-Tracker-Slopes-v0", {"observation": "phase"}, "does not show"),
    ],
)
def test_ppo_from_a_policy_that_does_not_fit(env_id, settings, message, distilled, tmp_path):
    with pytest.raises(PolicyError, match=message):
        train(
            env_id, tmp_path, init=distilled / POLICY, progress=False, settings={**PPO, **settings}
        )


def test_ppo_does_not_take_a_policy_of_the_first_format_for_a_tracker(tmp_path):
    init = policies_folder() / "SFV-Kick-v0.safetensors"
    with pytest.raises(PolicyError, match="sees 147 numbers, this run 293"):
        train(TRACKER, tmp_path, init=init, progress=False, settings=PPO)
