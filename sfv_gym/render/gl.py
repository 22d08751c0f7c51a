"""An OpenGL backend for MuJoCo that works with or without a screen.

MuJoCo reads the environment variable `MUJOCO_GL` once, when it is imported, and takes GLFW
(a window, so a display) unless told otherwise. `choose_gl_backend` finds out what this machine
can do and sets it, also after the import.
"""

import ctypes
import importlib
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from sfv_gym.errors import RenderError
from sfv_gym.render import system_libs

if TYPE_CHECKING:
    import mujoco

logger = logging.getLogger(__name__)

_SWITCHED_OFF = ("disable", "disabled", "off", "false", "0")
_SWITCHED_ON = ("enable", "enabled", "on", "true", "1")

_lock = threading.Lock()
_chosen: str | None = None


def choose_gl_backend() -> str:
    """Makes MuJoCo draw with a backend that works here, and returns its name.

    `MUJOCO_GL` decides where it is set; otherwise the first that works of EGL, OSMesa (both
    without a screen) and GLFW. The choice is made once per process and logged.

    Raises:
        RenderError: If none works, or the one that `MUJOCO_GL` asks for does not.
    """
    global _chosen
    with _lock:
        if _chosen is None:
            _chosen = _choose()
            logger.info("pictures are drawn with %s", _chosen)
        return _chosen


def create_renderer(model: "mujoco.MjModel", height: int, width: int) -> "mujoco.Renderer":
    """A MuJoCo renderer for pictures of `(height, width)`, without a screen.

    Raises:
        RenderError: If this machine cannot draw.
    """
    backend = choose_gl_backend()
    import mujoco

    try:
        return mujoco.Renderer(model, height, width)
    except ValueError:
        raise  # a wrong size: the message says so
    except Exception as error:
        raise RenderError(
            f"drawing with {backend} failed ({type(error).__name__}: {error}); "
            f"`sfv doctor` shows what works. {_fix()}"
        ) from error


def _choose() -> str:
    asked_for = os.environ.get("MUJOCO_GL", "").lower().strip()
    if asked_for in _SWITCHED_OFF:
        raise RenderError(f"MUJOCO_GL={asked_for} switches drawing off; unset it to have pictures")
    if sys.platform == "darwin":  # macOS has one, so there is no choice
        return asked_for or "cgl"
    if asked_for in _PROBES:
        if not _PROBES[asked_for]():
            raise RenderError(
                f"MUJOCO_GL={asked_for} fails here; unset it to let sfv_gym choose. {_fix()}"
            )
        _use(asked_for)
        return asked_for
    if asked_for in ("glfw", "glx"):
        return asked_for
    if asked_for and asked_for not in _SWITCHED_ON:
        raise RenderError(f"MUJOCO_GL={asked_for} is unknown; unset it to let sfv_gym choose")
    for name, works in _PROBES.items():
        if works():
            _use(name)
            return name
    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        _use("glfw")
        return "glfw"
    raise RenderError(
        f"no OpenGL backend works here: EGL and OSMesa failed, and there is no display. {_fix()}"
    )


def _fix() -> str:
    if not _pyopengl_allows("egl"):
        return "Unset PYOPENGL_PLATFORM, which does not allow EGL"
    drawing = [library for library in system_libs.LIBRARIES if "pictures" in library.needed_by]
    return f"To install what EGL needs: {system_libs.install_command(drawing)}"


def _use(backend: str) -> None:
    """Sets the backend, also in a MuJoCo that has been imported and made its choice."""
    os.environ["MUJOCO_GL"] = backend
    if "mujoco" not in sys.modules:
        return
    import mujoco
    import mujoco.gl_context
    from mujoco.rendering.classic import gl_context

    context = getattr(gl_context, "GLContext", None)
    if context is not None and context.__module__ == f"mujoco.{backend}":
        return
    importlib.reload(gl_context)
    mujoco.GLContext = mujoco.gl_context.GLContext = gl_context.GLContext


def _pyopengl_allows(platform: str) -> bool:
    """Whether PyOpenGL, which MuJoCo draws through, is still free to use this platform."""
    return os.environ.get("PYOPENGL_PLATFORM", "").lower() in ("", platform)


def _egl_works() -> bool:
    """Whether EGL gives an OpenGL context on a device, without a screen.

    Asks the library itself rather than `mujoco.egl`: an attempt through PyOpenGL cannot be
    taken back, and would leave the process unable to fall back on OSMesa.
    """
    if not _pyopengl_allows("egl"):
        return False
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    devices = _egl_devices(egl)
    return any(_egl_device_works(egl, device) for device in devices)


def _egl_function(
    egl: ctypes.CDLL, name: bytes, result: type, *arguments: type
) -> Callable[..., int] | None:
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    egl.eglGetProcAddress.argtypes = [ctypes.c_char_p]
    address = egl.eglGetProcAddress(name)
    return ctypes.CFUNCTYPE(result, *arguments)(address) if address else None


def _egl_devices(egl: ctypes.CDLL) -> list[int]:
    query = _egl_function(
        egl,
        b"eglQueryDevicesEXT",
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_void_p),
        ctypes.POINTER(ctypes.c_int),
    )
    if query is None:
        return []
    devices, count = (ctypes.c_void_p * 32)(), ctypes.c_int()
    if not query(len(devices), devices, ctypes.byref(count)):
        return []
    return [device for device in devices[: count.value] if device]


def _egl_device_works(egl: ctypes.CDLL, device: int) -> bool:
    platform_device, opengl_api = 0x313F, 0x30A2
    surface_type, pbuffer, renderable_type, opengl, none = 0x3033, 0x0001, 0x3040, 0x0008, 0x3038
    pointer = ctypes.c_void_p
    get_display = _egl_function(
        egl, b"eglGetPlatformDisplayEXT", pointer, ctypes.c_uint, pointer, pointer
    )
    if get_display is None:
        return False
    display = get_display(platform_device, device, None)
    if not display:
        return False
    for name, arguments in {
        "eglInitialize": [pointer, pointer, pointer],
        "eglChooseConfig": [pointer, pointer, pointer, ctypes.c_int, pointer],
        "eglCreateContext": [pointer, pointer, pointer, pointer],
        "eglDestroyContext": [pointer, pointer],
    }.items():
        getattr(egl, name).argtypes = arguments
    egl.eglCreateContext.restype = pointer
    # The display stays initialized: it is the one that MuJoCo will ask for.
    if not egl.eglInitialize(display, None, None):
        return False
    wanted = (ctypes.c_int * 5)(surface_type, pbuffer, renderable_type, opengl, none)
    config, count = pointer(), ctypes.c_int()
    if not egl.eglChooseConfig(display, wanted, ctypes.byref(config), 1, ctypes.byref(count)):
        return False
    if count.value < 1 or not egl.eglBindAPI(opengl_api):
        return False
    context = egl.eglCreateContext(display, config, None, None)
    if not context:
        return False
    egl.eglDestroyContext(display, context)
    return True


def _osmesa_works() -> bool:
    """Whether OSMesa, Mesa's drawing into plain memory, is there."""
    if not _pyopengl_allows("osmesa"):
        return False
    for name in ("libOSMesa.so.8", "libOSMesa.so.6", "libOSMesa.so"):
        try:
            osmesa = ctypes.CDLL(name)
        except OSError:
            continue
        osmesa.OSMesaCreateContextExt.restype = ctypes.c_void_p
        osmesa.OSMesaDestroyContext.argtypes = [ctypes.c_void_p]
        rgba, depth_bits, stencil_bits, accumulation_bits = 0x1908, 24, 8, 0
        context = osmesa.OSMesaCreateContextExt(
            rgba, depth_bits, stencil_bits, accumulation_bits, None
        )
        if context:
            osmesa.OSMesaDestroyContext(context)
            return True
    return False


_PROBES: dict[str, Callable[[], bool]] = {"egl": _egl_works, "osmesa": _osmesa_works}
