"""A trained policy: weights and observation normalisation in one safetensors file.

Evaluating one needs NumPy alone, and loading one runs no pickled code.
"""

from __future__ import annotations

import hashlib
import json
import os
import reprlib
import warnings
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import mujoco
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sfv_gym.errors import PolicyError
from sfv_gym.files import JSON, atomic_path, read_nested_json
from sfv_gym.registry import get_entry

FORMAT = "1"
OBSERVATION_CLIP = 10.0
MAX_BYTES = 64 * 2**20
"""Of a policy file: the shipped ones take less than one MiB."""
CARD_TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("env_id", "motion_hash", "mujoco_version"), str),
    **{
        f"{name}{when}": (int, float)
        for name in ("samples", "seconds")
        for when in ("", "_total", "_before")
    },
}
"""What is read of a card to play a policy, and to train on from it; a card may lack it."""


@dataclass
class Policy:
    """A multi-layer perceptron with ReLUs from normalised observations to mean actions.

    Attributes:
        mean, std: (D,) of the observations seen in training.
        layers: (weight (out, in), bias (out,)) pairs; the last one gives the action.
        card: what is known of the training; see ``train``.
    """

    mean: np.ndarray
    std: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray]]
    card: JSON = field(default_factory=dict)

    def predict(self, observation: np.ndarray) -> np.ndarray:
        """Deterministic actions (N, A) or (A,), clipped to [-1, 1], for (N, D) or (D,).

        Raises:
            PolicyError: the observations are of another width D than the policy's.
        """
        x = np.asarray(observation, np.float32)
        if x.shape[-1:] != self.mean.shape:
            raise PolicyError(
                f"the policy sees {len(self.mean)} numbers, an observation of shape {x.shape} was "
                "given: it is of another environment"
            )
        x = (x - self.mean) / self.std
        x = np.clip(x, -OBSERVATION_CLIP, OBSERVATION_CLIP)
        for weight, bias in self.layers[:-1]:
            x = np.maximum(x @ weight.T + bias, 0.0)
        weight, bias = self.layers[-1]
        return np.clip(x @ weight.T + bias, -1.0, 1.0)

    def content_hash(self) -> str:
        """Hash of what its actions depend on: weights and normalisation, not the card."""
        digest = hashlib.sha256(f"policy {FORMAT}".encode())
        for values in (self.mean, self.std, *(array for layer in self.layers for array in layer)):
            digest.update(np.ascontiguousarray(values, "<f4").tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.safetensors`` file, whole or not at all."""
        tensors = {"observation.mean": self.mean, "observation.std": self.std}
        for i, (weight, bias) in enumerate(self.layers):
            tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"] = weight, bias
        tensors = {k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}
        metadata = {"format": FORMAT, "card": json.dumps(self.card, sort_keys=True)}
        with atomic_path(path) as temporary:
            save_file(tensors, temporary, metadata=metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Policy:
        """Read a policy file; raises PolicyError, which names it, if it is missing or not one."""
        path = Path(path)
        if not path.is_file():
            raise PolicyError(f"{path}: there is no such policy file")
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"it is larger than {MAX_BYTES // 2**20} MiB")
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != FORMAT:
                    raise ValueError(f"its format is {metadata.get('format')!r}, not {FORMAT!r}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return _assembled(tensors, read_nested_json(metadata["card"]))
        except KeyError as error:
            raise PolicyError(f"{path}: not an sfv_gym policy: it has no {error}") from None
        except (SafetensorError, ValueError, TypeError, AttributeError, OSError) as error:
            raise PolicyError(f"{path}: not an sfv_gym policy: {error}") from None


def _assembled(tensors: dict[str, np.ndarray], card: JSON) -> Policy:
    """A policy of arrays that fit together; KeyError or ValueError where they do not."""
    for name, values in tensors.items():
        if values.dtype != np.float32:  # NumPy would hide a wrong one until the first action
            raise ValueError(f"{name} holds {values.dtype}, not float32")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds NaN or infinite values")
    mean, std = tensors["observation.mean"], tensors["observation.std"]
    if mean.ndim != 1 or not len(mean) or std.shape != mean.shape or not (std > 0).all():
        raise ValueError("the normalisation must be one mean and one positive std for each input")
    count = sum(name.endswith(".weight") for name in tensors)
    layers = [(tensors[f"layer{i}.weight"], tensors[f"layer{i}.bias"]) for i in range(count)]
    if not layers:
        raise ValueError("it has no layers")
    width = len(mean)
    for i, (weight, bias) in enumerate(layers):
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"layer {i} has weights {weight.shape} and biases {bias.shape} for {width} inputs"
            )
        width = len(weight)
    for name, kind in CARD_TYPES.items():
        if name in card and not isinstance(card[name], kind):
            raise ValueError(f"its card says {name}: {reprlib.repr(card[name])}")
    return Policy(mean, std, layers, card)


def policies_folder() -> Path:
    """Where the policies lie that ship with the package, one file per environment id."""
    return Path(str(resources.files("sfv_gym.assets"))) / "policies"


def shipped_policy_path(env_id: str) -> Path:
    """Where the shipped policy of an id lies, whether or not there is one."""
    return policies_folder() / f"{env_id}.safetensors"


def load_policy(env_id: str, path: str | os.PathLike[str] | None = None) -> Policy:
    """The policy of an environment id: the shipped one, or that in the file ``path``.

    Warns when it was trained with another MuJoCo version or on another motion, either of which
    can make it fall.

    Raises:
        UnknownIdError: the id is not registered.
        PolicyError: no policy ships for the id, the file is damaged, or its policy sees or does
            what another environment gives or takes.
    """
    from sfv_gym.envs.task import Task

    entry = get_entry(env_id)
    path = Path(path) if path is not None else shipped_policy_path(env_id)
    if not path.is_file() and path == shipped_policy_path(env_id):
        hint = f"; `sfv train {env_id}` makes one" if entry.motion else ""
        raise PolicyError(f"no policy ships for {env_id}{hint}")
    policy = Policy.load(path)
    task = Task.of(env_id)
    given, taken = task.observation_size, task.action_size
    if (len(policy.mean), len(policy.layers[-1][1])) != (given, taken):
        raise PolicyError(
            f"{path} does not fit {env_id}: it turns {len(policy.mean)} numbers into "
            f"{len(policy.layers[-1][1])} actions, the environment gives {given} and takes {taken}"
        )
    trained_on = policy.card.get("mujoco_version")
    if trained_on and trained_on != mujoco.__version__:
        warnings.warn(
            f"{path.name} was trained with MuJoCo {trained_on}, this is {mujoco.__version__}: "
            "it may do worse; `sfv eval` tells",
            stacklevel=2,
        )
    trained_motion = policy.card.get("motion_hash")
    if entry.motion and trained_motion and trained_motion != task.motion.content_hash():
        warnings.warn(
            f"{path.name} was trained on another motion than {entry.motion.name} holds now: "
            f"it may do worse; `sfv train {env_id}` trains it again",
            stacklevel=2,
        )
    return policy
