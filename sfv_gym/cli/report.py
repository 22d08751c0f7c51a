"""The demo's report: one self-contained page, which loads nothing from anywhere."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from sfv_gym.files import JSON
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.evaluation import Evaluation
from sfv_gym.play.rollout import Rollout
from sfv_gym.play.sections import (
    MEANING,
    cards,
    duration,
    evaluation_table,
    motion_rows,
    outcome,
    policy_rows,
    rollout_charts,
    source_line,
)
from sfv_gym.render.charts import Series, line_chart
from sfv_gym.render.page import embedded_video, table, verdict_list, write_page

EXPLANATION = (
    f"{MEANING} Without learning: the same character is driven with the reference's poses alone."
)

NEXT_STEPS = """<pre>sfv learn my_video.mp4 --minutes 5             # all in one; step by step:
sfv extract my_video.mp4 --skill my_skill      # your own video -> my_skill.npz
SFV_GYM_MOTIONS=. sfv train SFV-MySkill-v0     # teach it to the character
SFV_GYM_MOTIONS=. sfv render SFV-MySkill-v0 --policy runs/SFV-MySkill-v0/policy.safetensors</pre>"""


@dataclass(frozen=True)
class SkillResult:
    """What the demo found out about one clip.

    Attributes:
        video: the side-by-side mp4. files: what else was written for it.
        motion: reconstructed from the clip just now.
        confidence: (T,) mean visibility of the landmarks in each frame of the clip.
        evaluation, baseline: of the policy, and of the zero action.
        played: the episode in the video.
        card: the policy's model card.
        notes: sentences that a reader should know.
        stage_seconds: how long each stage took.
    """

    env_id: str
    skill: str
    video: Path
    files: tuple[Path, ...]
    motion: ReferenceMotion
    confidence: np.ndarray
    evaluation: Evaluation
    baseline: Evaluation
    played: Rollout
    card: JSON
    notes: tuple[str, ...]
    stage_seconds: dict[str, float]


def write_report(path: Path, results: list[SkillResult], seconds: float) -> None:
    """Write the page, whole or not at all.

    Args:
        seconds: that everything took.
    """
    body = "\n".join(
        (
            f'<div class="card">{_summary(results)}</div>',
            f'<p class="soft">{html.escape(EXPLANATION)}</p>',
            *(_section(result, path.parent) for result in results),
            f"<h2>How to go on</h2>{NEXT_STEPS}",
        )
    )
    write_page(
        path,
        title="From video to a moving character",
        lead=(
            "Each video below was turned into a reference motion, the motion into a Gymnasium "
            "environment in MuJoCo, and a policy moves the simulated character in it. "
            f"Made in {duration(seconds)}."
        ),
        body=body,
        footer=f"MuJoCo {mujoco.__version__}, {os.cpu_count()} cores",
    )


# --- sections ---------------------------------------------------------------------------------


def _summary(results: list[SkillResult]) -> str:
    rows = []
    for result in results:
        name = html.escape(result.skill.replace("_", " "))
        rows.append((f"<b>{name}</b>, policy", result.evaluation))
        rows.append((f"{name}, without learning", result.baseline))
    return evaluation_table(rows)


def _section(result: SkillResult, folder: Path) -> str:
    seen = Series(
        "landmarks seen",
        np.arange(len(result.confidence)) / result.motion.fps,
        result.confidence,
    )
    charts = [
        *rollout_charts(result.played),
        ("Confidence of the pose", line_chart([seen], y_range=(0, 1))),
    ]
    tables = [
        ("Reconstruction", table(motion_rows(result.motion))),
        ("Policy", table(policy_rows(result.card, result.stage_seconds, "demo"))),
    ]
    files = ", ".join(f"<code>{html.escape(_relative(f, folder))}</code>" for f in result.files)
    verdict = "" if result.motion.verdict is None else verdict_list(result.motion.verdict)
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in result.notes)
    return f"""<h2>{html.escape(result.skill.replace("_", " ").capitalize())}
<code>{html.escape(result.env_id)}</code></h2>
<figure>{embedded_video(result.video)}
<figcaption>The video with the pose found in it, the motion reconstructed from it, and the
simulated character that follows it. {outcome(result.played)}</figcaption></figure>
{verdict}
{cards(charts)}
{cards(tables)}
{notes}
<p class="soft">Clip: {source_line(result.motion)}<br>Files: {files}</p>"""


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name
