"""Training settings: name, type, range and meaning of each, in one place.

The values are in ``hyperparams/ppo.yml``. What ``sfv train --settings`` lists and the table in
docs/training.md are made from the fields below: see ``settings``.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection
from dataclasses import asdict
from dataclasses import dataclass as stdlib_dataclass
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, TypeVar, cast

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import ErrorDetails

from sfv_gym.envs.observations import OBSERVATIONS
from sfv_gym.envs.rewards import REWARDS
from sfv_gym.envs.starts import INITIALIZATIONS
from sfv_gym.errors import SettingError
from sfv_gym.files import JSON

MOST_ENVIRONMENTS = 4096
"""Of one run: so many seeds a stream of random numbers has room for."""
MOST_SAMPLES = 2**22
"""Of one rollout, which lies in memory: 3 GiB of observations."""
MOST_STEPS = 10**10


def _number(value: Any) -> Any:
    """YAML 1.1 reads 5e-4 as text and ``yes`` as True; only the first is a number."""
    if isinstance(value, bool):
        raise ValueError("a number is needed")
    return float(value) if isinstance(value, str) else value


def _one_of(names: Collection[str]) -> tuple[AfterValidator, Any]:
    def check(value: str) -> str:
        if value not in names:
            raise ValueError("there is none of that name")
        return value

    return AfterValidator(check), Field(json_schema_extra={"enum": list(names)})


Whole = Annotated[int, BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number)]
Width = Annotated[int, Field(ge=1, le=4096), BeforeValidator(_number)]
RewardName = Annotated[str, *_one_of(REWARDS)]
ObservationName = Annotated[str, *_one_of(OBSERVATIONS)]
StartName = Annotated[str, *_one_of(INITIALIZATIONS)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class PPOConfig:
    """Settings of one PPO run; see ``train/hyperparams/ppo.yml`` for the values and reasons.

    Made by ``for_env``, whatever is wrong is a SettingError; pydantic's ValidationError otherwise.
    """

    num_envs: Whole = Field(
        ge=1, le=MOST_ENVIRONMENTS, description="Environments that are simulated side by side."
    )
    horizon: Whole = Field(
        ge=1,
        le=100_000,
        description="Control steps of a training episode, which is truncated after them.",
    )
    n_steps: Whole = Field(
        ge=1, le=65_536, description="Control steps of each environment between two updates."
    )
    batch_size: Whole = Field(ge=2, le=MOST_SAMPLES, description="Samples of a minibatch.")
    n_epochs: Whole = Field(ge=1, le=1000, description="Passes of an update over its samples.")
    learning_rate: Number = Field(gt=0, le=1, description="Of a run's first update.")
    final_learning_rate: Number = Field(
        ge=0, le=1, description="Of its last; it falls linearly between the two."
    )
    actor_rate: Number = Field(
        gt=0, le=1, description="The actor's learning rate as a share of the critic's."
    )
    clip_range: Number = Field(
        gt=0, le=1, description="How far from 1 an action's probability ratio is still followed."
    )
    gamma: Number = Field(ge=0, le=1, description="Discount of the next step's return.")
    gae_lambda: Number = Field(
        ge=0, le=1, description="Of the advantage: 0 trusts the critic alone, 1 the samples."
    )
    ent_coef: Number = Field(ge=0, le=10, description="Weight of the entropy in the loss.")
    vf_coef: Number = Field(ge=0, le=100, description="Weight of the critic's error in the loss.")
    max_grad_norm: Number = Field(
        gt=0, le=1e6, description="Longest gradient; a longer one is shortened to it."
    )
    observation: ObservationName = Field(
        description="What is seen of the reference: `window` is a tracker's."
    )
    hidden: tuple[Width, ...] = Field(
        min_length=1,
        max_length=8,
        description="Widths of the hidden layers, actor and critic; a policy that was given "
        "(`--init`) keeps its own.",
    )
    log_std_init: Number = Field(
        ge=-20, le=2, description="Logarithm of the action noise (rad) that a run begins with."
    )
    initialization: StartName = Field(description="How an episode's first frame is chosen.")
    first_frame: Number = Field(
        ge=0, lt=1, description="Share of episodes from the clip's first frame."
    )
    position_noise: Number = Field(
        ge=0, le=10, description="Metres, of the root at an episode's start: standard deviation."
    )
    critic_warmup: Whole = Field(
        ge=0,
        le=MOST_STEPS,
        description="Samples before a policy that was given (`--init`) is changed, where its file "
        "has no critic for this run.",
    )
    warm_log_std: Number = Field(
        ge=-20,
        le=2,
        description="`log_std_init` with such a policy, where its file has no noise for this run.",
    )
    warm_learning_rate: Number = Field(gt=0, le=1, description="`learning_rate` with such a one.")
    new_body_log_std: Number = Field(
        ge=-20, le=2, description="`log_std_init` with another character's policy."
    )
    new_body_learning_rate: Number = Field(
        gt=0, le=1, description="`learning_rate` with another character's policy."
    )
    steps: Whole = Field(
        ge=1,
        le=MOST_STEPS,
        description="The most control steps a run may take: `--steps`, `--budget`.",
    )
    minutes: Number = Field(
        ge=0,
        le=1e6,
        description="Minutes after which it ends, if that is sooner; 0 is no limit: `--minutes`.",
    )
    anneal_steps: Whole = Field(
        ge=0, le=MOST_STEPS, description="Control steps over which a run that is good enough ends."
    )
    target_success: Number = Field(
        ge=0, le=1, description="Success rate from which on a policy is good enough."
    )
    target_evaluations: Whole = Field(
        ge=0,
        le=1_000_000,
        description="Evaluations in a row that must reach it; with 0 a run takes all its steps.",
    )
    first_difficulty: Number = Field(
        ge=0, le=1, description="Of terrain: the limit to which it is drawn at first."
    )
    last_difficulty: Number = Field(ge=0, le=1, description="The largest such limit.")
    harder_by: Number = Field(ge=0, le=1, description="How much the limit rises at a time.")
    harder_at: Number = Field(
        ge=0, le=1, description="Share of episodes without failure at which it rises."
    )
    reward: RewardName = Field(description="What a step's reward is.")
    failure_cost: Number = Field(
        ge=0, le=1e6, description="Taken from the reward of a step that ends an episode early."
    )

    @model_validator(mode="after")
    def _together(self) -> PPOConfig:
        samples = self.num_envs * self.n_steps
        if not 2 <= samples <= MOST_SAMPLES:
            raise ValueError(
                f"num_envs times n_steps, the samples of a rollout, must be from 2 to "
                f"{MOST_SAMPLES}, they are {samples}"
            )
        if self.first_difficulty > self.last_difficulty:
            raise ValueError(
                f"first_difficulty must not be above last_difficulty, it is "
                f"{self.first_difficulty} against {self.last_difficulty}"
            )
        return self

    @classmethod
    def for_env(cls, env_id: str, /, **overrides: Any) -> PPOConfig:
        """The settings for an id: defaults, then the id's own, then ``overrides`` not None.

        Raises:
            SettingError: a name is unknown, a value is of another type or out of its range, or
                two do not go together.
        """
        table = recipes()
        values = {**table["default"], **table.get(env_id, {})}
        values.update({k: v for k, v in overrides.items() if v is not None})
        return checked(cls, values, "PPO", "sfv train")

    def as_dict(self) -> JSON:
        """By name, as a run's JSON files hold them and ``for_env`` takes them."""
        return asdict(self)


@stdlib_dataclass(frozen=True)
class Asked:
    """The settings that somebody asks for.

    Attributes:
        config: all of them, for a run that begins.
        given: the names of those that were given, and are not the recipe's: a run that goes on
            keeps its own for the others.
    """

    config: PPOConfig
    given: tuple[str, ...] = ()

    @classmethod
    def for_env(cls, env_id: str, steps: int | None = None, settings: JSON | None = None) -> Asked:
        """The recipe of an id with another budget and other ``settings``, as far as not None.

        Raises:
            SettingError: as ``PPOConfig.for_env``.
        """
        overrides = {k: v for k, v in (settings or {}).items() if v is not None}
        if steps is not None:
            overrides["steps"] = steps
        return cls(PPOConfig.for_env(env_id, **overrides), tuple(overrides))

    def overrides(self) -> JSON:
        """The values of those that were given."""
        return {name: getattr(self.config, name) for name in self.given}


@lru_cache(maxsize=1)
def recipes() -> dict[str, JSON]:
    """``hyperparams/ppo.yml``: settings by environment id, and the ``default``."""
    text = resources.files("sfv_gym.train").joinpath("hyperparams", "ppo.yml").read_text()
    table: dict[str, JSON] = yaml.safe_load(text)
    return table


Config = TypeVar("Config")


def checked(kind: type[Config], values: JSON, what: str, command: str) -> Config:
    """The settings of ``kind``, a pydantic dataclass, with these ``values``.

    Args:
        what: they are settings of, in a message.
        command: whose ``--settings`` lists them.

    Raises:
        SettingError: a name is unknown, a value is of another type or out of its range, or two do
            not go together.
    """
    known = schema(cast(type, kind))
    unknown = sorted(set(values) - set(known))
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(known), n=1)
        hint = f"did you mean {near[0]}?" if near else f"`{command} --settings` lists them"
        raise SettingError(f"unknown {what} setting: {', '.join(unknown)}; {hint}")
    try:
        return kind(**values)
    except ValidationError as error:
        raise SettingError(_what_is_wrong(error.errors()[0], values, known)) from None


@lru_cache(maxsize=4)
def schema(kind: type = PPOConfig) -> dict[str, JSON]:
    """The JSON schema of each setting, by name: what the fields of ``kind`` say, as data."""
    found: dict[str, JSON] = TypeAdapter(kind).json_schema()["properties"]
    return found


def describe(one: JSON) -> tuple[str, str]:
    """Type and range of a setting in words, from its ``schema``."""
    if "enum" in one:
        return "name", ", ".join(one["enum"])
    if one["type"] == "array":
        kind, span = describe(one["items"])
        return f"list of {kind}s", f"{one['minItems']} to {one['maxItems']} of {span}"
    kind = {"integer": "whole number", "number": "number"}[one["type"]]
    low, high = (
        f"{word} {_figure(one[f'exclusive{end}'])}".strip()
        if f"exclusive{end}" in one
        else _figure(one[end.lower()])
        for word, end in (("above", "Minimum"), ("below", "Maximum"))
    )
    return kind, f"{low} to {high}"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:g}"


def _what_is_wrong(error: ErrorDetails, values: JSON, known: dict[str, JSON]) -> str:
    """What pydantic found, as one line that says the setting, its value and its range."""
    if not error["loc"]:
        return error["msg"].removeprefix("Value error, ")
    name = str(error["loc"][0])
    kind, span = describe(known[name])
    # a value may be anything that YAML can hold, however long
    value = reprlib.repr(values[name])
    wanted = f"one of {span}" if kind == "name" else f"a {kind}, {span}"
    return f"the setting {name} cannot be {value}: it is {wanted}"
