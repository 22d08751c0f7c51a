"""A reference motion to a trajectory of a character's own joints."""

from sfv_gym.retargeting.retarget import retarget, scene_scale

__all__ = ["retarget", "scene_scale"]
