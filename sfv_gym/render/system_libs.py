"""The system libraries that the Python wheels expect, and how to get those that are missing.

`sfv doctor` asks this module; on a bare machine `make setup` runs it as a script, before
anything else is there: so it imports the standard library alone.
"""

from __future__ import annotations

import ctypes
import glob
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MINIMUM_PYTHON = (3, 11)  # MuJoCo 4's


@dataclass(frozen=True)
class Library:
    """Something that is installed with the system's package manager, not with pip."""

    name: str
    debian: str  # the package that holds it, on Debian and Ubuntu
    fedora: str  # and on Fedora and RHEL
    needed_by: str

    def is_there(self) -> bool:
        """Whether this machine has it, whichever package it came with."""
        if self.name == "ensurepip":
            return importlib.util.find_spec("ensurepip") is not None
        if self.name == "OpenGL driver":
            return _opengl_driver_is_there()
        return _loads(self.name)


LIBRARIES = (
    Library("libGL.so.1", "libgl1", "mesa-libGL", "OpenCV"),
    Library("libglib-2.0.so.0", "libglib2.0-0", "glib2", "OpenCV"),
    Library("libgthread-2.0.so.0", "libglib2.0-0", "glib2", "OpenCV"),
    Library("libxcb.so.1", "libxcb1", "libxcb", "OpenCV"),
    Library("libEGL.so.1", "libegl1", "libglvnd-egl", "MediaPipe, pictures without a screen"),
    Library("libGLESv2.so.2", "libgles2", "libglvnd-gles", "MediaPipe"),
    Library("OpenGL driver", "libgl1-mesa-dri", "mesa-dri-drivers", "pictures without a screen"),
    Library("ensurepip", "python3-venv", "python3", "the virtual environment"),
)


def missing() -> list[Library]:
    """The libraries that this machine lacks; on other systems than Linux, none."""
    if not sys.platform.startswith("linux"):
        return []
    return [library for library in LIBRARIES if not library.is_there()]


def install_command(libraries: Sequence[Library] = LIBRARIES) -> str:
    """The one command that installs `libraries` on this machine."""
    sudo = "" if _is_root() else "sudo "
    if not shutil.which("apt-get") and shutil.which("dnf"):
        return f"{sudo}dnf install -y {_packages(library.fedora for library in libraries)}"
    return (
        f"{sudo}apt-get update && {sudo}apt-get install -y --no-install-recommends "
        f"{_packages(library.debian for library in libraries)}"
    )


def main() -> int:
    """Installs what is missing where that is possible; otherwise says how. 0: all is there."""
    if sys.version_info < MINIMUM_PYTHON:
        found, wanted = ("{}.{}".format(*v[:2]) for v in (sys.version_info, MINIMUM_PYTHON))
        return _complain(
            f"sfv_gym needs Python {wanted} or newer and this is {found}. "
            f"Name a newer one: make PYTHON=python{wanted} ..."
        )
    lacking = missing()
    if lacking and _is_root() and shutil.which("apt-get"):
        print(f"Installing system packages: {_packages(lib.debian for lib in lacking)}", flush=True)
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        quiet = install_command(lacking).replace("apt-get", "apt-get -qq")
        # apt-get's own messages go to stderr; its list of unpacked packages interests nobody
        subprocess.run(quiet, shell=True, env=environment, stdout=subprocess.DEVNULL, check=False)
        lacking = missing()
    if not lacking:
        return 0
    what = ", ".join(f"{library.name} (for {library.needed_by})" for library in lacking)
    return _complain(
        f"Missing on this system: {what}.\n"
        f"Install it with: {install_command(lacking)}\n"
        "or go on without: make SYSTEM_LIBS=skip ..."
    )


def _complain(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _packages(names: Iterable[str]) -> str:
    return " ".join(dict.fromkeys(names))


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _opengl_driver_is_there() -> bool:
    """Whether there is a vendor's driver, or Mesa's that draws on the CPU."""
    mesa = [*glob.glob("/usr/lib*/dri/swrast_dri.so"), *glob.glob("/usr/lib/*/dri/swrast_dri.so")]
    return bool(mesa) or any(map(_loads, ("libEGL_nvidia.so.0", "libOSMesa.so.8")))


if __name__ == "__main__":
    sys.exit(main())
