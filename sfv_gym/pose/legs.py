"""Legs that change places, or jump away: which leg is which, over the whole clip.

Seen from the side, a landmark network now and then takes one leg for the other for some frames,
with the rest of the body where it should be; every frame alone looks right. The legs' motion tells:
they swing on when they pass each other. `pose.ensemble` chooses between whole poses, and one whose
legs alone are exchanged is not among them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sfv_gym.pose.sequence import PoseSequence, bridged

_HIPS = ("left_hip", "right_hip")

# Costs are in units of what a leg's landmarks may be off its swing
NOISE, ACCELERATION = 0.03, 30.0  # m and m/s^2: an error of NOISE + ACCELERATION * time^2 costs 1
MAX_ERROR = 4.0  # no error costs more than this
EXCHANGED = 0.1  # a frame whose legs are exchanged
EXCHANGE = 0.5  # where a run of such frames begins or ends

MAX_LEG_SPEED = 11.0
"""Body heights per second, in the picture, of an ankle about its hip: 19 m/s, a fast kick's."""
MIN_LEG_JUMP = 0.2
"""Body heights; less may be noise between the frames of a fast camera."""


def untangle_legs(poses: PoseSequence) -> tuple[PoseSequence, np.ndarray]:
    """The same poses with each leg under its own name, and the frames (T,) bool that had to change.

    Of all ways to exchange the legs frame by frame, the one is taken in which knees and ankles,
    measured from the hips in the picture and in space, keep to their velocity best; frames left as
    they are cost least. Nothing tells a clip from one in which every frame is exchanged, which
    stays as it is.
    """
    known = np.flatnonzero(poses.detected)
    exchanged = np.zeros(poses.num_frames, bool)
    if len(known) < 3:
        return poses, exchanged
    other = _with_legs_exchanged(poses)
    places = np.stack([_legs_from_hips(p)[known] for p in (poses, other)], axis=1)
    exchanged[known] = _smoothest(places, known / poses.fps)
    if not exchanged.any():
        return poses, exchanged
    frames = exchanged[:, None, None]
    return (
        replace(
            poses,
            landmarks_2d=np.where(frames, other.landmarks_2d, poses.landmarks_2d),
            visibility=np.where(frames[..., 0], other.visibility, poses.visibility),
            landmarks_3d=np.where(frames, other.landmarks_3d, poses.landmarks_3d),
        ),
        exchanged,
    )


def leg_jumps(poses: PoseSequence) -> np.ndarray:
    """(T,) bool: frames into which and out of which a leg moves faster than anybody's.

    An estimator takes a bystander's leg, or the other leg, for this one in a frame or two. Frames
    without a person are bridged; there must be some with one.
    """
    pixels = bridged(np.asarray(poses.landmarks_2d, float), poses.known) / poses.standing_height
    reach = max(MAX_LEG_SPEED / poses.fps, MIN_LEG_JUMP)
    jumps = np.zeros(poses.num_frames, bool)
    for side in ("left", "right"):
        hip, ankle = poses.landmarks.indices(f"{side}_hip", f"{side}_ankle")
        step = np.diff(pixels[:, ankle] - pixels[:, hip], axis=0)
        fast = np.linalg.norm(step, axis=1) > reach
        jumps[1:-1] |= fast[:-1] & fast[1:]
    return jumps


def _with_legs_exchanged(poses: PoseSequence) -> PoseSequence:
    """Every frame the other way round. In the picture the landmarks stay where they are seen; in
    space each leg moves to its new hip's depth."""
    legs = poses.landmarks.legs
    order = np.arange(len(poses.landmarks))
    order[legs] = poses.landmarks.mirror[legs]
    solid = poses.landmarks_3d[:, order]
    left, right = (poses.landmarks_3d[:, hip, 2] for hip in poses.landmarks.indices(*_HIPS))
    for leg, shift in zip(legs, (left - right, right - left), strict=True):
        solid[:, leg, 2] += shift[:, None]
    return replace(
        poses,
        landmarks_2d=poses.landmarks_2d[:, order],
        visibility=poses.visibility[:, order],
        landmarks_3d=solid,
    )


def _legs_from_hips(poses: PoseSequence) -> np.ndarray:
    """(T, 4, 5) metres: knees and ankles from the middle of the hips, in the picture (2) and in
    space (3), each counting half. The person's own 3D landmarks give the picture's scale."""
    flat, solid = poses.landmarks_2d, poses.landmarks_3d
    spreads = [
        np.linalg.norm(x - x.mean(1, keepdims=True), axis=(1, 2)) for x in (flat, solid[..., :2])
    ]
    scale = np.nanmedian(spreads[0] / np.maximum(spreads[1], 1e-6))
    legs, hips = poses.landmarks.legs[:, :2].ravel(), poses.landmarks.indices(*_HIPS)
    flat, solid = (x[:, legs] - x[:, hips].mean(1, keepdims=True) for x in (flat, solid))
    return np.asarray(0.5 * np.concatenate((flat / max(scale, 1e-6), solid), axis=-1))


def _smoothest(places: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(N,) bool, which of two labellings each frame takes.

    A Viterbi pass whose states are the labels of two frames in a row, as a velocity takes two.

    Args:
        places: (N, 2, K, D) as labelled and exchanged. times: (N,) seconds.
    """
    count, step = len(places), np.diff(times)
    label = np.array([0.0, 1.0])
    border = EXCHANGE * np.abs(label[:, None] - label)
    cost = (EXCHANGE + EXCHANGED) * label[:, None] + border + EXCHANGED * label
    before = np.zeros((count, 2, 2), int)
    for t in range(2, count):
        velocity = (places[t - 1] - places[t - 2][:, None]) / step[t - 2]
        swung = places[t - 1] + step[t - 1] * velocity
        off = np.linalg.norm(places[t] - swung[:, :, None], axis=-1).mean(-1)  # three labels
        error = np.minimum(off / (NOISE + ACCELERATION * step[t - 1] ** 2), MAX_ERROR)
        total = cost[:, :, None] + error + border + EXCHANGED * label
        before[t], cost = total.argmin(0), total.min(0)
    cost += EXCHANGE * label
    chosen = np.zeros(count, int)
    chosen[-2:] = np.unravel_index(cost.argmin(), cost.shape)
    for t in range(count - 1, 1, -1):
        chosen[t - 2] = before[t, chosen[t - 1], chosen[t]]
    return chosen.astype(bool)
