"""Settings of a distillation: name, type, range, default and meaning of each, in one place."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from sfv_gym.files import JSON
from sfv_gym.train.config import (
    MOST_STEPS,
    Number,
    ObservationName,
    Whole,
    Width,
    checked,
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class DistillConfig:
    """Settings of one distillation.

    Made by ``of``, whatever is wrong is a SettingError; pydantic's ValidationError otherwise.
    """

    steps: Whole = Field(
        1_000_000,
        ge=1,
        le=MOST_STEPS,
        description="Control steps over all environments after which it ends: `--steps`.",
    )
    minutes: Number = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Minutes after which it ends, if that is sooner; 0 is no limit: `--minutes`.",
    )
    envs_per_motion: Whole = Field(
        12, ge=1, le=4096, description="Environments for each motion, simulated side by side."
    )
    horizon: Whole = Field(
        150, ge=1, le=100_000, description="Control steps after which an episode is truncated."
    )
    first_frame: Number = Field(
        0.2, ge=0, lt=1, description="Share of episodes from the clip's first frame."
    )
    position_noise: Number = Field(
        0.02,
        ge=0,
        le=10,
        description="Metres, of the root at an episode's start: standard deviation.",
    )
    observation: ObservationName = Field(
        "window", description="What the one policy sees of the reference."
    )
    mirrored: Number = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the environments that are seen and acted in through a mirror, so "
        "that each motion's mirror image is learned as well; 0 is none.",
    )
    hidden: tuple[Width, ...] = Field(
        (512, 256), min_length=1, max_length=8, description="Widths of its hidden layers."
    )
    opening_steps: Whole = Field(
        64,
        ge=1,
        le=100_000,
        description="Control steps that the specialists play alone at first. What is seen in them "
        "gives the normalisation.",
    )
    specialist_steps: Whole = Field(
        100_000,
        ge=0,
        le=MOST_STEPS,
        description="Control steps over all environments in which the share of environments that "
        "specialists play falls to 0.",
    )
    noise: Number = Field(
        0.05,
        ge=0,
        le=1,
        description="Standard deviation (rad) of what is added to the actions in the environments "
        "that have most of it; others have less, down to none.",
    )
    buffer: Whole = Field(
        700_000,
        ge=1,
        le=2**24,
        description="Samples that are kept to learn from, the newest ones.",
    )
    n_steps: Whole = Field(
        8, ge=1, le=65_536, description="Control steps of each environment between two updates."
    )
    batch_size: Whole = Field(1024, ge=1, le=2**22, description="Samples of a minibatch.")
    passes: Number = Field(
        12.0,
        gt=0,
        le=1000,
        description="How often a sample is learned from, on average: minibatches an update in "
        "relation to new samples.",
    )
    learning_rate: Number = Field(1e-3, gt=0, le=1, description="Adam's at first.")
    final_learning_rate: Number = Field(
        2e-5, ge=0, le=1, description="At the end; it falls linearly between the two."
    )

    @classmethod
    def of(cls, **values: Any) -> DistillConfig:
        """The defaults, with those of ``values`` that are not None.

        Raises:
            SettingError: a name is unknown, or a value is of another type or out of its range.
        """
        given = {name: value for name, value in values.items() if value is not None}
        return checked(cls, given, "distillation", "sfv distill")

    def as_dict(self) -> JSON:
        """By name, as a run's JSON files hold them and ``of`` takes them."""
        return asdict(self)
