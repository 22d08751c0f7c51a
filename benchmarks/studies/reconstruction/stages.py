"""How long each stage from a video to a motion takes, in parts of the whole."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sfv_gym.benchmarks.book import Column, Table
from sfv_gym.errors import VideoError
from sfv_gym.pose.registry import DEFAULT

_IMPORTS = """
import time
began = time.perf_counter(), time.process_time()
import sfv_gym.extract, sfv_gym.pose, sfv_gym.reconstruction
import mediapipe
print(time.perf_counter() - began[0], time.process_time() - began[1])
"""


@dataclass(frozen=True)
class Stage:
    """What one stage took.

    Attributes:
        seconds: of the clock. busy: of the processor, all its cores together.
    """

    name: str
    seconds: float
    busy: float


def stages(video: Path, estimator: str = DEFAULT) -> tuple[float, list[Stage]]:
    """The clip's seconds, and the stages that ``sfv extract`` takes it through, nothing kept used.

    Raises:
        VideoError, PoseError, MotionError: as by ``extract_motion``.
    """
    from sfv_gym.fitting.solver import one_thread
    from sfv_gym.pose import estimate_pose
    from sfv_gym.reconstruction import pipeline, reconstruct
    from sfv_gym.reconstruction.evidence import gather_evidence
    from sfv_gym.reconstruction.joint_network import shipped_networks
    from sfv_gym.reconstruction.person import PersonProblem
    from sfv_gym.video import check_one_shot, open_video

    found = [_imports()]

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began, busy = time.perf_counter(), time.process_time()
        yield
        found.append(Stage(name, time.perf_counter() - began, time.process_time() - busy))

    with timed("reading the video"):
        reader = open_video(video)
        check_one_shot(reader)
    with timed("finding poses"):
        poses = estimate_pose(reader, estimator=estimator, cache=False, progress=False)
    with timed("fitting the person"), one_thread():
        evidence = gather_evidence(poses, networks=shipped_networks())
        problem = PersonProblem(evidence)
        pipeline.fit_person(problem, pipeline.ITERATIONS, loop="auto")
    with timed("both fits"):
        reconstruct(poses, skill="measured", progress=False)
    person, both = found[-2:]
    found[-1] = Stage(
        "fitting the character", both.seconds - person.seconds, both.busy - person.busy
    )
    return len(reader) / reader.fps, found


def table(folder: Path, only: list[str] | None = None, *, estimator: str = DEFAULT) -> Table:
    """The stages of the clips in a folder, a row each.

    Raises:
        VideoError: there is none.
    """
    videos = [v for v in sorted(folder.glob("*.mp4")) if not only or v.stem in only]
    if not videos:
        raise VideoError(f"{folder}: no <clip>.mp4 is there")
    rows: list[tuple[str | float, ...]] = []
    for video in videos:
        length, found = stages(video, estimator)
        whole = sum(stage.seconds for stage in found)
        rows += [
            (video.stem, stage.name, stage.seconds / whole, stage.busy / stage.seconds,
             stage.seconds / length)
            for stage in [*found, Stage("all", whole, sum(stage.busy for stage in found))]
        ]  # fmt: skip
    return Table.of(
        ["clip", Column("stage", left=True), Column("of all", ".0%"), Column("cores busy", ".1f"),
         Column("times the clip's length", ".1f")],
        rows,
    )  # fmt: skip


def _imports() -> Stage:
    """Of what is imported on the way, by a Python that has nothing yet."""
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=True
    )
    seconds, busy = map(float, done.stdout.split())
    return Stage("imports", seconds, busy)
