"""Stage 2: one person's landmarks in, one physically plausible ReferenceMotion out."""

from sfv_gym.reconstruction.joints import reconstruct_joints
from sfv_gym.reconstruction.pipeline import reconstruct
from sfv_gym.reconstruction.reprojection import reprojected

__all__ = ["reconstruct", "reconstruct_joints", "reprojected"]
