"""What is written down of what was learned: the model card in words, and a page with all of it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sfv_gym.files import JSON, write_text
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
from sfv_gym.render.page import data_url, embedded_video, table, verdict_list, write_page
from sfv_gym.train.runs import CurveRow

Rows = Sequence[tuple[str, Evaluation]]


def usage(env_id: str, motion: Path | None, policy: Path, observation: str) -> str:
    """Lines of Python that play the policy.

    Args:
        motion: the file to register; None where the id is there already.
        observation: what the policy sees of the reference.
    """
    seen = "" if observation == "phase" else f', observation="{observation}"'
    register = "" if motion is None else f"sfv_gym.register_motion({str(motion)!r}); "
    return (
        f'{register}env = gym.make("{env_id}"{seen})\n'
        f'policy = sfv_gym.load_policy("{env_id}", {str(policy)!r}{seen})'
    )


def write_card(path: Path, card: JSON, rows: Rows, lines: str) -> None:
    """The model card as Markdown, beside the same as JSON.

    Args:
        rows: evaluations with their names.
        lines: how to play it.
    """
    figures = [
        f"| {name} | {one.success_rate:.2f}{_interval(one)} | {one.normalized_return:.3f} | "
        f"{one.normalized_return_sfv:.3f} | {one.mpjpe_mm:.0f} / {one.mpjpe_root_mm:.0f} mm |"
        for name, one in rows
    ]
    facts = [f"- {row[0]}: {row[1]}" for row in policy_rows(card, {}, "")]
    episodes = rows[0][1].episodes
    text = "\n".join(
        (
            f"# {card['env_id']}",
            "",
            f"A policy that moves the character of `{card['env_id']}`; the motion has the hash "
            f"`{card['motion_hash']}`.",
            "",
            "| policy | success | normalized return | with `sfv` | joint error, world / root |",
            "|---|---:|---:|---:|---:|",
            *figures,
            "",
            f"{episodes} episodes each. {MEANING}",
            "",
            *facts,
            "",
            "```python",
            "import gymnasium as gym, sfv_gym",
            "",
            lines,
            "```",
            "",
        )
    )
    write_text(path, text)


def _interval(evaluation: Evaluation) -> str:
    bounds = evaluation.success_interval
    return "" if bounds is None else " [{:.2f}, {:.2f}]".format(*bounds)


def write_learned_page(
    path: Path,
    *,
    motion: ReferenceMotion,
    card: JSON,
    rows: Rows,
    curve: Sequence[CurveRow],
    played: Rollout,
    film: Path,
    sheet: Path,
    has_video: bool,
    reconstruction: Path | None,
    seconds: dict[str, float],
    notes: Sequence[str],
    lines: str,
) -> None:
    """The page, whole or not at all; it loads nothing from anywhere.

    Args:
        rows: evaluations with their names, the policy's first.
        curve: evaluations on the way; empty where nothing was trained.
        has_video: whether the film shows the video, too.
        reconstruction: the page to judge the motion by, beside this one.
        seconds: of each stage.
        notes: sentences that a reader should know. lines: how to play the policy.
    """
    shown = "The video with the pose found in it, the" if has_video else "The"
    charts = rollout_charts(played)
    if curve:
        charts.insert(0, ("While it learned", _learning_chart(curve)))
    judged = "" if motion.verdict is None else verdict_list(motion.verdict)
    more = (
        ""
        if reconstruction is None
        else f'<p><a href="{html.escape(reconstruction.name)}">The reconstruction in detail</a></p>'
    )
    tables = [
        ("Motion", table(motion_rows(motion))),
        ("Policy", table(policy_rows(card, seconds, "stage"))),
    ]
    names = [(html.escape(name), one) for name, one in rows]
    body = f"""<figure>{embedded_video(film)}
<figcaption>{shown} reference motion, and the simulated character that follows it.
{outcome(played)}</figcaption></figure>
<div class="card">{judged}{more}</div>
<div class="card">{evaluation_table(names)}</div>
<p class="soft">{html.escape(MEANING)}</p>
{cards(charts)}
{cards(tables)}
{"".join(f"<p>{html.escape(note)}</p>" for note in notes)}
<h2>Stills</h2>
<figure><img src="{data_url(sheet, "image/webp")}" alt="{html.escape(shown)} reference and the
character at five moments"></figure>
<h2>How to go on</h2>
<pre>{html.escape(lines)}</pre>
<p class="soft">Clip: {source_line(motion)}</p>"""
    title = motion.skill.replace("_", " ").capitalize() or "Motion"
    spent = duration(sum(seconds.values()))
    lead = f"<code>{html.escape(card['env_id'])}</code>, made in {spent}"
    write_page(path, title=title, lead=lead, body=body)


def _learning_chart(curve: Sequence[CurveRow]) -> str:
    """Success and return over samples, from nothing on where the run began with nothing."""
    origin = [] if curve[0]["samples"] == 0 else [0.0]
    millions = np.array([*origin, *(row["samples"] / 1e6 for row in curve)])
    success = np.array([*origin, *(row["success_rate"] for row in curve)])
    returns = np.array([*origin, *(row["normalized_return"] for row in curve)])
    series = [Series("success", millions, success), Series("normalized return", millions, returns)]
    return line_chart(series, y_range=(0.0, 1.0), x_unit="M samples")
