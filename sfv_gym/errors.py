"""The errors that sfv_gym raises for wrong input.

Each is raised at the boundary where the input enters, with one line that says what is
wrong and what to do. The command line prints that line and exits with 2.
"""


class SFVError(Exception):
    """Base of every error that sfv_gym raises on purpose."""


class VideoError(SFVError):
    """A video is missing, unreadable, truncated, too short, or its frame range is empty."""


class PoseError(SFVError):
    """No person, or too little of one, was found in a video."""


class PoseFileError(PoseError):
    """A file of poses or joints is missing, damaged, of an unknown layout, or not of this video."""


class PoseModelError(SFVError):
    """The pose model cannot be fetched or is damaged."""


class MotionError(SFVError):
    """A reference motion has a wrong schema, shape, or values (NaN, unit norm, joint names)."""


class VerdictError(SFVError):
    """A reconstruction is bad, and was asked to be better: nothing was written."""


class UnknownIdError(SFVError, KeyError):
    """A skill, character, terrain or environment id is not registered."""

    __str__ = Exception.__str__  # KeyError would print the message's repr


class SettingError(SFVError, ValueError):
    """A setting is unknown, of the wrong type, or out of range; its name is in the message."""


class UnknownSettingError(SettingError, TypeError):
    """A keyword that an environment does not have: a TypeError as well, as of any other call, since
    libraries that try keywords (TorchRL's ``frameskip``) go by its words."""


class CharacterError(SFVError):
    """A character's model lacks what imitation needs, or has what it cannot handle."""


class PolicyError(SFVError):
    """A policy file is missing, damaged, or does not fit the environment."""


class ActionError(SFVError, ValueError):
    """Actions have the wrong shape or hold NaN or infinite values."""


class OutputError(SFVError):
    """A result cannot be written where it was asked for."""


class RenderError(SFVError):
    """No OpenGL backend that MuJoCo could draw with works on this machine."""


class AlgorithmError(SFVError):
    """A learning algorithm is unknown, raised, or gave actions of no use; its name comes first."""


class MissingExtraError(SFVError, ImportError):
    """A package is missing that one of sfv_gym's extras installs."""


class BenchmarkError(SFVError):
    """Results of a benchmark do not belong together, are damaged, or are in use."""


class ClusterError(SFVError):
    """The cluster that jobs were running on is gone."""


class CalibrationError(SFVError):
    """A calibration of cameras is missing, damaged, or not of these videos."""
