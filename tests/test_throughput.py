"""The throughput benchmark measures what it says; no test looks at how fast anything is."""

import copy
import json
import math

import gymnasium as gym
import numpy as np
import pytest

from sfv_gym.benchmarks import throughput
from sfv_gym.benchmarks.throughput import OURS, RAW, SB3, SINGLE
from sfv_gym.errors import SFVError
from sfv_gym.physics import Physics


@pytest.fixture(scope="module")
def figures(monkeypatch_module):
    return throughput.measure((4,), (1, 2), (2,), seconds=0.02, rounds=2)


@pytest.fixture(scope="module")
def monkeypatch_module():
    """256 environments are too many for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(throughput, "COMPARED", 4)
        yield


def test_the_replay_does_the_same_physics_to_the_bit():
    env = gym.make_vec(
        throughput.ENV_ID, num_envs=6, vectorization_mode="vector_entry_point"
    ).unwrapped
    actions = np.random.default_rng(0).normal(0, 0.3, (80, 6, 28)).astype(np.float32)
    recorded = throughput.record(env, actions)
    assert sum(len(ids) for ids, _ in recorded["resets"]) > 3
    raw = Physics(env.simulation.model, 6, 1)
    for _ in range(2):  # a second turn starts from the same states
        assert throughput.replay(raw, env.substeps, recorded) > 0
        np.testing.assert_array_equal(raw.data("qpos"), env.simulation.physics.data("qpos"))
        np.testing.assert_array_equal(raw.data("qvel"), env.simulation.physics.data("qvel"))


def test_every_contestant_is_measured_or_says_why_not(figures):
    names = {result["name"] for result in figures["results"]}
    assert {RAW, OURS, SB3, *SINGLE} <= names
    assert any(name.startswith("Humanoid-v5") for name in names | set(figures["missing"]))
    assert any(name.startswith("EnvPool") for name in names | set(figures["missing"]))
    for result in figures["results"]:
        assert len(result["rates"]) == 2
        assert all(math.isfinite(rate) and rate > 0 for rate in result["rates"])


def test_ratios_are_taken_within_rounds(figures, monkeypatch_module):
    made = copy.deepcopy(figures)
    for result in made["results"]:
        base = 100.0 if result["threads"] == 1 else 190.0
        factor = {RAW: 1.0, OURS: 0.9, f"{OURS} (baseline)": 0.9, SB3: 0.8}.get(result["name"])
        result["rates"] = [base * factor, 3 * base * factor] if factor else [19.0, 57.0]
    out = throughput.ratios(made)
    assert out[f"{OURS} / raw"] == pytest.approx(0.9)
    assert out[f"{SB3} / raw"] == pytest.approx(0.8)
    assert out[f"{OURS}, 2 threads / 1 thread"] == pytest.approx(1.9)
    usual = [ratio for name, ratio in out.items() if "usual" in name]
    assert usual == [pytest.approx(9.0)]


def test_report_is_written_from_figures(figures, tmp_path, monkeypatch_module):
    (tmp_path / "docs" / "images").mkdir(parents=True)
    source = tmp_path / "figures.json"
    source.write_text(json.dumps(figures))
    throughput.throughput(out=tmp_path / "out", docs=tmp_path / "docs", from_json=source)
    assert json.loads((tmp_path / "out" / "throughput.json").read_text()) == figures
    assert (tmp_path / "docs" / "images" / "throughput.png").stat().st_size > 10_000
    text = (tmp_path / "docs" / "performance.md").read_text()
    for row in throughput.table(figures):
        assert " | ".join(row) in text
    with pytest.raises(SFVError, match="no figures"):
        throughput.throughput(out=tmp_path, from_json=tmp_path / "missing.json")
