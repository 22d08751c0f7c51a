"""Training settings: a typed dataclass, filled from ``hyperparams/ppo.yml``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from importlib import resources
from typing import Any

import yaml

from sfv_gym.errors import SFVError


@dataclass(frozen=True)
class PPOConfig:
    """Settings of one PPO run; see ``train/hyperparams/ppo.yml`` for the values and reasons."""

    num_envs: int
    horizon: int
    n_steps: int
    batch_size: int
    n_epochs: int
    learning_rate: float
    final_learning_rate: float
    clip_range: float
    gamma: float
    gae_lambda: float
    ent_coef: float
    vf_coef: float
    max_grad_norm: float
    hidden: tuple[int, ...]
    log_std_init: float
    initialization: str
    first_frame: float
    position_noise: float
    critic_warmup: int
    warm_log_std: float
    warm_learning_rate: float
    new_body_log_std: float
    new_body_learning_rate: float
    steps: int
    anneal_steps: int
    target_success: float
    target_evaluations: int
    first_difficulty: float
    last_difficulty: float
    harder_by: float
    harder_at: float
    reward: str
    failure_cost: float

    @classmethod
    def for_env(cls, env_id: str, /, **overrides: Any) -> PPOConfig:
        """The settings for an id: defaults, then the id's own, then ``overrides`` not None."""
        text = resources.files("sfv_gym.train").joinpath("hyperparams", "ppo.yml").read_text()
        table: dict[str, dict[str, Any]] = yaml.safe_load(text)
        values = {**table["default"], **table.get(env_id, {})}
        values.update({k: v for k, v in overrides.items() if v is not None})
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise SFVError(f"unknown PPO setting: {', '.join(unknown)}")
        for field in fields(cls):
            values[field.name] = _as(field.type, field.name, values[field.name])
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _as(kind: Any, name: str, value: Any) -> Any:
    """The value of a setting as the type it has; YAML 1.1 reads 5e-4, for one, as text."""
    try:
        if kind == "str":
            return str(value)
        if kind == "float":
            return float(value)
        if kind == "int":
            return int(value)
        return tuple(int(width) for width in value)
    except (TypeError, ValueError):
        raise SFVError(f"the PPO setting {name} cannot be {value!r}") from None
