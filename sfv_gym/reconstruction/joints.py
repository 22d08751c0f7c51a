"""A person whose joints are known in space, as from motion capture: no camera, the same body."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from sfv_gym.errors import MotionError, PoseError
from sfv_gym.fitting import terms
from sfv_gym.fitting.articulation import Pose
from sfv_gym.fitting.canonical_body import ADULT_LENGTHS, Body
from sfv_gym.fitting.grounded import GroundedWeights
from sfv_gym.fitting.kinematics import rotation_matrix
from sfv_gym.fitting.solver import Variables
from sfv_gym.fitting.tensors import DTYPE
from sfv_gym.motion import LOOPS, ReferenceMotion
from sfv_gym.reconstruction.contacts import WRIST_HEIGHT
from sfv_gym.reconstruction.judge import judge
from sfv_gym.reconstruction.markers import marker_points, markers
from sfv_gym.reconstruction.person import BodyProblem
from sfv_gym.reconstruction.pipeline import ITERATIONS, solve_motion
from sfv_gym.reconstruction.pose_track import MIN_FRAMES
from sfv_gym.reconstruction.prior import PosePrior
from sfv_gym.reconstruction.signs import signs_of_joints
from sfv_gym.reconstruction.weights import Weights

if TYPE_CHECKING:
    from sfv_gym.pose import LandmarkSet
    from sfv_gym.pose.files import JointSequence

POSITION_SIGMA = 0.015
"""Metres, standard deviation of a measured joint, whose centre is not the same to all."""
LOW = 5.0
"""Percentile of the lower ankle's height over time at which it stands on the ground."""


@dataclass(frozen=True)
class JointEvidence:
    """Joints of one person in space, every frame filled.

    Attributes:
        landmarks: those that were measured; M of them have markers on the body.
        fps: frames per second.
        upright: (T, M, 3) metres, z up.
        weights: (T, M), 0 where there is no measurement.
        detected: (T,) bool, whether any joint was measured.
    """

    landmarks: LandmarkSet
    fps: float
    upright: np.ndarray
    weights: np.ndarray
    detected: np.ndarray

    @property
    def frames(self) -> int:
        """T."""
        return len(self.detected)

    @property
    def outliers(self) -> np.ndarray:
        """(T,) bool: none, measured joints do not jump."""
        return np.zeros(self.frames, bool)


def gather_joints(joints: JointSequence) -> JointEvidence:
    """Fill what was hidden, and put the person on the ground.

    Raises:
        PoseError: too few frames, or a joint that is hardly ever there.
    """
    landmarks = joints.landmarks
    places = joints.positions[:, landmarks.marked]
    known = np.isfinite(places).all(-1)
    if len(places) < MIN_FRAMES:
        raise PoseError(f"the file has {len(places)} frames, a motion needs at least {MIN_FRAMES}")
    rare = known.mean(0) < 0.3
    if rare.any():
        names = ", ".join(landmarks.names[i] for i in landmarks.marked[rare])
        raise PoseError(f"in most frames there is no {names}: choose a range in which there is")
    filled, every = np.empty_like(places), np.arange(len(places))
    for column in range(places.shape[1]):
        at = np.flatnonzero(known[:, column])
        for axis in range(3):
            filled[:, column, axis] = np.interp(every, at, places[at, column, axis])
    ankles = [landmarks.marker(f"{side}_ankle") for side in ("left", "right")]
    lowest = np.percentile(filled[:, ankles, 2].min(1), LOW)
    sole = -Body().soles(_standing())[..., 2].min().item()
    filled[..., 2] += sole - lowest
    return JointEvidence(landmarks, joints.fps, filled, known * landmarks.weights, known.any(1))


def _standing() -> Pose:
    """The canonical pose with its ankle at the origin."""
    zero = torch.zeros(1, 15, 3, dtype=DTYPE)
    return Pose.of(zero, torch.eye(3, dtype=DTYPE).expand(1, 15, 3, 3))


class JointProblem(BodyProblem[None]):
    """The objective over measured joints.

    Args:
        weights: spreads of the terms.
        prior: of the pose; by default the shipped one.
    """

    def __init__(
        self,
        evidence: JointEvidence,
        weights: Weights | None = None,
        *,
        prior: PosePrior | None = None,
    ) -> None:
        super().__init__(evidence, weights or Weights(), prior, None)
        self.evidence = evidence
        self._places = torch.as_tensor(evidence.upright, dtype=DTYPE)
        self._markers = marker_points(evidence.landmarks)
        self._weights = torch.as_tensor(evidence.weights, dtype=DTYPE)
        hips = [evidence.landmarks.marker(f"{side}_hip") for side in ("left", "right")]
        self.start = {
            "log_size": torch.tensor([np.log(self.weights.mean_scale)], dtype=DTYPE),
            "log_lengths": ADULT_LENGTHS.clone(),
            "level": torch.zeros(1, dtype=DTYPE),
            "root": self._places[:, hips].mean(1),
            "turn": torch.zeros(evidence.frames, 3, dtype=DTYPE),
            "angles": self._first_angles,
        }

    def assemble(self, v: Variables) -> tuple[Body, None, torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `BodyProblem`."""
        size = torch.exp(v["log_size"])
        body = Body(size * torch.exp(v["log_lengths"]), hand_radius=WRIST_HEIGHT)
        return body, None, v["root"], self.base_rot @ rotation_matrix(v["turn"]), v["angles"]

    def data_term(self, v: Variables, body: Body, camera: None, pose: Pose) -> torch.Tensor:
        """Distances to the measured joints; all may be higher or lower by the same ``level``."""
        level = torch.cat((torch.zeros(2, dtype=DTYPE), v["level"]))
        points = pose.points(self._markers.at(body.scale))
        return terms.reprojection(points, self._places + level, self._weights, POSITION_SIGMA)

    def steps(self) -> dict[str, float]:
        """See `BodyProblem`."""
        return {"level": 0.02, "root": 0.05}


def reconstruct_joints(
    joints: JointSequence,
    *,
    skill: str,
    loop: str = "auto",
    progress: bool = True,
    weights: Weights | None = None,
    character_weights: GroundedWeights | None = None,
    prior: PosePrior | None = None,
    iterations: int = ITERATIONS,
) -> ReferenceMotion:
    """Reconstruct a person's motion from joints in space, as `reconstruct` does from a video.

    Ground, contacts, gravity and the character are the same. The motion has no camera.

    Raises:
        PoseError: too few frames or joints.
        MotionError: an unknown ``loop``, or ``"wrap"`` where nothing repeats.
    """
    if loop not in ("auto", *LOOPS):
        raise MotionError(f"loop must be auto, wrap or none, not {loop!r}")
    problem = JointProblem(gather_joints(joints), weights, prior=prior)
    motion, fit, contacts, _ = solve_motion(
        problem, skill=skill, loop=loop, progress=progress, speed=1.0,
        character_weights=character_weights, iterations=iterations,
    )  # fmt: skip
    with torch.no_grad():
        places = markers(fit.body, fit.pose, problem.evidence.landmarks).numpy()
    level = np.array([0.0, 0.0, float(fit.variables["level"])])
    off = np.linalg.norm(places - problem.evidence.upright - level, axis=-1)
    known = problem.evidence.weights > 0
    error, detected = float(off[known].mean()), np.asarray(known.any(1))
    motion.verdict = judge(
        signs_of_joints(fit, contacts, problem.fps, detected=detected, off=error)
    )
    motion.confidence = known.mean(1)
    motion.provenance["source"] = dict(joints.source)
    motion.provenance["quality"] = {
        "joint_error_mm": round(1e3 * error, 1),
        "person_scale": [round(float(s), 3) for s in fit.body.scale],
        **motion.provenance["quality"],
    }
    motion.validate()
    return motion
