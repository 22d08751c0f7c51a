"""Builds docs/environments.md from the docstring of ``ImitationEnv``, and docs/skills.md.

``python scripts/build_docs.py`` writes the pages; ``--pictures`` draws the terrains again. The
skills' pictures come from ``sfv build-library --sheets docs/skills``.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated

import mujoco
import numpy as np
import typer
from PIL import Image, ImageDraw

from sfv_gym.assessment import assess
from sfv_gym.characters import CHARACTERS, get_character
from sfv_gym.envs import ImitationEnv
from sfv_gym.envs.observations import (
    COMMON_PARTS,
    OBJECT_PARTS,
    get_observation,
    observation_parts,
)
from sfv_gym.envs.simulation import ImitationSimulation
from sfv_gym.envs.task import Task
from sfv_gym.library import library_clips
from sfv_gym.registry import TERRAIN_TITLES, TRACKERS, EnvEntry, find_motion, list_envs
from sfv_gym.render.renderer import Renderer

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE, SKILLS_PAGE = DOCS / "environments.md", DOCS / "skills.md"
PICTURES = DOCS / "images"
DIFFICULTIES = (0.2, 0.5, 1.0)
WIDTH, HEIGHT = 400, 300


def action_table(character: str) -> str:
    """Markdown rows: index, joint, axis, torque limit, range of absolute targets."""
    model, joints = get_character(character).model, get_character(character).joints
    middle, half = joints.target_range(model)
    low, high = np.round(middle - half, 2), np.round(middle + half, 2)
    head = ["| index | joint | axis | torque limit, N m | range, rad |", "|---|---|---|---|---|"]
    rows = []
    for ball, dof in zip(joints.balls, joints.ball_dof - 6, strict=True):
        limits = ", ".join(f"{x:g}" for x in model.actuator_forcerange[dof, 1])
        spans = ", ".join(f"{a:g}..{b:g}" for a, b in zip(low[dof], high[dof], strict=True))
        name = joints.names[ball].replace("_", " ")
        rows.append(f"| {dof[0]}-{dof[-1]} | {name} | x, y, z | {limits} | {spans} |")
    for hinge, dof, axis in zip(
        joints.hinges, joints.hinge_dof - 6, joints.hinge_axis, strict=True
    ):
        name = joints.names[hinge]
        if get_character(character).is_canonical:
            name = name.replace("_", " ")
        letter = ("-" if axis.sum() < 0 else "") + "xyz"[int(np.argmax(np.abs(axis)))]
        limit = model.actuator_forcerange[dof, 1]
        rows.append(f"| {dof} | {name} | {letter} | {limit:g} | {low[dof]:g}..{high[dof]:g} |")
    return "\n".join([*head, *sorted(rows, key=_first_index)])


def _first_index(row: str) -> int:
    return int(row.split("|")[1].split("-")[0])


def observation_table(observation: str = "phase") -> str:
    """Markdown rows: both characters have the same layout. Of any but the default observation, what
    all have in common is one row."""
    lines = ["| index | part | unit | frame | range | meaning |", "|---|---|---|---|---|---|"]
    (num_joints,) = {get_character(name).model.nu for name in CHARACTERS}
    parts = observation_parts(num_joints, True, get_observation(observation))
    if observation != "phase":
        lines.append(f"| 0-{parts[COMMON_PARTS].start - 1} | | | | | as in the table above |")
        parts = parts[COMMON_PARTS:]
    for part in parts:
        at = part.columns
        index = str(at.start) if part.size == 1 else f"{at.start}-{at.stop - 1}"
        cells = (index, part.name, part.unit, part.frame, part.range, part.meaning)
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(lines)


def object_table() -> str:
    """Markdown rows: what is seen of an object, counted from its first number."""
    lines = ["| index | part | unit | frame | range | meaning |", "|---|---|---|---|---|---|"]
    at = 0
    for name, size, *text in OBJECT_PARTS:
        cells = (f"{at}-{at + size - 1}", name, *text)
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |"))
        at += size
    return "\n".join(lines)


def shipped_envs() -> list[EnvEntry]:
    """The ids of the library's skills, without motions of one's own."""
    skills = {clip.skill for clip in library_clips()}
    return [entry for entry in list_envs() if entry.skill in skills]


def page() -> str:
    """The whole of docs/environments.md."""
    text = inspect.getdoc(ImitationEnv) or ""
    entries = shipped_envs()
    skills = sorted({entry.skill for entry in entries if entry.character == "humanoid"})
    terrains = "".join(
        f"\n![Both characters on {name}](images/terrain_{name}.webp)\n" for name in TERRAIN_TITLES
    )
    return (
        "<!-- written by scripts/build_docs.py from the docstring of ImitationEnv -->\n"
        f"# Environments\n\n{text}\n\n## Pictures\n\n"
        "The walk's reference on each terrain, drawn with seed 0, at difficulty "
        f"{', '.join(f'{d:g}' for d in DIFFICULTIES)} from left to right; above the humanoid, "
        f"below Atlas.\n{terrains}\n## Skills\n\n"
        f"[{len(skills)} skills](skills.md), each as "
        "`SFV-<Skill>[-Atlas][-Slopes|-Gaps|-Steps|-Beam]-v0`: "
        f"{len(entries)} ids, and {len(TRACKERS)} trackers of them all. `sfv envs` lists them.\n"
    )


def skills_page() -> str:
    """The whole of docs/skills.md: what each motion file says of itself."""
    lines = [
        "<!-- written by scripts/build_docs.py from the motion files -->",
        "# Skills",
        "",
        "Every reference motion was made from its video by the same pipeline (`sfv "
        "build-library`), with the settings in `reference_motions/library.yml` and no hand "
        "edits. Above: the video with the reconstructed person drawn in, where "
        "it may be shown. Below: the motion of the character at the same "
        "times. The rendered people move as in motion-captured clips; see NOTICE.md. How the "
        "motions are made and how true they are: [reconstruction](reconstruction.md).",
        "",
        "Feasible: the share of the motion that the humanoid could do as it stands, by inverse "
        "dynamics (`sfv assess`). A policy may leave the reference where it is not. Verdict: what "
        "the reconstruction says of itself; the older motions were made before it did.",
        "",
    ]
    for entry in shipped_envs():
        if entry.character != "humanoid" or entry.terrain != "flat":
            continue
        motion = find_motion(entry.env_id)
        quality, source = motion.provenance["quality"], motion.provenance["source"]
        cyclic = motion.loop == "wrap"
        length = f"cycle of {motion.period:.2f} s" if cyclic else f"{motion.duration:.2f} s"
        lines += [
            f"## {entry.env_id}",
            "",
            f"![{entry.skill}](skills/{entry.skill}.webp)",
            "",
            f"{source['title']} ({source['licence']}); {length}, {motion.num_frames} frames. "
            f"Reprojection error {quality['reprojection_percent_of_body']:.1f} % of the body's "
            f"height; planted feet skate {quality['foot_skate_mm_per_frame']:.1f} mm a frame and "
            f"sink {quality['penetration_max_mm']:.1f} mm at most; largest jump of momentum "
            f"{quality['momentum_jump_max_m_per_s']:.2f} m/s; {len(quality['flights'])} flights. "
            f"Feasible: {100 * assess(motion).feasible_fraction:.0f} %."
            + (f" Verdict: {motion.verdict}." if motion.verdict else ""),
            "",
        ]
    return "\n".join(lines)


def draw_terrain(character: str, terrain: str, difficulty: float, step: int = 40) -> np.ndarray:
    """The walk's reference on a drawn terrain, as a picture (HEIGHT, WIDTH, 3)."""
    task = Task.of(
        "walk",
        character=character,
        terrain=terrain,
        difficulty=None if terrain == "flat" else difficulty,
        initialization="fixed",
    )
    simulation = ImitationSimulation(task)
    simulation.seed(0)
    simulation.reset(simulation.all_ids, np.array([step]))
    model, data = simulation.physics.model_of(0), mujoco.MjData(simulation.model)
    data.qpos[:] = simulation.reference_qpos()[0]
    mujoco.mj_forward(model, data)
    ground = float(simulation.ground.height_offset(simulation.all_ids, data.qpos[None, :2])[0])
    with Renderer(model, WIDTH, HEIGHT, azimuth=130.0) as renderer:
        return renderer.render(data, ground=ground)


def draw_pictures() -> None:
    """One picture per terrain: difficulties across, characters down."""
    for terrain in TERRAIN_TITLES:
        difficulties = DIFFICULTIES if terrain != "flat" else (0.0,)
        rows = [
            np.hstack([draw_terrain(character, terrain, d) for d in difficulties])
            for character in CHARACTERS
        ]
        picture = np.hstack(rows) if terrain == "flat" else np.vstack(rows)
        image = Image.fromarray(picture)
        ImageDraw.Draw(image).text((8, 6), terrain, fill=(20, 20, 20), font_size=18)
        image.save(PICTURES / f"terrain_{terrain}.webp", quality=80)


def main(
    pictures: Annotated[bool, typer.Option("--pictures", help="Draw the pictures, too.")] = False,
) -> None:
    """Write docs/environments.md."""
    if pictures:
        draw_pictures()
    PAGE.write_text(page(), encoding="utf-8")
    SKILLS_PAGE.write_text(skills_page(), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
