"""The estimators that are known by name, and with them the landmarks of pose files."""

from __future__ import annotations

from sfv_gym.errors import PoseError, SettingError, UnknownIdError
from sfv_gym.plugins import load_named, short
from sfv_gym.pose.estimator import PoseEstimator
from sfv_gym.pose.landmarks import LandmarkSet
from sfv_gym.pose.layouts import LAYOUTS
from sfv_gym.pose.mediapipe import MediaPipe

DEFAULT = MediaPipe.name

ESTIMATORS: dict[str, PoseEstimator] = {}


def register_estimator(estimator: PoseEstimator) -> None:
    """Make an estimator known by its name, and pose files with its landmarks readable.

    One of the same name takes the other's place.

    Raises:
        SettingError: it lacks a part of `PoseEstimator`.
        PoseError: another estimator's landmarks are called the same and are others.
    """
    _checked(estimator)
    for other in ESTIMATORS.values():
        same_name = other.landmarks.name == estimator.landmarks.name
        if same_name and other.landmarks != estimator.landmarks and other.name != estimator.name:
            raise PoseError(
                f"estimator {estimator.name!r}: {other.name!r} has other landmarks that are "
                f"called {estimator.landmarks.name!r}, too: call them otherwise"
            )
    ESTIMATORS[estimator.name] = estimator


def get_estimator(estimator: str | PoseEstimator) -> PoseEstimator:
    """An estimator, from its name or as it is.

    Args:
        estimator: also ``module:function`` or ``folder/file.py:function``, a class or function
            without arguments that makes one.

    Raises:
        UnknownIdError: none has that name.
        SettingError: what is named cannot be loaded, or lacks a part of `PoseEstimator`.
    """
    if not isinstance(estimator, str):
        return _checked(estimator)
    if estimator in ESTIMATORS:
        return ESTIMATORS[estimator]
    if ":" not in estimator:
        raise UnknownIdError(
            f"unknown estimator {estimator!r}; known: {', '.join(ESTIMATORS)}; or your own: "
            "my_module:MyEstimator, path/file.py:MyEstimator"
        )
    try:
        made = load_named(estimator)()
    except Exception as error:  # whatever another's module raises
        raise SettingError(f"estimator {estimator}: cannot be loaded: {short(error)}") from error
    return _checked(made)


def get_landmarks(name: str) -> LandmarkSet:
    """The set of that name, of a registered estimator or of files; raises PoseError if none has."""
    known = {estimator.landmarks.name: estimator.landmarks for estimator in ESTIMATORS.values()}
    known = LAYOUTS | known
    if name not in known:
        raise PoseError(
            f"unknown landmarks {name!r}; known: {', '.join(known)}; register_estimator adds more"
        )
    return known[name]


def _checked(estimator: object) -> PoseEstimator:
    if isinstance(estimator, type) or not isinstance(estimator, PoseEstimator):
        raise SettingError(
            f"estimator must be a name or a PoseEstimator (name, landmarks, facts, people_in, "
            f"look), not {estimator!r}"
        )
    return estimator


register_estimator(MediaPipe())
