"""What of sfv_gym works on this machine, and what to do about the rest: `sfv doctor`.

Each check tries the thing itself (steps a simulation, draws a picture, imports a library). A
part that is not installed is reported and not required; a part that is installed but broken is.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Any

import numpy as np

from sfv_gym.errors import SFVError
from sfv_gym.jobs.machine import usable_cores
from sfv_gym.render import system_libs
from sfv_gym.render.gl import choose_gl_backend, create_renderer

REINSTALL = "`make setup` in a checkout, or install sfv-gym again"

_TINY_MODEL = """
<mujoco>
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="plane" size="2 2 .1" rgba=".8 .3 .2 1"/>
    <body pos="0 0 1"><freejoint/><geom type="sphere" size=".3" mass="1"/></body>
  </worldbody>
</mujoco>
"""


@dataclass(frozen=True)
class Check:
    """One finding: `detail` says what was seen, `fix` what to do where `ok` is false."""

    name: str
    ok: bool
    required: bool
    detail: str
    fix: str = ""


def diagnose() -> list[Check]:
    """Tries every part and says what works; takes some seconds for the imports."""
    checks: list[tuple[str, Callable[[str], Check]]] = [
        ("Python", _python),
        ("system libraries", _system_libraries),
        ("NumPy", _base("numpy")),
        ("Gymnasium", _base("gymnasium")),
        ("MuJoCo", _base("mujoco")),
        ("MuJoCo batch", _batch),
        ("pictures (OpenGL)", _pictures),
        ("environments", _environments),
        ("policies", _policies),
        ("OpenCV", _extra("opencv-contrib-python", "cv2", "video")),
        ("MediaPipe", _extra("mediapipe", "mediapipe", "video", _load_mediapipe)),
        ("pose model", _pose_model),
        ("PyAV (FFmpeg)", _extra("av", "av", "video", _find_h264)),
        ("PyTorch", _torch),
        ("Stable-Baselines3", _extra("stable-baselines3", "stable_baselines3", "train")),
        ("CPU cores", _cores),
    ]
    return [_guarded(name, check) for name, check in checks]


def healthy(checks: Iterable[Check]) -> bool:
    """Whether everything that is required works."""
    return all(check.ok for check in checks if check.required)


def to_json(checks: Iterable[Check]) -> str:
    """The findings as one JSON object: `ok`, and the list `checks`."""
    checks = list(checks)
    report = {"ok": healthy(checks), "checks": [asdict(check) for check in checks]}
    return json.dumps(report, indent=2)


def print_report(checks: Iterable[Check]) -> None:
    """Prints the findings as a table, then what to do about those that failed."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    checks = list(checks)
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("part", no_wrap=True)
    table.add_column("found", overflow="fold")
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]no[/]" if check.required else "[yellow]--[/]"
        table.add_row(mark, escape(check.name), escape(check.detail))
    console.print(table)
    for fix in dict.fromkeys(check.fix for check in checks if not check.ok and check.fix):
        parts = ", ".join(check.name for check in checks if not check.ok and check.fix == fix)
        # soft_wrap keeps a command on one line, so that it can be copied
        console.print(f"\n{escape(parts)}:\n  {escape(fix)}", soft_wrap=True)
    console.print(
        "\nEverything that is needed works."
        if healthy(checks)
        else "\nSomething that is needed does not work: see above."
    )


def _guarded(name: str, check: Callable[[str], Check]) -> Check:
    """A check that fails in an unforeseen way is a finding, not a crash."""
    try:
        return check(name)
    except Exception as error:
        return Check(name, False, True, f"{type(error).__name__}: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _python(name: str) -> Check:
    ok = sys.version_info >= system_libs.MINIMUM_PYTHON
    minimum = ".".join(map(str, system_libs.MINIMUM_PYTHON))
    detail = f"{platform.python_version()} on {platform.platform(terse=True)}"
    return Check(name, ok, True, detail, f"install Python {minimum} or newer")


def _system_libraries(name: str) -> Check:
    """Not required by itself: what needs a library has its own check, and may not be installed."""
    missing = [library for library in system_libs.missing() if library.name != "ensurepip"]
    if not missing:
        return Check(name, True, False, "all there")
    detail = "missing: " + ", ".join(f"{lib.name} ({lib.needed_by})" for lib in missing)
    return Check(name, False, False, detail, system_libs.install_command(missing))


def _base(module: str) -> Callable[[str], Check]:
    """A check of a package that every installation has."""

    def check(name: str) -> Check:
        try:
            version = importlib.import_module(module).__version__
        except Exception as error:
            detail = f"{type(error).__name__}: {_first_line(error)}"
            return Check(name, False, True, detail, REINSTALL)
        return Check(name, True, True, version)

    return check


def _extra(
    distribution: str, module: str, extra: str, attempt: Callable[[Any], object] | None = None
) -> Callable[[str], Check]:
    """A check of a package that comes with one of the extras; `attempt` uses it a little."""

    def check(name: str) -> Check:
        version = _version(distribution)
        if version is None:
            return _not_installed(name, extra)
        try:
            package = importlib.import_module(module)
            if attempt is not None:
                attempt(package)
        except Exception as error:
            detail = f"{version} fails: {type(error).__name__}: {_first_line(error)}"
            return Check(name, False, True, detail, _fix_of_import(error))
        return Check(name, True, True, version)

    return check


def _load_mediapipe(mediapipe: Any) -> object:
    """The import alone does not load its native library, making an image does."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    return mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)


def _find_h264(av: Any) -> object:
    """Some builds of FFmpeg have no encoder for the videos that browsers play."""
    return av.Codec("libx264", "w")


def _fix_of_import(error: Exception) -> str:
    missing = system_libs.missing()
    if missing and ".so" in str(error):
        return system_libs.install_command(missing)
    return REINSTALL


def _not_installed(name: str, extra: str) -> Check:
    return Check(name, False, False, "not installed", f"pip install '.[{extra}]' in a checkout")


def _batch(name: str) -> Check:
    import mujoco

    from sfv_gym.physics import Physics

    model = mujoco.MjModel.from_xml_string(_TINY_MODEL)
    physics = Physics(model, 4, 0)
    height = physics.data("qpos")[:, 2]
    start = height.copy()
    for _ in range(10):
        physics.step(1)
    ok = bool(np.all(height < start))  # it fell
    return Check(name, ok, True, f"4 simulations stepped on {physics.num_threads} threads")


def _pictures(name: str) -> Check:
    import mujoco

    model = mujoco.MjModel.from_xml_string(_TINY_MODEL)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    try:
        backend = choose_gl_backend()
        with create_renderer(model, height=64, width=64) as renderer:
            renderer.update_scene(data)
            picture = renderer.render()  # (64, 64, 3)
    except SFVError as error:
        problem, _, fix = str(error).rpartition(". ")
        return Check(name, False, True, problem, fix)
    if not picture.any():
        fix = "set MUJOCO_GL to another backend: egl, osmesa or glfw"
        return Check(name, False, True, f"{backend} draws only black pictures", fix)
    return Check(name, True, True, backend)


def _environments(name: str) -> Check:
    from sfv_gym.registry import list_envs

    count = len(list_envs())
    return Check(name, count > 0, True, f"{count} registered", REINSTALL)


def _policies(name: str) -> Check:
    from sfv_gym.play.policy import policies_folder

    skills = sorted(path.stem for path in policies_folder().glob("*.safetensors"))
    detail = f"{len(skills)} shipped: {', '.join(skills)}" if skills else "none shipped"
    return Check(name, bool(skills), False, detail, "sfv train ENV_ID makes one")


def _pose_model(name: str) -> Check:
    if _version("mediapipe") is None:
        return _not_installed(name, "video")
    from sfv_gym.pose.mediapipe.model import cached_pose_model

    path = cached_pose_model()
    if path is None:
        return Check(name, True, False, "not here yet: fetched once, at the first video")
    return Check(name, True, False, str(path))


def _torch(name: str) -> Check:
    if _version("torch") is None:
        return _not_installed(name, "train")
    import torch

    build = f"CUDA {torch.version.cuda} build" if torch.version.cuda else "CPU build"
    gpu = ", GPU found" if torch.cuda.is_available() else ""
    detail = f"{torch.__version__} ({build}{gpu}), {torch.get_num_threads()} threads"
    return Check(name, True, True, detail)


def _cores(name: str) -> Check:
    wanted = {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    detail = f"{usable_cores()} usable" + "".join(f", {k}={v}" for k, v in wanted.items())
    return Check(name, True, False, detail)
