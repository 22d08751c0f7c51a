"""What pages say of an evaluation, an episode, a motion and a policy, as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

import numpy as np

from sfv_gym.files import JSON
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.evaluation import Evaluation
from sfv_gym.play.rollout import Rollout
from sfv_gym.render.charts import Series, line_chart
from sfv_gym.render.page import table

MEANING = (
    "Every episode starts at the clip's first frame, with a little noise. "
    "Normalized return: the return divided by the most that an episode can give, steps lost to "
    "early termination counting as 0. Success: no early termination, every link within 0.5 m of "
    "the reference all along, and upright like it at the end. Joint error: mean distance of the "
    "15 links from the reference's."
)
"""Of the columns of ``evaluation_table``."""

Section = tuple[str, str]
"""A heading (text), and the HTML below it."""


def evaluation_table(rows: Iterable[tuple[str, Evaluation]]) -> str:
    """A row of figures for each evaluation, whose name is HTML already."""
    head = ("", "normalized return", "with SFV reward", "success", "joint error", "from the root",
            "mean length")  # fmt: skip
    return table([[name, *_figures(evaluation)] for name, evaluation in rows], head)


def _figures(evaluation: Evaluation) -> list[str]:
    successes = round(evaluation.success_rate * evaluation.episodes)
    return [
        f"{evaluation.normalized_return:.3f}",
        f"{evaluation.normalized_return_sfv:.3f}",
        f"{successes} of {evaluation.episodes}",
        f"{evaluation.mpjpe_mm:.0f} mm",
        f"{evaluation.mpjpe_root_mm:.0f} mm",
        f"{evaluation.mean_seconds:.1f} s",
    ]


def outcome(played: Rollout) -> str:
    """A sentence on how the episode went."""
    if played.failed_at is None:
        return '<span class="good">It goes through without early termination.</span>'
    return (
        f'<span class="bad">Early termination would have ended it after '
        f"{played.failed_at / played.hz:.1f} s; it was played on (red border).</span>"
    )


def rollout_charts(played: Rollout) -> list[Section]:
    """Reward and joint error of an episode over time."""
    time = np.arange(1, len(played.reward) + 1) / played.hz
    marks = [] if played.failed_at is None else [played.failed_at / played.hz]
    return [
        (
            "Reward in this episode",
            line_chart(
                [Series("pose", time, played.reward), Series("SFV", time, played.reward_sfv)],
                y_range=(0, 1),
                marks=marks,
            ),
        ),
        (
            "Joint error in it, mm",
            line_chart(
                [
                    Series("in the world", time, 1000 * played.joint_error),
                    Series("from the root", time, 1000 * played.joint_error_root),
                ],
                marks=marks,
            ),
        ),
    ]


def cards(sections: Iterable[Section]) -> str:
    """The sections side by side, each in a frame of its own."""
    return '<div class="columns">{}</div>'.format(
        "".join(
            f'<div class="card"><h3>{html.escape(name)}</h3>{body}</div>' for name, body in sections
        )
    )


def motion_rows(motion: ReferenceMotion) -> list[list[str]]:
    """Length and quality of a motion, as rows of a table."""
    shape = "a cycle of" if motion.loop == "wrap" else "once,"
    seconds = motion.period if motion.loop == "wrap" else motion.duration
    rows = [
        ["frames", f"{motion.num_frames} at {motion.fps:g} fps"],
        ["kind", f"{shape} {seconds:.2f} s"],
    ]
    quality = motion.provenance.get("quality", {})
    return rows + [
        [html.escape(text), _value(quality[key])]
        for key, text in _QUALITY.items()
        if key in quality
    ]


def policy_rows(card: JSON, seconds: dict[str, float], stages: str) -> list[list[str]]:
    """What a policy's card says, and how long each stage took, as rows of a table.

    Args:
        seconds: by stage. stages: what they are stages of.
    """
    rows = [["algorithm", str(card.get("algorithm", "unknown"))]]
    if "samples" in card:
        rows.append(["control steps learned from", f"{card['samples']:,}"])
    if card.get("samples_before"):
        rows.append(["those of the policy it began from", f"{card['samples_before']:,}"])
    if "seconds" in card:
        rows.append(["trained in", duration(float(card["seconds"]))])
    for name in ("machine", "mujoco_version", "stable_baselines3_version"):
        if name in card:
            rows.append([name.replace("_", " "), str(card[name])])
    rows += [[f"{stages}: {name}", f"{s:.0f} s"] for name, s in seconds.items()]
    return [[html.escape(cell) for cell in row] for row in rows]


def source_line(motion: ReferenceMotion) -> str:
    """Where a motion's clip is from."""
    source = motion.provenance.get("source", {})
    parts = [str(source[k]) for k in ("title", "author", "origin") if source.get(k)]
    if source.get("licence"):
        parts.append(f"licence: {source['licence']}")
    if source.get("sha256"):
        parts.append(f"sha256 {str(source['sha256'])[:12]}…")
    return html.escape("; ".join(parts) or "unknown")


def duration(seconds: float) -> str:
    """``3 min 20 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


_QUALITY = {
    "reprojection_px": "distance from the landmarks in the picture, px",
    "reprojection_percent_of_body": "the same, % of the body's height",
    "direction_error_deg": "limb directions against the 3D landmarks, degrees",
    "detected_fraction": "share of frames with the person found",
    "foot_skate_mm_per_frame": "planted feet slide, mm per frame",
    "foot_skate_max_mm_per_frame": "the most that they slide, mm per frame",
    "planted_height_mm": "planted feet off the ground, mm",
    "penetration_max_mm": "deepest below the ground, mm",
    "contact_fraction": "share of frames in which anything touches the ground",
    "flight_residual_mm": "flight against a parabola under gravity, mm",
    "flight_acceleration_error": "flight's acceleration against gravity, m/s²",
    "momentum_jump_max_m_per_s": "hardest jolt between frames, m/s",
    "limit_violation_rad": "beyond the joints' limits, rad",
    "loop_gap_mm": "gap where the cycle closes, mm",
}
"""The reconstruction's figures that pages show, in words."""


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return html.escape(f"{value:.3g}" if isinstance(value, float) else str(value))
