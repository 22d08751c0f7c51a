"""How good a reconstruction is, from what can be known without the truth."""

from __future__ import annotations

import numpy as np
import torch

from sfv_gym import skeleton
from sfv_gym.fitting.ballistics import flight_residual
from sfv_gym.fitting.canonical_body import DOF_LIMITS, Body
from sfv_gym.fitting.contacts import CanonicalContacts
from sfv_gym.motion import ReferenceMotion
from sfv_gym.reconstruction.camera import Camera
from sfv_gym.reconstruction.evidence import Evidence
from sfv_gym.reconstruction.person import PersonFit
from sfv_gym.reconstruction.signs import VideoSigns
from sfv_gym.rotations import quat_to_matrix


def person_quality(
    fit: PersonFit[Camera], evidence: Evidence, signs: VideoSigns
) -> dict[str, float | list[float]]:
    """Agreement of the person's fit with the video.

    Args:
        signs: as ``signs_of`` measures them.
    """
    return {
        "reprojection_px": round(signs.picture * evidence.body_px, 2),
        "reprojection_percent_of_body": round(100 * signs.picture, 2),
        "direction_error_deg": round(signs.direction_deg, 2),
        "detected_fraction": round(float(evidence.detected.mean()), 4),
        "person_scale": [round(float(s), 3) for s in fit.body.scale],
        "camera_tilt_deg": [round(float(np.degrees(a)), 2) for a in fit.camera.tilt.tolist()],
        "camera_height_m": round(signs.camera_height, 3),
        "focal_px": round(float(fit.camera.focal), 1),
    }


def motion_quality(
    motion: ReferenceMotion, angles: np.ndarray, contacts: CanonicalContacts
) -> dict[str, float | list[list[int]]]:
    """How physical the character's motion is.

    Args:
        angles: (T, 28) radians, as in canonical_body.DOFS.
    """
    pos, quat = skeleton.forward_kinematics(motion.root_pos, motion.root_quat, motion.joint_quat)
    soles = skeleton.sole_corners(pos, quat)
    com = skeleton.centre_of_mass(pos, quat)
    fps = motion.fps
    planted = contacts.effectors()[:, 2:] > 0.5  # (T, 2)
    both = planted[1:] & planted[:-1]
    # of the corner that bears the foot: a foot that rolls over its toes does not skate
    slide = np.linalg.norm(np.diff(soles[..., :2], axis=0), axis=-1).min(-1)
    lowest = soles[..., 2].min(-1)
    body = Body()
    with torch.no_grad():
        pose = body.pose(
            torch.as_tensor(motion.root_pos),
            torch.as_tensor(quat_to_matrix(motion.root_quat)),
            torch.as_tensor(angles),
        )
        round_low = body.round_bottoms(pose).numpy().min(1)
    gap, pull = flight_residual(com, contacts.flights, fps)
    velocity = np.diff(com, axis=0) * fps
    jumps = np.linalg.norm(np.diff(velocity, axis=0), axis=1)
    over = np.maximum(DOF_LIMITS[:, 0] - angles, angles - DOF_LIMITS[:, 1]).max()
    return {
        "foot_skate_mm_per_frame": round(1e3 * float(slide[both].mean()) if both.any() else 0.0, 2),
        "foot_skate_max_mm_per_frame": round(
            1e3 * float(slide[both].max()) if both.any() else 0.0, 2
        ),
        "planted_height_mm": round(
            1e3 * float(np.abs(lowest[planted]).mean()) if planted.any() else 0.0, 2
        ),
        "penetration_max_mm": round(1e3 * float(max(0.0, -lowest.min(), -round_low.min())), 2),
        "contact_fraction": round(float((contacts.active.amax(1) > 0.5).double().mean()), 3),
        "flights": [[int(a), int(b)] for a, b in contacts.flights],
        "flight_residual_mm": round(1e3 * gap, 3),
        "flight_acceleration_error": round(pull, 3),
        "momentum_jump_max_m_per_s": round(float(jumps.max(initial=0.0)), 3),
        "limit_violation_rad": round(float(max(0.0, over)), 4),
    }
