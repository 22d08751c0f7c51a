"""The demo's report: one self-contained page, which loads nothing from anywhere."""

from __future__ import annotations

import html
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from sfv_gym.files import JSON
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.evaluation import Evaluation
from sfv_gym.play.rollout import Rollout
from sfv_gym.render.charts import Series, line_chart
from sfv_gym.render.page import embedded_video, table, verdict_list, write_page

EXPLANATION = (
    "Every episode starts at the clip's first frame, with a little noise. "
    "Normalized return: the return divided by the most that an episode can give, steps lost to "
    "early termination counting as 0. Success: no early termination, every link within 0.5 m of "
    "the reference all along, and upright like it at the end. Joint error: mean distance of the "
    "15 links from the reference's. Without learning: the same character is driven with the "
    "reference's poses alone."
)

NEXT_STEPS = """<pre>sfv extract my_video.mp4 --skill my_skill      # your own video -> my_skill.npz
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
            f"Made in {_duration(seconds)}."
        ),
        body=body,
        footer=f"MuJoCo {mujoco.__version__}, {os.cpu_count()} cores",
    )


# --- sections ---------------------------------------------------------------------------------


def _summary(results: list[SkillResult]) -> str:
    head = ("", "normalized return", "with SFV reward", "success", "joint error", "from the root",
            "mean length")  # fmt: skip
    rows = []
    for result in results:
        name = result.skill.replace("_", " ")
        rows.append([f"<b>{html.escape(name)}</b>, policy", *_figures(result.evaluation)])
        rows.append([f"{html.escape(name)}, without learning", *_figures(result.baseline)])
    return table(rows, head)


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


def _section(result: SkillResult, folder: Path) -> str:
    played = result.played
    time = np.arange(1, len(played.reward) + 1) / played.hz
    marks = [] if played.failed_at is None else [played.failed_at / played.hz]
    outcome = (
        '<span class="good">It goes through without early termination.</span>'
        if played.failed_at is None
        else f'<span class="bad">Early termination would have ended it after {marks[0]:.1f} s; '
        "it was played on (red border).</span>"
    )
    charts = (
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
        (
            "Confidence of the pose",
            line_chart(
                [
                    Series(
                        "landmarks seen",
                        np.arange(len(result.confidence)) / result.motion.fps,
                        result.confidence,
                    )
                ],
                y_range=(0, 1),
            ),
        ),
    )
    cards = "".join(
        f'<div class="card"><h3>{html.escape(name)}</h3>{svg}</div>' for name, svg in charts
    )
    tables = "".join(
        f'<div class="card"><h3>{html.escape(name)}</h3>{body}</div>'
        for name, body in (
            ("Reconstruction", table(_quality_rows(result.motion))),
            ("Policy", table(_policy_rows(result))),
        )
    )
    files = ", ".join(f"<code>{html.escape(_relative(f, folder))}</code>" for f in result.files)
    verdict = "" if result.motion.verdict is None else verdict_list(result.motion.verdict)
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in result.notes)
    return f"""<h2>{html.escape(result.skill.replace("_", " ").capitalize())}
<code>{html.escape(result.env_id)}</code></h2>
<figure>{embedded_video(result.video)}
<figcaption>The video with the pose found in it, the motion reconstructed from it, and the
simulated character that follows it. {outcome}</figcaption></figure>
{verdict}
<div class="columns">{cards}</div>
<div class="columns">{tables}</div>
{notes}
<p class="soft">Clip: {_source(result.motion)}<br>Files: {files}</p>"""


def _quality_rows(motion: ReferenceMotion) -> list[list[str]]:
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


def _policy_rows(result: SkillResult) -> list[list[str]]:
    card = result.card
    rows = [["algorithm", str(card.get("algorithm", "unknown"))]]
    if "samples" in card:
        rows.append(["control steps learned from", f"{card['samples']:,}"])
    if card.get("samples_before"):
        rows.append(["those of the policy it began from", f"{card['samples_before']:,}"])
    if "seconds" in card:
        rows.append(["trained in", _duration(float(card["seconds"]))])
    for name in ("machine", "mujoco_version", "stable_baselines3_version"):
        if name in card:
            rows.append([_words(name), str(card[name])])
    rows += [[f"demo: {name}", f"{s:.0f} s"] for name, s in result.stage_seconds.items()]
    return [[html.escape(cell) for cell in row] for row in rows]


def _source(motion: ReferenceMotion) -> str:
    source = motion.provenance.get("source", {})
    parts = [str(source[k]) for k in ("title", "author", "origin") if source.get(k)]
    if source.get("licence"):
        parts.append(f"licence: {source['licence']}")
    if source.get("sha256"):
        parts.append(f"sha256 {str(source['sha256'])[:12]}…")
    return html.escape("; ".join(parts) or "unknown")


# --- pieces -----------------------------------------------------------------------------------


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
"""The reconstruction's figures that the page shows, in words."""


def _words(key: str) -> str:
    return html.escape(key.replace("_", " "))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return html.escape(f"{value:.3g}" if isinstance(value, float) else str(value))


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else path.name


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
