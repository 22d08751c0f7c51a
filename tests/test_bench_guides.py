"""The guides' code runs as it stands, and so do the examples."""

import multiprocessing
import os
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from sfv_gym.benchmarks.results import FINISHED, RunSpec
from sfv_gym.benchmarks.rollout_video import ROLLOUT_VIDEO
from sfv_gym.benchmarks.run import execute

ROOT = Path(__file__).resolve().parent.parent
GUIDES = sorted((ROOT / "docs" / "guides").glob("*.md"))
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide: Path, language: str) -> list[tuple[str, str]]:
    """(file name or "", text) of each block of a language."""
    found = BLOCK.findall(guide.read_text(encoding="utf-8"))
    return [(name, text) for kind, name, text in found if kind == language]


def test_there_are_the_guides():
    assert {guide.stem for guide in GUIDES} >= {
        "benchmark-your-algorithm",
        "compare-policies-across-terrains",
        "bring-your-own-video",
        "learn-a-skill",
        "complete-a-picture",
        "add-a-character",
        "add-a-terrain",
        "add-an-estimator",
        "add-an-object",
        "run-many-jobs",
    }


@pytest.mark.slow
@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.stem)
def test_a_guide_s_python_runs(guide, tmp_path):
    """Its blocks one after the other, as one script in an empty folder."""
    script = []
    for name, text in blocks(guide, "python"):
        if name:
            (tmp_path / name).write_text(text)
        else:
            script.append(text)
    run_python("\n".join(script), tmp_path)


PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["sfv_gym.train.ppo", "sfv_gym.benchmarks.report", "sfv_gym.pose", "sfv_gym.reconstruction"]
)


def run_python(script: str, folder: Path) -> None:
    """Run ``script`` in ``folder``; it must end well and have said something.

    Each in a process of its own, forked from one that has imported what takes long.
    """
    process = PROCESSES.Process(target=_run_here, args=(script, folder))
    process.start()
    process.join()
    assert process.exitcode == 0, (folder / "stderr.txt").read_text()
    assert (folder / "stdout.txt").read_text().strip()


def _run_here(script: str, folder: Path) -> None:
    os.chdir(folder)
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        os.dup2(os.open(f"{name}.txt", os.O_WRONLY | os.O_CREAT), stream.fileno())
    sys.path.insert(0, "")  # as for python -c
    sys.modules["__main__"] = main = ModuleType("__main__")
    exec(compile(script, "script", "exec"), main.__dict__)


def commands() -> list[tuple[str, str]]:
    """Every `sfv` command that a guide shows, and where."""
    found = []
    for guide in GUIDES:
        for _, text in blocks(guide, "sh"):
            for line in text.splitlines():
                if "sfv " in line:
                    found.append((guide.stem, line[line.index("sfv ") :].split("#")[0].strip()))
    return found


def test_a_guide_s_commands_have_these_options():
    import typer

    from sfv_gym.benchmarks.cli import app as bench
    from sfv_gym.cli.main import app  # with every command

    assert len(commands()) >= 7
    for guide, line in commands():
        words = shlex.split(line)[1:]
        group = app
        if words[0] == "bench":
            group, words = bench, words[1:]
        command = typer.main.get_command(group).commands[words[0]]
        known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)}
        used = {word for word in words if word.startswith("--")}
        assert used <= known, f"{guide}: {line}"


def test_links_in_guides_lead_somewhere():
    for guide in GUIDES:
        for target in re.findall(r"\]\(([^)#:]+)\)", guide.read_text(encoding="utf-8")):
            assert (guide.parent / target).exists(), f"{guide.name}: {target}"


def test_the_whole_ppo_in_one_file_runs_through_the_benchmark(tmp_path, monkeypatch):
    name = "03_cleanrl_ppo"
    source = (ROOT / "examples" / f"{name}.py").read_text()
    small = source.replace("num_envs = 256", "num_envs = 8")
    assert small != source
    (tmp_path / f"{name}.py").write_text(small)
    agent = f"{tmp_path / name}.py:make_agent"
    spec = RunSpec("SFV-Quick-v2", "SFV-Punch-v0", name, agent, 0, 512, 2, str(tmp_path))
    with monkeypatch.context() as patch:
        patch.setattr("sfv_gym.benchmarks.run.VIDEO_SECONDS", 0.1)  # looked at once is enough
        first = execute(spec, lambda *a: None)
    again = execute(spec, lambda *a: None)
    assert first["status"] == FINISHED, first["error"]["traceback"]
    assert first["evaluation"] == again["evaluation"]
    with Image.open(tmp_path / ROLLOUT_VIDEO) as video:
        assert video.n_frames > 20 and video.size == (320, 160)
    assert first["curve"][0]["normalized_return"] != first["curve"][1]["normalized_return"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "arguments"),
    [("01", ""), ("02", "steps=512, num_envs=8"), ("04", "episodes=2")],
)
def test_an_example_runs(number, arguments, tmp_path):
    path = next(path for path in EXAMPLES if path.name.startswith(number))
    run_python(f"import runpy; runpy.run_path({str(path)!r})['main']({arguments})", tmp_path)
