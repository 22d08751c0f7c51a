"""The reconstructed person as the video's camera sees them: what an overlay should show."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import maximum_filter1d
from scipy.spatial.transform import Rotation

from sfv_gym import skeleton
from sfv_gym.errors import MotionError
from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.canonical_body import Body
from sfv_gym.fitting.tensors import DTYPE
from sfv_gym.motion import MotionCamera, ReferenceMotion
from sfv_gym.reconstruction.camera import Camera
from sfv_gym.reconstruction.markers import markers
from sfv_gym.rotations import quat_to_matrix

if TYPE_CHECKING:
    from sfv_gym.pose import PoseSequence
    from sfv_gym.pose.stabilize import CameraPath


SEEN_SECONDS = 0.1
GUESS = 0.01
"""Visibility of a landmark that nothing was seen of."""


def motion_camera(
    camera: Camera, turn: np.ndarray, moved: np.ndarray, path: CameraPath | None
) -> MotionCamera:
    """A fitted camera in the motion's world.

    Args:
        turn, moved: (3, 3) and (3,): the motion's world is ``turn @ (p - moved)`` of the fit's.
        path: of a camera that turned or zoomed.
    """
    return MotionCamera(
        rotation=camera.rotation().numpy() @ turn.T,
        position=turn @ (np.array([0.0, 0.0, float(camera.height)]) - moved),
        focal_px=float(camera.focal),
        centre_px=camera.centre.numpy(),
        turns=None if path is None else path.turns,
        zooms=None if path is None else path.zooms,
    )


def reprojected(motion: ReferenceMotion, poses: PoseSequence) -> PoseSequence:
    """The poses with the reconstructed person's landmarks in place of the detected ones.

    Frames in which nobody was detected have them, too. Visibility is the highest within
    ``SEEN_SECONDS``: a landmark that was not seen for that long is a guess. Those that the fit
    does not use (fingers, mouth) have visibility 0. Of a camera that moves, every frame is as the
    video has it, not as it was stabilized.

    Args:
        motion: as ``reconstruct`` made it from ``poses``.

    Raises:
        MotionError: the motion knows no camera or not how large the person is.
    """
    camera = motion.camera
    if camera is None or motion.person_scale is None:
        raise MotionError("the motion does not know what camera it was seen with")
    pos, quat = skeleton.forward_kinematics(
        motion.person_root_pos,
        motion.person_root_quat,
        motion.person_joint_quat,
        motion.person_offsets,
    )
    marked = poses.landmarks.marked
    body = Body(torch.as_tensor(motion.person_scale, dtype=DTYPE))
    pose = Pose.of(torch.as_tensor(pos), torch.as_tensor(quat_to_matrix(quat)))
    points = (markers(body, pose, poses.landmarks).numpy() - camera.position) @ camera.rotation.T
    if camera.turns is not None:  # from each frame's camera to the one of the fit
        points = np.einsum("tji,tmj->tmi", Rotation.from_rotvec(camera.turns).as_matrix(), points)
    depth = np.maximum(points[..., 2:], 0.1)
    focal = camera.focal_px * (1.0 if camera.zooms is None else camera.zooms[:, None, None])
    flat = camera.centre_px + focal * points[..., :2] / depth
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
