"""The pose model: fetched once into the user's cache, checked against pinned hashes.

MediaPipe's wheel holds none. First choice is Google's public store of MediaPipe models. Where
that cannot be reached, the same networks come out of two published packages, through the
package clients that the user has configured: ``@mediapipe/pose`` (npm) holds the landmark
network, the wheel of mediapipe 0.10.21 (pip) the detector. Those lack the metadata that the
Tasks API asks for, so it is written here.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from sfv_gym.errors import PoseModelError
from sfv_gym.files import atomic_path

log = logging.getLogger(__name__)

CACHE_VARIABLE = "SFV_GYM_CACHE"
MODEL_VARIABLE = "SFV_GYM_POSE_MODEL"
DETECTOR, LANDMARKER = "pose_detector.tflite", "pose_landmarks_detector.tflite"

PUBLIC_STORE = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/"
    "pose_landmarker_{variant}/float16/1/pose_landmarker_{variant}.task"
)
NPM_PACKAGE = "@mediapipe/pose@0.5.1675469404"
PIP_PACKAGE = "mediapipe==0.10.21"
PIP_DETECTOR = "mediapipe/modules/pose_detection/pose_detection.tflite"

SHA256: dict[str, str] = {
    # the networks inside the packages
    "detector": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "heavy": "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
    "full": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "lite": "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
}
"""Of the networks as the packages hold them. The public store's own bundles are fetched over
TLS from a versioned address; their hash is printed, kept beside the file, and checked from then on."""


def cache_folder() -> Path:
    """Where fetched files are kept: SFV_GYM_CACHE, or the user's cache folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or platformdirs.user_cache_dir("sfv_gym"))


def cached_pose_model(variant: str = "heavy") -> Path | None:
    """The model's file if it is already there and whole, else None."""
    own = os.environ.get(MODEL_VARIABLE)
    if own:
        return Path(own) if Path(own).is_file() else None
    path = cache_folder() / f"pose_landmarker_{variant}.task"
    seal = path.with_suffix(".sha256")
    if path.is_file() and seal.is_file() and seal.read_text().strip() == _sha256(path.read_bytes()):
        return path
    return None


def ensure_pose_model(variant: str = "heavy") -> Path:
    """Path of ``pose_landmarker_<variant>.task``, fetched on first use.

    Args:
        variant: ``"heavy"``, ``"full"`` or ``"lite"``.

    Raises:
        PoseModelError: it is not in the cache and cannot be fetched, or SFV_GYM_POSE_MODEL
            names no file.
    """
    if variant not in ("heavy", "full", "lite"):
        raise PoseModelError(f"unknown pose model {variant!r}; known: heavy, full, lite")
    cached = cached_pose_model(variant)
    if cached is not None:
        return cached
    if os.environ.get(MODEL_VARIABLE):
        raise PoseModelError(f"{MODEL_VARIABLE} names {os.environ[MODEL_VARIABLE]}: no such file")
    sources: tuple[tuple[str, Callable[[str], bytes]], ...] = (
        ("Google's model store", _from_public_store),
        ("the packages on npm and PyPI", _from_packages),
    )
    failures = []
    for name, fetch in sources:
        log.warning("fetching the pose model (%s) from %s, once", variant, name)
        try:
            bundle = fetch(variant)
        except (OSError, subprocess.SubprocessError, PoseModelError, KeyError) as error:
            failures.append(f"{name}: {error}")
            continue
        path = cache_folder() / f"pose_landmarker_{variant}.task"
        with atomic_path(path) as temporary:
            temporary.write_bytes(bundle)
        with atomic_path(path.with_suffix(".sha256")) as temporary:
            temporary.write_text(_sha256(bundle))
        return path
    raise PoseModelError(
        "the pose model cannot be fetched (" + "; ".join(failures) + "). Connect once, or put "
        f"pose_landmarker_{variant}.task somewhere and name it in {MODEL_VARIABLE}."
    )


def _from_public_store(variant: str) -> bytes:
    with urllib.request.urlopen(PUBLIC_STORE.format(variant=variant), timeout=5) as answer:
        bundle: bytes = answer.read()
    if not zipfile.is_zipfile(_as_file(bundle)):
        raise PoseModelError("what came is no model bundle")
    return bundle


def _from_packages(variant: str) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        detector = _checked(_pip_member(folder, PIP_DETECTOR), "detector")
        if variant == "full":
            member = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
            landmarker = _pip_member(folder, member)
        else:
            landmarker = _npm_member(folder, f"package/pose_landmark_{variant}.tflite")
        _checked(landmarker, variant)
    return _bundle(
        {
            DETECTOR: with_normalization(detector, mean=127.5, std=127.5),
            LANDMARKER: with_normalization(landmarker, mean=0.0, std=255.0),
        }
    )


def _pip_member(folder: Path, member: str) -> bytes:
    if not list(folder.glob("*.whl")):
        # The wheel is only a container here: any one platform's will do on every machine.
        _run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
            + ["--only-binary=:all:", "--python-version", "3.11"]
            + ["--platform", "manylinux_2_28_x86_64", PIP_PACKAGE]
        )
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return wheel.read(member)


def _npm_member(folder: Path, member: str) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise PoseModelError("npm, which would fetch the landmark network, is not installed")
    _run([npm, "pack", "--silent", NPM_PACKAGE, "--pack-destination", str(folder)])
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        file = archive.extractfile(member)
        assert file is not None
        return file.read()


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise PoseModelError(f"{Path(command[0]).name} failed: {last}")


def _checked(data: bytes, name: str) -> bytes:
    if _sha256(data) != SHA256[name]:
        raise PoseModelError(f"the {name} network has SHA-256 {_sha256(data)}, not {SHA256[name]}")
    return data


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _as_file(data: bytes) -> Any:
    import io

    return io.BytesIO(data)


def _bundle(members: dict[str, bytes]) -> bytes:
    """An uncompressed zip, the format of ``.task``; its bytes depend on the members alone."""
    out = _as_file(b"")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    value: bytes = out.getvalue()
    return value


def with_normalization(network: bytes, mean: float, std: float) -> bytes:
    """A tflite network with the metadata of its input image: RGB, ``(x - mean) / std``."""
    import flatbuffers
    from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata
    from mediapipe.tasks.metadata import schema_py_generated as tflite

    image = metadata.ImagePropertiesT()
    image.colorSpace = metadata.ColorSpaceType.RGB
    content = metadata.ContentT()
    content.contentPropertiesType = metadata.ContentProperties.ImageProperties
    content.contentProperties = image
    options = metadata.NormalizationOptionsT()
    options.mean, options.std = [mean], [std]
    unit = metadata.ProcessUnitT()
    unit.optionsType = metadata.ProcessUnitOptions.NormalizationOptions
    unit.options = options
    tensor = metadata.TensorMetadataT()
    tensor.name, tensor.content, tensor.processUnits = "image", content, [unit]
    graph = metadata.SubGraphMetadataT()
    graph.inputTensorMetadata = [tensor]
    described = metadata.ModelMetadataT()
    described.subgraphMetadata = [graph]
    builder = flatbuffers.Builder(0)
    builder.Finish(described.Pack(builder), file_identifier=b"M001")

    model = tflite.ModelT.InitFromObj(tflite.Model.GetRootAs(bytearray(network), 0))
    buffer = tflite.BufferT()
    buffer.data = list(bytes(builder.Output()))
    entry = tflite.MetadataT()
    entry.name, entry.buffer = "TFLITE_METADATA", len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [m for m in model.metadata or [] if _text(m.name) != entry.name] + [entry]
    builder = flatbuffers.Builder(len(network))
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _text(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode()
