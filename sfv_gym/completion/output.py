"""What is written of completions: films, a contact sheet, a page."""

from __future__ import annotations

import html
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from sfv_gym.completion.picture import Still
from sfv_gym.completion.result import Completion
from sfv_gym.files import atomic_path
from sfv_gym.play.panels import clip_panels, labelled, side_by_side, view_azimuth
from sfv_gym.play.pictures import render_states
from sfv_gym.play.rollout import Rollout
from sfv_gym.pose import PoseSequence
from sfv_gym.render.page import data_url, embedded_video, table, write_page
from sfv_gym.rotations import heading
from sfv_gym.video import write_video

MOMENTS = (0.0, 0.25, 0.5, 1.0)
"""Seconds after the picture that the contact sheet shows."""
_SIDE = 360


def write_all(
    out: Path,
    picture: Still,
    poses: PoseSequence,
    found: list[Completion],
    played: dict[str, Rollout],
) -> list[Completion]:
    """Write a film of each that was played, ``sheet.png`` and ``report.html``; completions with
    their films."""
    out.mkdir(parents=True, exist_ok=True)
    panel = clip_panels(picture, poses)
    rows, done = [], []
    for one in found:
        if one.skill in played:
            film, rolled = out / f"{one.skill}.mp4", played[one.skill]
            azimuth = view_azimuth(poses) + _heading(rolled)
            write_video(
                film,
                side_by_side(
                    panel, picture.fps, rolled, cyclic=False, azimuth=azimuth, shows="picture"
                ),
                rolled.hz,
            )
            rows.append(film_row(panel[0], one, rolled, poses))
            one = replace(one, film=film)
        done.append(one)
    rows = rows or [labelled(panel[0], "picture: far from all skills")]
    sheet = out / "sheet.png"
    with atomic_path(sheet) as part:
        Image.fromarray(np.vstack(rows)).save(part)
    _write_page(out / "report.html", picture, poses, done, sheet)
    return done


def _heading(played: Rollout) -> float:
    """Degrees about z, of the first state."""
    w, _, _, z = heading(played.qpos[0, 3:7])
    return float(np.degrees(2 * np.arctan2(z, w)))


def film_row(
    panel: np.ndarray, one: Completion, played: Rollout, poses: PoseSequence
) -> np.ndarray:
    """A panel (H, W, 3) uint8 of the picture and the film at ``MOMENTS``, side by side.

    Args:
        poses: of the picture, for the side from which the character is seen.
    """
    azimuth = view_azimuth(poses) + _heading(played)
    at = np.minimum(np.round(np.array(MOMENTS) * played.hz).astype(int), len(played.qpos) - 1)
    states = render_states(
        played.model, played.qpos[at], played.hz, width=_SIDE, height=_SIDE, azimuth=azimuth
    )
    name = one.skill + (", mirrored" if one.mirrored else "")
    shown = [labelled(panel, "picture", f"{name}: {one.words}, {100 * one.distance:.0f} cm")]
    shown += [
        labelled(state, f"{step / played.hz:.2f} s", "failed" if played.has_failed(step) else "")
        for state, step in zip(states, at.tolist(), strict=True)
    ]
    return np.hstack(shown)


def _write_page(
    path: Path, picture: Still, poses: PoseSequence, found: list[Completion], sheet: Path
) -> None:
    rows = [
        [
            html.escape(one.skill) + (" (mirrored)" if one.mirrored else ""),
            f"{one.words} ({100 * one.distance:.0f} cm)",
            f"{one.time:.2f} s",
            one.policy or "no policy ships" if one.is_near else "too far to play",
            {None: "", True: "yes", False: "no"}[one.stays_up],
            "" if one.share is None else f"{100 * one.share:.0f} %",
        ]
        for one in found
    ]
    near = any(one.is_near for one in found)
    notes = "".join(f"<li>{html.escape(n)}</li>" for n in poses.source.get("notes", []))
    films = "".join(embedded_video(one.film) for one in found if one.film)
    write_page(
        path,
        title=f"{picture.path.name}, and on",
        lead="The nearest skills, nearest first."
        if near
        else "The picture is far from all skills.",
        body=(f"<ul>{notes}</ul>" if notes else "")
        + table(
            rows, ("skill", "distance", "at", "policy", "up for a second", "picture's pose in it")
        )
        + f'<img src="{data_url(sheet, "image/png")}" alt="contact sheet">'
        + films,
    )
