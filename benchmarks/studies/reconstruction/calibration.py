"""Cameras that somebody has calibrated, as Qualisys and Pose2Sim write them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from scipy.spatial.transform import Rotation

from sfv_gym.errors import CalibrationError

PATTERNS = ("*.qca.txt", "*.toml")
_SUBPIXELS = 64.0
"""Qualisys counts lengths on the sensor, and distortions, in 64ths."""
_FACING_BACK = np.diag([1.0, -1.0, -1.0])
"""From Qualisys' camera, which looks along its -z with y up, to OpenCV's."""


@dataclass(frozen=True)
class CalibratedCamera:
    """A pinhole camera with OpenCV's lens: x right, y down, z away from it.

    Attributes:
        name: also of the video's file.
        width, height: pixels of the picture that was calibrated.
        matrix: (3, 3) intrinsics in pixels, the middle of the first pixel being (0, 0).
        distortion: (4,) k1, k2, p1, p2.
        rotation: (3, 3) world to camera.
        position: (3,) metres in the world.
    """

    name: str
    width: int
    height: int
    matrix: np.ndarray
    distortion: np.ndarray
    rotation: np.ndarray
    position: np.ndarray

    def __post_init__(self) -> None:
        numbers = (self.matrix, self.distortion, self.rotation, self.position)
        if not all(np.isfinite(values).all() for values in numbers):
            raise CalibrationError(f"camera {self.name}: not all of its numbers are finite")
        if min(self.width, self.height, self.matrix[0, 0], self.matrix[1, 1]) <= 0:
            raise CalibrationError(f"camera {self.name}: sizes and focal lengths must be positive")
        if not np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-3):
            raise CalibrationError(f"camera {self.name}: its rotation is none")

    def scale(self, width: int, height: int) -> float:
        """Pixels of a video of this size for one of the picture that was calibrated."""
        return min(width / self.width, height / self.height)

    def rays(self, pixels: np.ndarray, width: int, height: int) -> np.ndarray:
        """Where sight lines (..., 2) cross the plane z = 1 before the camera.

        Args:
            pixels: (..., 2) as a ``PoseSequence`` has them, the middle of the first being
                (0.5, 0.5).
            width, height: of the video they are of. One of another size than was calibrated is
                taken to show all of the picture, scaled, between bars of equal width.
        """
        import cv2

        scale = self.scale(width, height)
        bars = (np.array([width, height]) - scale * np.array([self.width, self.height])) / 2
        calibrated = (np.asarray(pixels, float) - bars) / scale - 0.5
        flat = calibrated.reshape(-1, 1, 2)
        return np.asarray(
            cv2.undistortPoints(flat, self.matrix, self.distortion).reshape(calibrated.shape)
        )

    def turned(self, vector: np.ndarray) -> CalibratedCamera:
        """The camera turned about its own axes by a rotation vector (3,), where it stands."""
        return replace(self, rotation=Rotation.from_rotvec(vector).as_matrix() @ self.rotation)


def read_cameras(folder: Path) -> dict[str, CalibratedCamera]:
    """The cameras of the one calibration in a folder, by name.

    Raises:
        CalibrationError: there is none, or several, or it is damaged.
    """
    files = [file for pattern in PATTERNS for file in sorted(folder.glob(pattern))]
    if len(files) != 1:
        raise CalibrationError(f"{folder}: {len(files)} files {' or '.join(PATTERNS)}, not one")
    [file] = files
    read = _read_pose2sim if file.suffix == ".toml" else _read_qualisys
    try:
        cameras = {camera.name: camera for camera in read(file.read_text(encoding="utf-8"))}
    except (OSError, SyntaxError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise CalibrationError(f"{file}: not a calibration of cameras: {error!r}") from None
    except CalibrationError as error:
        raise CalibrationError(f"{file}: {error}") from None
    if not cameras:
        raise CalibrationError(f"{file}: no cameras in it")
    return cameras


def _read_qualisys(text: str) -> Iterable[CalibratedCamera]:
    for camera in ElementTree.fromstring(text).iter("camera"):
        lens, place = _numbers(camera, "intrinsic"), _numbers(camera, "transform")
        frame = _numbers(camera, "fov_video")
        focal = np.array([lens["focalLengthU"], lens["focalLengthV"]]) / _SUBPIXELS
        centre = np.array([lens["centerPointU"], lens["centerPointV"]]) / _SUBPIXELS
        left, top = frame["left"], frame["top"]
        names = ("radialDistortion1", "radialDistortion2")
        tangential = ("tangentalDistortion1", "tangentalDistortion2")
        axes = np.array([[place[f"r{i}{j}"] for j in (1, 2, 3)] for i in (1, 2, 3)])
        yield CalibratedCamera(
            name=camera.attrib["serial"],
            width=round(frame["right"] - left + 1),
            height=round(frame["bottom"] - top + 1),
            matrix=_matrix(focal, centre - (left, top)),
            distortion=np.array([lens[name] for name in names + tangential]) / _SUBPIXELS,
            rotation=_FACING_BACK @ axes,
            position=np.array([place[axis] for axis in "xyz"]) / 1000.0,
        )


def _read_pose2sim(text: str) -> Iterable[CalibratedCamera]:
    for name, camera in tomllib.loads(text).items():
        if name == "metadata":
            continue
        rotation = Rotation.from_rotvec(np.array(camera["rotation"], float)).as_matrix()
        width, height = camera["size"]
        yield CalibratedCamera(
            name=camera["name"],
            width=round(width),
            height=round(height),
            matrix=_array(camera["matrix"], (3, 3)),
            distortion=_array(camera["distortions"], (4,)),
            rotation=rotation,
            position=-rotation.T @ _array(camera["translation"], (3,)),
        )


def _numbers(camera: ElementTree.Element, name: str) -> dict[str, float]:
    """What an element says in numbers."""
    found: dict[str, float] = {}
    element = camera.find(f".//{name}")
    if element is None:
        raise KeyError(name)
    for key, value in element.items():
        try:
            found[key] = float(value)
        except ValueError:
            continue
    return found


def _matrix(focal: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.array([[focal[0], 0, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]])


def _array(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.array(values, float).reshape(shape)
