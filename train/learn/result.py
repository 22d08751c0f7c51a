"""What came of learning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sfv_gym.files import JSON
from sfv_gym.motion import ReferenceMotion, Verdict
from sfv_gym.play.evaluation import Evaluation


@dataclass(frozen=True)
class Learned:
    """A policy of one motion, and all that is known of it.

    Attributes:
        folder: where everything lies.
        env_id: whose environment the policy plays. The ids of an own motion are registered in
            this process; elsewhere ``sfv_gym.register_motion(motion_file)`` does it.
        observation: what the policy sees of the reference, for ``gym.make(env_id, observation=)``
            and ``load_policy``.
        motion: the reference.
        motion_file, policy, film, sheet, report: where they lie.
        start: what learning started from: ``"tracker"``, a file's name, or ``"none"``.
        target: success rate from which on a policy is good.
        zero_shot: of the policy that learning started from, as it was; None without one.
        evaluation: of the policy in the end, in episodes by which nothing was chosen.
        samples: control steps that it learned from.
        seconds: by stage.
    """

    folder: Path
    env_id: str
    observation: str
    motion: ReferenceMotion
    motion_file: Path
    policy: Path
    film: Path
    sheet: Path
    report: Path
    start: str
    target: float
    zero_shot: Evaluation | None
    evaluation: Evaluation
    samples: int
    seconds: dict[str, float]
    usage: str

    @property
    def verdict(self) -> Verdict | None:
        """How far the motion can be believed, and why."""
        return self.motion.verdict

    @property
    def minutes(self) -> float:
        """That all stages took, in all processes that had a part in them."""
        return sum(self.seconds.values()) / 60.0

    @property
    def is_good(self) -> bool:
        """Whether the policy's success, in fresh episodes, reaches the target."""
        return self.evaluation.success_rate >= self.target

    def as_dict(self) -> JSON:
        """All of it as JSON has it; files relative to the folder."""
        zero_shot, verdict = self.zero_shot, self.verdict
        files = ("motion_file", "policy", "film", "sheet", "report")
        return {
            "env_id": self.env_id,
            "observation": self.observation,
            "motion_hash": self.motion.content_hash(),
            "verdict": None if verdict is None else verdict.as_dict(),
            "start": self.start,
            "target": self.target,
            "good": self.is_good,
            "success_rate": self.evaluation.success_rate,
            "normalized_return": self.evaluation.normalized_return,
            "normalized_return_sfv": self.evaluation.normalized_return_sfv,
            "zero_shot_success_rate": None if zero_shot is None else zero_shot.success_rate,
            "samples": self.samples,
            "minutes": round(self.minutes, 3),
            "seconds": self.seconds,
            "evaluation": self.evaluation.as_dict(),
            "zero_shot": None if zero_shot is None else zero_shot.as_dict(),
            "folder": str(self.folder),
            "files": {name: str(getattr(self, name).relative_to(self.folder)) for name in files},
            "usage": self.usage,
        }
