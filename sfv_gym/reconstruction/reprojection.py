"""The reconstructed person as the video's camera sees them: what an overlay should show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy.ndimage import maximum_filter1d
from scipy.spatial.transform import Rotation

from sfv_gym import skeleton
from sfv_gym.motion import ReferenceMotion
from sfv_gym.reconstruction.body import DTYPE, Body, Markers, Pose
from sfv_gym.reconstruction.camera import Camera
from sfv_gym.rotations import quat_to_matrix

if TYPE_CHECKING:
    from sfv_gym.pose import PoseSequence


SEEN_SECONDS = 0.1
GUESS = 0.01
"""Visibility of a landmark that nothing was seen of."""


def camera_facts(camera: Camera, turn: np.ndarray, moved: np.ndarray) -> dict[str, Any]:
    """A fitted camera in the motion's world, as the provenance keeps it.

    Args:
        turn, moved: (3, 3) and (3,): the motion's world is ``turn @ (p - moved)`` of the fit's.

    Returns:
        ``rotation`` (3, 3) world to camera (x right, y down, z ahead), ``position`` (3,) metres,
        ``focal_px`` and ``centre_px`` (2,).
    """
    position = turn @ (np.array([0.0, 0.0, float(camera.height)]) - moved)
    return {
        "rotation": (camera.rotation().numpy() @ turn.T).round(6).tolist(),
        "position": position.round(5).tolist(),
        "focal_px": round(float(camera.focal), 2),
        "centre_px": camera.centre.tolist(),
    }


def reprojected(motion: ReferenceMotion, poses: PoseSequence) -> PoseSequence:
    """The poses with the reconstructed person's landmarks in place of the detected ones.

    Frames in which nobody was detected have them, too. Visibility is the highest within
    ``SEEN_SECONDS``: a landmark that was not seen for that long is a guess. Those that the fit
    does not use (fingers, mouth) have visibility 0. Of a camera that moves, every frame is as the
    video has it, not as it was stabilized.

    Args:
        motion: as ``reconstruct`` made it from ``poses``; its provenance holds the camera.
    """
    camera = motion.provenance["camera"]
    pos, quat = skeleton.forward_kinematics(
        motion.person_root_pos,
        motion.person_root_quat,
        motion.person_joint_quat,
        motion.person_offsets,
    )
    marked = poses.landmarks.marked
    body = Body(
        torch.as_tensor(motion.provenance["quality"]["person_scale"], dtype=DTYPE),
        Markers(poses.landmarks.links, poses.landmarks.offsets),
    )
    pose = Pose(torch.as_tensor(pos), torch.as_tensor(quat_to_matrix(quat)))
    markers = body.markers(pose).numpy() - np.array(camera["position"])
    markers = markers @ np.array(camera["rotation"]).T
    turns = motion.provenance["source"].get("camera_turns")
    if turns is not None:  # from each frame's camera to the one of the fit
        markers = np.einsum("tji,tmj->tmi", Rotation.from_rotvec(turns).as_matrix(), markers)
    depth = np.maximum(markers[..., 2:], 0.1)
    flat = np.array(camera["centre_px"]) + camera["focal_px"] * markers[..., :2] / depth
    landmarks = np.repeat(flat.mean(1, keepdims=True), poses.landmarks_2d.shape[1], axis=1)
    landmarks[:, marked] = flat
    visibility = np.zeros(landmarks.shape[:2])
    reach = 2 * round(SEEN_SECONDS * poses.fps) + 1
    seen = maximum_filter1d(np.nan_to_num(poses.visibility[:, marked]), reach, axis=0)
    visibility[:, marked] = np.clip(seen, GUESS, 1.0)
    return replace(
        poses,
        landmarks_2d=landmarks,
        visibility=visibility,
        detected=np.ones(len(landmarks), bool),
    )
