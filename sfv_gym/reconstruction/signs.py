"""Signs that a fit went wrong, measured without the truth; ``judge.py`` says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sfv_gym.fitting.balance import out_of_balance
from sfv_gym.fitting.contacts import CanonicalContacts
from sfv_gym.reconstruction.camera import Camera
from sfv_gym.reconstruction.evidence import Evidence
from sfv_gym.reconstruction.initial import initial_angles
from sfv_gym.reconstruction.markers import markers
from sfv_gym.reconstruction.person import PersonFit
from sfv_gym.spans import runs

LIMBS: dict[str, tuple[str, ...]] = {
    f"{side} {limb}": tuple(f"{side}_{joint}" for joint in joints)
    for side in ("left", "right")
    for limb, joints in {
        "arm": ("shoulder", "elbow", "wrist"), "leg": ("hip", "knee", "ankle")
    }.items()
}  # fmt: skip
"""The landmarks of each limb, from the trunk outward."""
SEEN = 0.3
"""Visibility below which a landmark is a guess."""
MOVES = 1.0
"""m/s of a hand or foot against the trunk."""
OFF = 0.06
"""Distance of a limb's landmarks from the picture's, in body heights, from which they disagree."""

GAP = 0.1
"""Seconds between two stretches that are one to a reader."""

Stretches = Mapping[str, tuple[tuple[int, int], ...]]
"""(first, last) frames by the limb that they are of."""


@dataclass(frozen=True)
class BodySigns:
    """Of a fit of T frames, whoever saw the person.

    Attributes:
        fps: frames per second.
        detected: (T,) bool, in which the person was found.
        size: of the person over the character's.
        imbalance: metres, for a person of the character's size: mean distance from what touches
            the ground to the point on which it would have to push.
        hovering: share of the frames in which nothing touches the ground and nothing falls.
        flights: (first, last) frame of each time in the air.
        played_at: speed at which the clip seems to play, by gravity; None where nothing says.
    """

    fps: float
    detected: np.ndarray
    size: float
    imbalance: float
    hovering: float
    flights: tuple[tuple[int, int], ...]
    played_at: float | None


@dataclass(frozen=True)
class JointSigns(BodySigns):
    """Of a fit to joints in space.

    Attributes:
        off: metres, mean distance from the measured joints.
    """

    off: float


@dataclass(frozen=True)
class VideoSigns(BodySigns):
    """Of a fit to a video.

    Attributes:
        direction_deg: mean angle between the fitted bones and the 3D landmarks'.
        picture: mean distance between the fitted markers and the 2D landmarks, in body heights.
        camera_height: metres above the ground.
        camera_pitch_deg, camera_roll_deg: by which it looks down, and is held aslant.
        people: that are in the video.
        crossed: (T,) bool, in which the legs seem to have changed places.
        disbelieved: (T,) bool, in which the person was found, but turns as nobody can.
        guessed: where no more than a guess was seen of a limb.
        blind: share of the frames in which a limb moves (``MOVES``) and is no more than a guess.
        astray: where a limb is not where the picture has it.
    """

    direction_deg: float
    picture: float
    camera_height: float
    camera_pitch_deg: float
    camera_roll_deg: float
    people: int
    crossed: np.ndarray
    disbelieved: np.ndarray
    guessed: Stretches
    blind: Mapping[str, float]
    astray: Stretches


def signs_of(
    fit: PersonFit[Camera], evidence: Evidence, contacts: CanonicalContacts, people: int = 1
) -> VideoSigns:
    """Hold a fit against what the video shows, and against what a body on the ground can do.

    Args:
        people: that are in the video.
    """
    landmarks = evidence.landmarks
    with torch.no_grad():
        points = markers(fit.body, fit.pose, landmarks)
        error = (fit.camera.project(points) - evidence.pixels).norm(dim=-1).numpy()
        start, end = landmarks.direction_pairs.T
        line = ((points[:, end] - points[:, start]) @ fit.camera.rotation().T).numpy()
    error /= evidence.body_px
    line /= np.maximum(np.linalg.norm(line, axis=-1, keepdims=True), 1e-9)
    cosine = np.clip((line * evidence.directions.numpy()).sum(-1), -1, 1)
    trust, weights = evidence.direction_weights.numpy(), evidence.pixel_weights.numpy()
    guessed, blind, astray = {}, {}, {}
    for limb, names in LIMBS.items():
        if landmarks.marks(*names):
            root, *columns = (landmarks.marker(name) for name in names)
            unseen = (evidence.visibility[:, columns].min(1) < SEEN) & evidence.detected
            reach = (points[:, columns[-1]] - points[:, root]).numpy()
            moves = np.linalg.norm(np.gradient(reach, axis=0), axis=-1) * evidence.fps > MOVES
            guessed[limb], blind[limb] = (
                _stretches(unseen, evidence.fps),
                float((unseen & moves).mean()),
            )
            off = (error[:, columns].max(1) > OFF) & evidence.detected
            astray[limb] = _stretches(off, evidence.fps)
    roll, pitch = np.degrees(fit.camera.tilt.detach().numpy()).tolist()
    return VideoSigns(
        **_on_the_ground(fit, contacts, evidence.fps),
        detected=evidence.detected,
        direction_deg=float((trust * np.degrees(np.arccos(cosine))).sum() / trust.sum()),
        picture=float((weights * error).sum() / weights.sum()),
        camera_height=float(fit.camera.height),
        camera_pitch_deg=pitch,
        camera_roll_deg=roll,
        people=people,
        crossed=evidence.crossed,
        disbelieved=evidence.detected & ~initial_angles(evidence)[2],
        guessed=guessed,
        blind=blind,
        astray=astray,
    )


def signs_of_joints(
    fit: PersonFit[None],
    contacts: CanonicalContacts,
    fps: float,
    *,
    detected: np.ndarray,
    off: float,
) -> JointSigns:
    """Hold a fit to joints against what a body on the ground can do.

    Args:
        detected, off: as in the signs.
    """
    return JointSigns(**_on_the_ground(fit, contacts, fps), detected=detected, off=off)


def _stretches(flags: np.ndarray, fps: float) -> tuple[tuple[int, int], ...]:
    """(first, last) frames where ``flags`` (T,) hold, over gaps shorter than ``GAP``."""
    gaps = np.zeros_like(flags)
    for first, last in runs(~flags):
        gaps[first : last + 1] = (
            first > 0 and last < len(flags) - 1 and last + 1 - first < GAP * fps
        )
    return tuple(runs(flags | gaps))


def _on_the_ground(fit: PersonFit[Any], contacts: CanonicalContacts, fps: float) -> dict[str, Any]:
    """The signs that need no camera."""
    with torch.no_grad():
        beyond = out_of_balance(fit.body, fit.pose, contacts, fps)
        size = float(torch.exp(fit.variables["log_size"]))
    touches = contacts.active.amax(1).numpy() > 0.5
    return {
        "fps": fps,
        "size": size,
        "imbalance": float(beyond.mean()) / size if len(beyond) else 0.0,
        "hovering": float((~touches & (contacts.in_air.numpy() < 0.5)).mean()),
        "flights": contacts.flights,
        "played_at": contacts.played_at,
    }
