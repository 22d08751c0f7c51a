"""Commands from a video to a motion, and those that show whether it all works."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sfv_gym.files import check_folder
from sfv_gym.jobs.options import Address, ExecutorName, Workers, interruptible, make_executor
from sfv_gym.registry import skill_of_file

if TYPE_CHECKING:
    from sfv_gym.library import Built
    from sfv_gym.motion import ReferenceMotion

from sfv_gym.cli.options import (
    AsJson,
    FirstSecond,
    LastSecond,
    Loop,
    MotionOut,
    ReportOut,
    SkillName,
    Strict,
    app,
    console,
    print_verdict,
)


@app.command(epilog="Example: [bold]sfv demo --out out/demo[/bold]")
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything that is made.")] = Path(
        "out/demo"
    ),
    train: Annotated[
        bool, typer.Option("--train", help="Train the policies again instead of the shipped ones.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(help="With --train: control steps of each training run.", min=1)
    ] = None,
) -> None:
    """Two videos -> motions -> environments -> policies -> pictures and a report."""
    from sfv_gym.cli.demo import run_demo

    check_folder(out)
    report = run_demo(out, train=train, steps=steps)
    console.print(f"Open [bold]{escape(str(report))}[/bold] in a browser.")


@app.command(epilog="Example: [bold]sfv doctor[/bold]")
def doctor(as_json: AsJson = False) -> None:
    """Show what works here: physics, rendering, pose model, training."""
    from sfv_gym.cli.doctor import diagnose, healthy, print_report, to_json

    checks = diagnose()
    if as_json:
        typer.echo(to_json(checks))
    else:
        print_report(checks)
    raise typer.Exit(0 if healthy(checks) else 1)


@app.command(epilog="Example: [bold]sfv extract jump.mp4 --skill jump --start 1.5 --end 4[/bold]")
def extract(
    video: Annotated[
        Path, typer.Argument(help="A video of one person, from a camera that stays in its place.")
    ],
    skill: SkillName = None,
    out: MotionOut = None,
    start: FirstSecond = None,
    end: LastSecond = None,
    speed: Annotated[
        float,
        typer.Option(
            help="How fast the video plays what it shows: 0.25 for slow motion at a quarter of "
            "the real speed. Without it, a slow-motion jump falls slower than gravity."
        ),
    ] = 1.0,
    loop: Loop = "auto",
    estimator: Annotated[
        str,
        typer.Option(
            help="What finds the person in the frames: mediapipe, or your own as "
            "my_module:MyEstimator or path/file.py:MyEstimator."
        ),
    ] = "mediapipe",
    pose: Annotated[
        Path | None,
        typer.Option(
            help="A file of poses that another program saw in this video, in place of an "
            "estimator: SAM 3D Body, GVHMR, WHAM, PromptHMR, COCO or COCO-WholeBody keypoints as "
            "JSON, or a folder of OpenPose's."
        ),
    ] = None,
    camera: Annotated[
        str,
        typer.Option(
            help="static, or moving: it pans or zooms from one place; auto finds out from the "
            "background."
        ),
    ] = "auto",
    focal: Annotated[
        float | None,
        typer.Option(
            help="The camera's focal length, where it is known, in units of the picture's longer "
            "side: its 35 mm equivalent / 36. By default 1.1, about that of a phone's video."
        ),
    ] = None,
    subject: Annotated[
        str,
        typer.Option(
            help="Which of several people: largest (who counts most by size, time in view and "
            "movement), a number in that order from 1 on, or x,y: the one on whom that point lies "
            "at some time, in shares of width and height. sfv people shows them all."
        ),
    ] = "largest",
    objects: Annotated[
        Path | None,
        typer.Option(
            "--object",
            help="A YAML file of what the person touches, whose place is found from that and from "
            "the picture: type: box, size: [length, width, height] in metres, touched: [{by: "
            "left_hand, from: 1.1, to: 1.4}], the seconds as a player shows them. Or a list of "
            "several.",
        ),
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Also write the video with the skeleton drawn in.")
    ] = None,
    report: ReportOut = None,
    strict: Strict = False,
) -> None:
    """Take the motion of a person out of a video."""
    from sfv_gym.extract import extract_motion

    name = skill or skill_of_file(video)
    target = out or Path(f"{name}.npz")
    page = report or target.with_name(f"{target.stem}_report.html")
    extraction = extract_motion(
        video,
        skill=name,
        out=target,
        start=start,
        end=end,
        speed=speed,
        loop=loop,
        estimator=estimator,
        pose=pose,
        camera=camera,
        focal=focal,
        subject=subject,
        objects=objects,
        overlay=overlay,
        report=page,
        strict=strict,
    )
    _print_motion(extraction.motion, target, page)


@app.command("import", epilog="Example: [bold]sfv import walk.bvh --out walk.npz[/bold]")
def import_command(
    file: Annotated[
        Path,
        typer.Argument(
            help="Joints in space: .bvh, .trc, .csv, or SMPL parameters in a world, as GVHMR "
            "(.pt), WHAM, PromptHMR (.pkl) and AMASS (.npz) write them."
        ),
    ],
    skill: SkillName = None,
    out: MotionOut = None,
    start: FirstSecond = None,
    end: LastSecond = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second, where the file does not say; 30 by default."),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(help="Of the file: m, cm, mm, in, metres such as 0.0564, or auto."),
    ] = "auto",
    up: Annotated[
        str, typer.Option(help="The axis that is up in it: y, z, -y, ..., or auto.")
    ] = "auto",
    person: Annotated[
        int, typer.Option(help="Which of several people, longest in view first.", min=1)
    ] = 1,
    loop: Loop = "auto",
    report: ReportOut = None,
    strict: Strict = False,
) -> None:
    """Take a motion out of motion capture or another program's joints, without a video."""
    from sfv_gym.extract import import_motion

    name = skill or skill_of_file(file)
    target = out or Path(f"{name}.npz")
    page = report or target.with_name(f"{target.stem}_report.html")
    motion = import_motion(
        file,
        skill=name,
        out=target,
        start=start,
        end=end,
        fps=fps,
        unit=unit,
        up=up,
        person=person,
        loop=loop,
        report=page,
        strict=strict,
    )
    _print_motion(motion, target, page)


@app.command("export", epilog="Example: [bold]sfv export backflip --out backflip.glb[/bold]")
def export_command(
    motion: Annotated[str, typer.Argument(help="A motion file (.npz), or a skill such as walk.")],
    out: Annotated[
        Path,
        typer.Option(
            help="File to write: .bvh (centimetres, y up), .csv (metres, z up) or .glb (binary "
            "glTF with a figure)."
        ),
    ],
    person: Annotated[
        bool,
        typer.Option(
            "--person/--character",
            help="The person's own proportions and path, or the character's.",
        ),
    ] = False,
) -> None:
    """Write a motion for another program: BVH, CSV or binary glTF."""
    from sfv_gym.export import export_motion

    export_motion(motion, out, person=person)
    console.print(f"Wrote [bold]{escape(str(out))}[/bold].")


def _print_motion(motion: ReferenceMotion, target: Path, page: Path) -> None:
    """What came out, what it is worth, and how to use it."""
    table = Table(title=f"{target}: {motion.num_frames} frames, {motion.duration:.2f} s")
    table.add_column("quality")
    table.add_column("value", justify="right")
    for key, value in motion.provenance.get("quality", {}).items():
        table.add_row(key, f"{value:.3g}" if isinstance(value, float) else str(value))
    console.print(table)
    print_verdict(motion.verdict, console)
    console.print(f"[bold]{escape(str(page))}[/bold] shows it in a browser.", soft_wrap=True)
    console.print(
        f"Use it with [bold]SFV_GYM_MOTIONS={target.parent.resolve()}[/bold] or "
        f"sfv_gym.register_motion({str(target)!r})."
    )


@app.command(epilog="Example: [bold]sfv people dance.mp4 --out people.png[/bold]")
def people(
    video: Annotated[Path, typer.Argument(help="A video of several people.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Picture to write, .png; <video>_people.png by default."),
    ] = None,
    start: FirstSecond = None,
    end: LastSecond = None,
    estimator: Annotated[
        str, typer.Option(help="What finds the people, as for sfv extract.")
    ] = "mediapipe",
    as_json: AsJson = False,
) -> None:
    """Show who is in a video, with the numbers that sfv extract --subject takes."""
    from sfv_gym.pose.people_sheet import write_people

    target = out or Path(f"{video.stem}_people.png")
    rows = write_people(video, target, start=start, end=end, estimator=estimator)
    if as_json:
        typer.echo(json.dumps({"picture": str(target), "people": rows}))
        return
    table = Table(title=f"{target}: {len(rows)} people")
    for name in ("--subject", "x,y", "seconds", "frames", "moves m/s"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(
            str(row["subject"]),
            f"{row['x']:.2f},{row['y']:.2f}",
            f"{row['start']:.2f} to {row['end']:.2f}",
            str(row["frames"]),
            f"{row['speed']:.2f}",
        )
    console.print(table)


@app.command(
    "build-library",
    epilog="Example: [bold]sfv build-library clips/ --out motions/ --sheets sheets/[/bold]",
)
def build_library_command(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders that hold the library's clips; those that ship with the package are "
            "found without.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the motions.")] = Path("library"),
    skill: Annotated[
        list[str] | None, typer.Option(help="Only this skill; can be given several times.")
    ] = None,
    sheets: Annotated[
        Path | None, typer.Option(help="Folder for a picture of each: video above, motion below.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Make again what is up to date.")] = False,
    executor: ExecutorName = "local",
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Make the reference motions of the whole library; goes on where it was interrupted."""
    from sfv_gym.library import build_library

    for folder in filter(None, (out, sheets)):
        check_folder(folder)
    kept = "finished motions are kept"
    with interruptible(console, kept), make_executor(executor, workers, address) as chosen:
        made: list[Built] = build_library(
            folders or [],
            out,
            skills=skill,
            sheets=sheets,
            force=force,
            executor=chosen,
            console=console,
        )
    failed = sum(built.motion is None for built in made)
    if failed:
        console.print(f"[red]{failed} motions could not be made[/red]")
        raise typer.Exit(1)  # wrong input it need not be


@app.command(epilog="Example: [bold]sfv assess walk --plot walk.svg[/bold]")
def assess(
    motion: Annotated[str, typer.Argument(help="A motion file (.npz), or a skill such as walk.")],
    character: Annotated[str, typer.Option(help="humanoid or atlas.")] = "humanoid",
    plot: Annotated[
        Path | None, typer.Option(help="Also draw its course, as an .svg picture.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Could a simulated character do this motion? Forces, torques, contacts, frame by frame."""
    from sfv_gym.assessment import dynamics, report
    from sfv_gym.registry import find_motion

    one = find_motion(motion)
    found = dynamics.assess(one, character)
    if plot is not None:
        report.plot(found, plot)
    if as_json:
        troubles = [asdict(trouble) for trouble in found.troubles()]
        verdict = None if one.verdict is None else one.verdict.as_dict()
        summary = {"motion": motion, **found.summary(), "troubles": troubles, "verdict": verdict}
        typer.echo(json.dumps(summary))
    else:
        report.print_report(found, motion, Console())
        print_verdict(one.verdict, Console())
