"""Actions: checked, and turned into the actuators' PD targets."""

from __future__ import annotations

import numpy as np

from sfv_gym.characters import Character
from sfv_gym.envs.reference import References
from sfv_gym.errors import ActionError

MAX_TARGET_ANGLE = 2.8
"""Rotation vectors wrap at pi: a target beyond would make the actuator turn the other way."""


class ActionTargets:
    """What the actions of a character mean.

    Args:
        mode: ``"residual"`` or ``"absolute"``, see ``Task.action_mode``.
    """

    def __init__(self, character: Character, references: References, mode: str) -> None:
        self._residual = mode == "residual"
        self._reference = references.part("target")
        self._middle, self._half = character.joints.target_range(character.model)
        self._balls = character.joints.ball_dof - 6  # (B, 3) columns of the targets

    def targets(self, action: np.ndarray, row: np.ndarray) -> np.ndarray:
        """PD targets (N, nu) of actions (N, nu) in -1..1, on the way to rows (N,)."""
        if self._residual:
            target = self._reference.take(row, axis=0)
            target += action
        else:
            target = self._middle + self._half * action
        if self._balls.size:
            # (N, B, 3), rows contiguous: the order in which NumPy adds up depends on the layout,
            # and the layout that indexing with arrays gives depends on N
            vectors = target.take(self._balls.ravel(), axis=1).reshape(len(target), -1, 3)
            square = np.einsum("ijk,ijk->ij", vectors, vectors)
            far = square > MAX_TARGET_ANGLE**2
            if far.any():
                shrink = np.where(far, MAX_TARGET_ANGLE / np.sqrt(np.maximum(square, 1.0)), 1.0)
                target[:, self._balls] = vectors * shrink[..., None]
        return target

    def of_reference(self, row: np.ndarray) -> np.ndarray:
        """The actions (N, nu) whose targets are the reference's own, on the way to rows (N,)."""
        if self._residual:
            return np.zeros((len(row), len(self._middle)))
        return (self._reference[row] - self._middle) / self._half


def checked_actions(action: np.ndarray, wanted: tuple[int, int]) -> np.ndarray:
    """Actions as floats (N, nu) in -1..1.

    Raises:
        ActionError: another shape, or values that are no real numbers, NaN or infinite.
    """
    try:
        given = np.asarray(action)
        if given.dtype.kind not in "biuf":
            raise TypeError
        action = given.astype(float)
    except (TypeError, ValueError):
        raise ActionError(
            f"actions must be real numbers, they are of type {np.asarray(action).dtype}"
        ) from None
    if action.shape != wanted:
        raise ActionError(f"actions must have shape {wanted}, they have {action.shape}")
    if not np.isfinite(action.sum()):
        bad = ~np.isfinite(action).all(axis=1)
        if bad.any():
            raise ActionError(
                f"{int(bad.sum())} of {wanted[0]} actions hold NaN or infinite values: "
                "the policy or algorithm that made them has diverged"
            )
    return np.clip(action, -1.0, 1.0)
