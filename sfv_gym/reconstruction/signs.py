"""Signs that a fit went wrong, measured without the truth; ``judge.py`` says what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sfv_gym.fitting import terms
from sfv_gym.fitting.contacts import CanonicalContacts
from sfv_gym.reconstruction.camera import Camera
from sfv_gym.reconstruction.evidence import Evidence
from sfv_gym.reconstruction.markers import markers
from sfv_gym.reconstruction.person import PersonFit
from sfv_gym.spans import runs

LIMBS: dict[str, tuple[str, ...]] = {
    f"{side} {limb}": tuple(f"{side}_{joint}" for joint in joints)
    for side in ("left", "right")
    for limb, joints in {"arm": ("elbow", "wrist"), "leg": ("knee", "ankle")}.items()
}
"""The landmarks that tell where a limb is; hips and shoulders are the trunk's."""
SEEN = 0.3
"""Visibility below which a landmark is a guess."""
OFF = 0.06
"""Distance of a limb's landmarks from the picture's, in body heights, from which they disagree."""

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
        sunk: metres below the ground of the body's lowest point, in the deepest twentieth of the
            frames.
        played_at: speed at which the clip seems to play, by gravity; None where nothing says.
    """

    fps: float
    detected: np.ndarray
    size: float
    imbalance: float
    hovering: float
    sunk: float
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
        guessed: where no more than a guess was seen of a limb.
        astray: where a limb is not where the picture has it.
    """

    direction_deg: float
    picture: float
    camera_height: float
    guessed: Stretches
    astray: Stretches


def signs_of(fit: PersonFit[Camera], evidence: Evidence, contacts: CanonicalContacts) -> VideoSigns:
    """Hold a fit against what the video shows, and against what a body on the ground can do."""
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
    guessed, astray = {}, {}
    for limb, names in LIMBS.items():
        if landmarks.marks(*names):
            columns = [landmarks.marker(name) for name in names]
            unseen = evidence.visibility[:, columns].min(1) < SEEN
            guessed[limb] = tuple(runs(unseen & evidence.detected))
            astray[limb] = tuple(runs((error[:, columns].max(1) > OFF) & evidence.detected))
    return VideoSigns(
        **_on_the_ground(fit, contacts, evidence.fps),
        detected=evidence.detected,
        direction_deg=float((trust * np.degrees(np.arccos(cosine))).sum() / trust.sum()),
        picture=float((weights * error).sum() / weights.sum()),
        camera_height=float(fit.camera.height),
        guessed=guessed,
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


def _on_the_ground(fit: PersonFit[Any], contacts: CanonicalContacts, fps: float) -> dict[str, Any]:
    """The signs that need no camera."""
    with torch.no_grad():
        beyond = terms.out_of_balance(fit.body, fit.pose, contacts, fps)
        lowest = fit.body.underside(fit.pose).bottoms.amin(1).numpy()
        size = float(torch.exp(fit.variables["log_size"]))
    touches = contacts.held.amax(1).numpy() > 0.5
    return {
        "fps": fps,
        "size": size,
        "imbalance": float(beyond.mean()) / size if len(beyond) else 0.0,
        "hovering": float((~touches & (contacts.in_air.numpy() < 0.5)).mean()),
        "sunk": max(0.0, -float(np.percentile(lowest, 5))),
        "played_at": contacts.played_at,
    }
