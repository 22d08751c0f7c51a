"""`sfv doctor`'s findings, and the choice of an OpenGL backend."""

import json
import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from sfv_gym.cli import doctor
from sfv_gym.errors import RenderError
from sfv_gym.render import gl, system_libs

SCENE = """
<mujoco>
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="plane" size="5 5 .1" rgba="1 0 0 1"/>
  </worldbody>
</mujoco>
"""


@pytest.fixture(scope="module")
def checks() -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.diagnose()}


def test_everything_required_works_here(checks):
    broken = [check for check in checks.values() if check.required and not check.ok]
    assert not broken


def test_the_main_parts_are_looked_at(checks):
    assert {"Python", "MuJoCo batch", "pictures (OpenGL)", "pose model", "PyTorch"} <= checks.keys()
    assert checks["pictures (OpenGL)"].detail in ("egl", "osmesa", "glfw", "cgl")


def test_json_holds_every_check(checks):
    report = json.loads(doctor.to_json(checks.values()))
    assert report["ok"] is doctor.healthy(checks.values())
    assert {check["name"] for check in report["checks"]} == checks.keys()


def test_report_names_the_fix_of_what_failed(capsys):
    failed = doctor.Check("part [x]", False, True, "is broken", "apt-get install it")
    doctor.print_report([failed, doctor.Check("other", True, True, "fine", "not needed")])
    text = capsys.readouterr().out
    assert "part [x]" in text and "apt-get install it" in text
    assert "not needed" not in text


@pytest.mark.parametrize(
    ("ok", "required", "healthy"),
    [(True, True, True), (False, False, True), (False, True, False)],
)
def test_only_what_is_required_counts(ok, required, healthy):
    assert doctor.healthy([doctor.Check("part", ok, required, "")]) is healthy


def test_a_check_that_crashes_is_a_finding():
    def crash(name: str) -> doctor.Check:
        raise OSError("libGL.so.1: cannot open shared object file\nmore lines")

    check = doctor._guarded("OpenCV", crash)
    assert not check.ok and check.required
    assert check.detail == "OSError: libGL.so.1: cannot open shared object file"


def test_a_picture_of_a_red_floor_is_red():
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with gl.create_renderer(model, height=64, width=64) as renderer:
        renderer.update_scene(data)
        picture = renderer.render()
    assert picture.shape == (64, 64, 3)
    red, green, blue = picture.reshape(-1, 3).mean(axis=0)
    assert red > 20 and red > 5 * max(green, blue)
    assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 1


def test_a_picture_larger_than_the_framebuffer_is_a_value_error():
    model = mujoco.MjModel.from_xml_string(SCENE)
    with pytest.raises(ValueError, match="framebuffer"):
        gl.create_renderer(model, height=64, width=100_000)


def _choose_in_a_new_process(code: str, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is nothing to choose")
def test_the_choice_holds_for_a_mujoco_that_was_imported_before():
    code = (
        "import mujoco; from sfv_gym.render.gl import choose_gl_backend as choose; "
        "print(choose(), mujoco.GLContext.__module__)"
    )
    backend, module = _choose_in_a_new_process(code).split()
    assert module == f"mujoco.{backend}"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is nothing to choose")
@pytest.mark.parametrize("setting", ["off", "no_such_backend"])
def test_a_setting_that_cannot_draw_is_one_clear_error(monkeypatch, setting):
    monkeypatch.setenv("MUJOCO_GL", setting)
    with pytest.raises(RenderError, match=f"MUJOCO_GL={setting}"):
        gl._choose()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is nothing to choose")
def test_a_machine_without_any_backend_is_told_what_to_install(monkeypatch):
    for name in ("MUJOCO_GL", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(gl, "_PROBES", {"egl": lambda: False, "osmesa": lambda: False})
    with pytest.raises(RenderError, match=r"(apt-get|dnf) install"):
        gl._choose()


def test_system_libraries_run_on_a_bare_python(tmp_path):
    """`make setup` runs the module as a script before any package is installed."""
    result = subprocess.run(
        [sys.executable, "-I", "-S", system_libs.__file__],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr


def test_one_command_installs_each_missing_package_once():
    names = ("libglib-2.0.so.0", "libgthread-2.0.so.0", "libEGL.so.1")
    lacking = [library for library in system_libs.LIBRARIES if library.name in names]
    command = system_libs.install_command(lacking)
    assert command.count("glib2") == 1
    assert command.count("egl") == 1


def test_what_cannot_be_installed_is_said_in_one_command(monkeypatch, capsys):
    lacking = [library for library in system_libs.LIBRARIES if library.name == "libGL.so.1"]
    monkeypatch.setattr(system_libs, "missing", lambda: lacking)
    monkeypatch.setattr(system_libs, "_is_root", lambda: False)
    assert system_libs.main() == 1
    message = capsys.readouterr().err
    assert "libGL.so.1 (for OpenCV)" in message
    assert "sudo " in message and " install -y " in message
