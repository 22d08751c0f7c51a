"""A page to judge a motion by: the verdict, the video with the person drawn in, the person from two
sides, and what touches the ground when."""

from __future__ import annotations

import html
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sfv_gym import skeleton
from sfv_gym.motion import BAD, DOUBTFUL, GOOD, NOTE, ReferenceMotion
from sfv_gym.render.page import data_url, embedded_video, verdict_list, write_page
from sfv_gym.rotations import quat_rotate
from sfv_gym.spans import runs

if TYPE_CHECKING:
    pass

MOMENTS = 6
"""Of the motion, that are shown side by side."""
WIDEST = 640
"""Pixels of the page's video."""
FIGURE = 150
"""Pixels, the side of a moment's picture."""
REACH = 1.05
"""Metres that a figure's picture shows to either side of the root."""
HEAD = 0.17
"""Metres, of the middle of the head over the neck."""
ROWS = ("right hand", "left hand", "right foot", "left foot")
"""The columns of ``ReferenceMotion.contacts``."""
MEANING = {
    GOOD: "Nothing that can be measured speaks against this reconstruction.",
    DOUBTFUL: "Something speaks against this reconstruction: look before you use it.",
    BAD: "This reconstruction is probably wrong.",
}
UNSEEN = "A camera hardly sees depth: errors that its own view hides show from the side."
COLOURS = {NOTE: "#c9b458", DOUBTFUL: "#e0902a", BAD: "#d9322b"}


def write_report(
    path: str | os.PathLike[str],
    motion: ReferenceMotion,
    overlay: Iterable[np.ndarray] | None = None,
) -> None:
    """Write the page, whole or not at all.

    Args:
        motion: as a reconstruction made it, with its verdict.
        overlay: the video's frames (H, W, 3), one a frame of the motion, with the person drawn in;
            None where there was no video.

    Raises:
        OutputError: it cannot be written there.
    """
    at = np.linspace(0, motion.num_frames - 1, MOMENTS).round().astype(int)
    clip, stills = ("", []) if overlay is None else _video(overlay, motion.fps, at)
    verdict = motion.verdict
    judged = "" if verdict is None else f"{verdict_list(verdict)}<p>{MEANING[verdict.grade]}</p>"
    times = "".join(f"<th>{t / motion.fps:.2f} s</th>" for t in at)
    rows = [
        f"<tr><th>{name}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
        for name, cells in (("video", stills), *_figures(motion, at))
        if cells
    ]
    unseen = "" if motion.camera is None else UNSEEN
    body = f"""<div class="card">{judged}</div>
{clip}
<h2>The person</h2>
<div class="card"><table><thead><tr><th></th>{times}</tr></thead><tbody>{"".join(rows)}</tbody>
</table></div>
<p class="soft">The line is the ground, blue the person's left, orange their right. {unseen}</p>
<h2>Over time</h2>
<div class="card">{_course(motion)}</div>
<p class="soft">Grey: touches the ground. Blue: in the air. Red, orange and yellow: what is
bad, doubtful, or a mere note.</p>"""
    seconds = f"{motion.num_frames} frames, {motion.duration:.2f} s"
    title = motion.skill.replace("_", " ").capitalize() or "Motion"
    write_page(path, title=title, lead=html.escape(seconds), body=body)


def _video(overlay: Iterable[np.ndarray], fps: float, at: np.ndarray) -> tuple[str, list[str]]:
    """A player of the video, and its frames ``at``, as HTML."""
    from sfv_gym.video import write_picture, write_video

    stills: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        clip, picture = Path(folder, "overlay.mp4"), Path(folder, "still.webp")

        def kept() -> Iterator[np.ndarray]:
            for t, frame in enumerate(overlay):
                if t in at:
                    write_picture(picture, frame, width=2 * FIGURE)
                    stills.append(f'<img src="{data_url(picture, "image/webp")}" alt="">')
                yield _smaller(frame)

        write_video(clip, kept(), fps, crf=28)
        return f"<figure>{embedded_video(clip)}</figure>", stills


def _smaller(frame: np.ndarray) -> np.ndarray:
    import cv2

    share = WIDEST / frame.shape[1]
    if share >= 1:
        return frame
    size = WIDEST, round(share * frame.shape[0])
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def _figures(motion: ReferenceMotion, at: np.ndarray) -> Iterator[tuple[str, list[str]]]:
    """Rows of pictures of the person at frames ``at``: as the camera stands, and from its right."""
    pos, quat = skeleton.forward_kinematics(
        motion.person_root_pos[at],
        motion.person_root_quat[at],
        motion.person_joint_quat[at],
        motion.person_offsets,
    )
    neck = skeleton.link_index("neck")
    heads = pos[:, neck] + quat_rotate(quat[:, neck], np.array([0.0, 0.0, HEAD]))
    soles = skeleton.sole_corners(pos, quat)  # (N, 2, 4, 3)
    # without a camera the person is looked at from where they look first
    right = np.array([0.0, 1.0]) if motion.camera is None else motion.camera.rotation[0, :2]
    right = right / max(float(np.linalg.norm(right)), 1e-9)
    low = min(-0.1, float(soles[..., 2].min()), float(pos[..., 2].min()))
    high = max(1.9, float(heads[:, 2].max()) + 0.2)
    name = "from the front" if motion.camera is None else "from the camera"
    # seen from the onlooker's right, what was far away is on the right
    ahead = np.array([-right[1], right[0]])
    for title, across in ((name, right), ("from the side", ahead)):
        cells = []
        for i, middle in enumerate(pos[:, 0, :2] @ across):

            def flat(
                points: np.ndarray, x: float = middle, axis: np.ndarray = across
            ) -> np.ndarray:
                return np.stack((points[..., :2] @ axis - x, high - points[..., 2]), -1)

            cells.append(_figure(flat(pos[i]), flat(heads[i]), flat(soles[i]), high, high - low))
        yield title, cells


def _figure(
    joints: np.ndarray, head: np.ndarray, soles: np.ndarray, ground: float, height: float
) -> str:
    """An ``<svg>`` of joints (15, 2), a head (2,) and soles (2, 4, 2), in metres down from the top.

    Args:
        ground: where it lies. height: of the picture.
    """
    parts = [
        f'<line x1="{-REACH}" x2="{REACH}" y1="{ground:.3f}" y2="{ground:.3f}" stroke="#8a8f98" '
        'stroke-width=".015"/>'
    ]

    def stroke(name: str) -> str:
        colour = {"left": "#408cff", "right": "#ff8040"}.get(name.split("_")[0], "#8a8f98")
        return (
            f'stroke="{colour}" stroke-width=".05" stroke-linecap="round" stroke-linejoin="round" '
            'fill="none"'
        )

    for link, parent in enumerate(skeleton.PARENTS):
        if parent >= 0:
            (x1, y1), (x2, y2) = joints[parent], joints[link]
            parts.append(
                f'<line x1="{x1:.3f}" y1="{y1:.3f}" x2="{x2:.3f}" y2="{y2:.3f}" '
                f"{stroke(skeleton.LINKS[link])}/>"
            )
    for side, corners in zip(("right", "left"), soles, strict=True):
        points = " ".join(f"{x:.3f},{y:.3f}" for x, y in corners[[0, 1, 3, 2]])
        parts.append(f'<polygon points="{points}" {stroke(side)}/>')
    parts.append(f'<circle cx="{head[0]:.3f}" cy="{head[1]:.3f}" r=".11" {stroke("head")}/>')
    return (
        f'<svg viewBox="{-REACH} 0 {2 * REACH} {height:.3f}" style="max-width: {FIGURE}px">'
        f"{''.join(parts)}</svg>"
    )


def _course(motion: ReferenceMotion) -> str:
    """An ``<svg>`` of what touches the ground, when nothing does, and of what was found when."""
    frames, fps = motion.num_frames, motion.fps
    rows: dict[tuple[str, str], list[tuple[float, float, str]]] = {
        (name, ""): [(a, b + 1, "#8a8f98") for a, b in runs(touches > 0.5)]
        for name, touches in zip(ROWS, motion.contacts.T, strict=True)
    }
    rows["in the air", ""] = [(a, b + 1, "#7fbdf0") for a, b in motion.flights]
    for one in motion.verdict.findings if motion.verdict is not None else ():
        if one.seconds is not None:
            start, end = (fps * second for second in one.seconds)
            name = ": ".join(filter(None, (one.part, one.reason.split(",")[0])))
            row = rows.setdefault((name, one.reason), [])
            row.append((start, end, COLOURS[one.severity]))
    left, wide, high = 230, 700, 22
    parts = []
    for i, ((name, reason), spans) in enumerate(rows.items()):
        y = i * high
        parts.append(f'<text x="0" y="{y + 15}">{html.escape(name)}</text>')
        parts.append(
            f'<line class="grid" x1="{left}" x2="{left + wide}" y1="{y + 11}" y2="{y + 11}"/>'
        )
        for start, end, colour in spans:
            x, width = left + wide * start / frames, wide * (end - start) / frames
            parts.append(
                f'<rect x="{x:.1f}" y="{y + 4}" width="{max(width, 1.0):.1f}" height="14" '
                f'fill="{colour}"><title>{html.escape(reason)}</title></rect>'
            )
    y = len(rows) * high + 14
    parts.append(f'<text x="{left}" y="{y}">0</text>')
    parts.append(f'<text x="{left + wide}" y="{y}" text-anchor="end">{frames / fps:.2f} s</text>')
    return f'<svg viewBox="0 0 {left + wide} {y + 6}">{"".join(parts)}</svg>'
