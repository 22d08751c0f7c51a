"""The throughput benchmark measures what it says; no test looks at how fast anything is."""

import json
import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

from sfv_gym.benchmarks.chapters import book
from sfv_gym.benchmarks.studies.throughput import measure as measuring
from sfv_gym.benchmarks.studies.throughput.command import FIGURES, write_docs
from sfv_gym.benchmarks.studies.throughput.implementations import (
    ENV_ID,
    OURS,
    RAW,
    SB3,
    SINGLE,
    record,
    replay,
)
from sfv_gym.benchmarks.studies.throughput.measure import BASELINE, measure
from sfv_gym.benchmarks.studies.throughput.page import ratios, table
from sfv_gym.errors import BenchmarkError
from sfv_gym.physics import Physics


@pytest.fixture(scope="module")
def figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "COMPARED", 4)  # 256 environments are too many for a test
        return measure((4,), (1, 2), (2,), seconds=0.02, rounds=2)


def test_the_replay_does_the_same_physics_to_the_bit():
    env = gym.make_vec(ENV_ID, num_envs=6, vectorization_mode="vector_entry_point").unwrapped
    actions = np.random.default_rng(0).normal(0, 0.3, (80, 6, 28)).astype(np.float32)
    recorded = record(env, actions)
    assert sum(len(ids) for ids, _ in recorded.resets) > 3
    raw = Physics(env.simulation.model, 6, 1)
    for _ in range(2):  # a second turn starts from the same states
        assert replay(raw, env.substeps, recorded) > 0
        np.testing.assert_array_equal(raw.data("qpos"), env.simulation.physics.data("qpos"))
        np.testing.assert_array_equal(raw.data("qvel"), env.simulation.physics.data("qvel"))


def test_every_implementation_is_measured_or_says_why_not(figures):
    names = {one.name for one in figures.results}
    assert {RAW, OURS, SB3, *SINGLE} <= names
    assert any(name.startswith("Humanoid-v5") for name in names | set(figures.missing))
    assert any(name.startswith("EnvPool") for name in names | set(figures.missing))
    for one in figures.results:
        assert len(one.rates) == 2
        assert all(math.isfinite(rate) and rate > 0 for rate in one.rates)


def test_ratios_are_taken_within_rounds(figures):
    made = []
    for one in figures.results:
        base = 100.0 if one.threads == 1 else 190.0
        factor = {RAW: 1.0, OURS: 0.9, BASELINE: 0.9, SB3: 0.8}.get(one.name)
        rates = [base * factor, 3 * base * factor] if factor else [19.0, 57.0]
        made.append(replace(one, rates=rates))
    out = ratios(replace(figures, results=tuple(made)))
    assert out[f"{OURS} / raw"] == pytest.approx(0.9)
    assert out[f"{SB3} / raw"] == pytest.approx(0.8)
    assert out[f"{OURS}, 2 threads / 1 thread"] == pytest.approx(1.9)
    usual = [ratio for name, ratio in out.items() if "usual" in name]
    assert usual == [pytest.approx(9.0)]


def test_the_page_is_written_from_figures_and_again_from_their_file(figures, tmp_path):
    write_docs(figures, tmp_path)
    assert (tmp_path / "images" / "throughput.png").stat().st_size > 10_000
    page = tmp_path / "performance.md"
    text = page.read_text()
    assert table(figures).markdown() in text and "Ratios are taken at 4 environments" in text
    page.unlink()
    book(["throughput"], tmp_path)
    assert page.read_text() == text
    kept = json.loads((tmp_path / FIGURES).read_text())
    (tmp_path / FIGURES).write_text(json.dumps({**kept, "cores": "many"}))
    with pytest.raises(BenchmarkError, match="no figures"):
        book(["throughput"], tmp_path)
    with pytest.raises(BenchmarkError, match="is not there"):
        book(["throughput"], tmp_path / "empty")
