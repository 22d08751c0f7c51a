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
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.registry import get_entry, list_envs

FORMAT = "2"
"""Of files that are written. The first had neither noise, critic nor layout."""
READABLE = ("1", FORMAT)
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


Layers = list[tuple[np.ndarray, np.ndarray]]
"""(weight (out, in), bias (out,)) pairs of a multi-layer perceptron with ReLUs."""


@dataclass
class Policy:
    """A multi-layer perceptron with ReLUs from normalised observations to mean actions.

    What only going on to learn from it needs, files of format 1 and policies of other trainers
    may lack.

    Attributes:
        mean, std: (D,) of the observations seen in training.
        layers: the actor's; the last one gives the action.
        card: what is known of the training; see ``train``.
        log_std: (A,) logarithm of the standard deviation, in rad, of the actions' noise in
            training.
        critic: layers from the same observations to the return (1,) expected under the reward,
            discount and noise of the training; empty if it is not known.
        layout: what it sees, by name, and whom it moves.
    """

    mean: np.ndarray
    std: np.ndarray
    layers: Layers
    card: JSON = field(default_factory=dict)
    log_std: np.ndarray | None = None
    critic: Layers = field(default_factory=list)
    layout: PolicyLayout | None = None

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
        digest = hashlib.sha256(b"policy 1")  # one policy has one hash in either format
        for values in (self.mean, self.std, *(array for layer in self.layers for array in layer)):
            digest.update(np.ascontiguousarray(values, "<f4").tobytes())
        return digest.hexdigest()[:16]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.safetensors`` file, whole or not at all."""
        tensors = {"observation.mean": self.mean, "observation.std": self.std}
        for prefix, layers in (("layer", self.layers), ("critic", self.critic)):
            for i, (weight, bias) in enumerate(layers):
                tensors[f"{prefix}{i}.weight"], tensors[f"{prefix}{i}.bias"] = weight, bias
        if self.log_std is not None:
            tensors["log_std"] = self.log_std
        tensors = {k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}
        metadata = {"format": FORMAT, "card": json.dumps(self.card, sort_keys=True)}
        if self.layout is not None:
            metadata["layout"] = json.dumps(self.layout.as_json())
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
                if metadata.get("format") not in READABLE:
                    known = " or ".join(map(repr, READABLE))
                    raise ValueError(f"its format is {metadata.get('format')!r}, not {known}")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            layout = metadata.get("layout")
            return _assembled(
                tensors,
                read_nested_json(metadata["card"]),
                PolicyLayout.from_json(read_nested_json(layout)) if layout is not None else None,
            )
        except KeyError as error:
            raise PolicyError(f"{path}: not an sfv_gym policy: it has no {error}") from None
        except (SafetensorError, ValueError, TypeError, AttributeError, OSError) as error:
            raise PolicyError(f"{path}: not an sfv_gym policy: {error}") from None


def _assembled(tensors: dict[str, np.ndarray], card: JSON, layout: PolicyLayout | None) -> Policy:
    """A policy of arrays that fit together; KeyError or ValueError where they do not."""
    for name, values in tensors.items():
        if values.dtype != np.float32:  # NumPy would hide a wrong one until the first action
            raise ValueError(f"{name} holds {values.dtype}, not float32")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds NaN or infinite values")
    mean, std = tensors["observation.mean"], tensors["observation.std"]
    if mean.ndim != 1 or not len(mean) or std.shape != mean.shape or not (std > 0).all():
        raise ValueError("the normalisation must be one mean and one positive std for each input")
    layers, critic = (_layers(tensors, prefix, len(mean)) for prefix in ("layer", "critic"))
    if not layers:
        raise ValueError("it has no layers")
    if critic and len(critic[-1][1]) != 1:
        raise ValueError(f"its critic gives {len(critic[-1][1])} values, not 1")
    log_std = tensors.get("log_std")
    if log_std is not None and log_std.shape != layers[-1][1].shape:
        raise ValueError(f"its log_std has shape {log_std.shape}, not one for each action")
    if layout is not None and layout.size != len(mean):
        raise ValueError(f"its layout has {layout.size} numbers for {len(mean)} inputs")
    for name, kind in CARD_TYPES.items():
        if name in card and not isinstance(card[name], kind):
            raise ValueError(f"its card says {name}: {reprlib.repr(card[name])}")
    return Policy(mean, std, layers, card, log_std, critic, layout)


def _layers(tensors: dict[str, np.ndarray], prefix: str, width: int) -> Layers:
    """Those whose names begin with ``prefix``, the first of which has ``width`` inputs."""
    count = sum(name.startswith(prefix) and name.endswith(".weight") for name in tensors)
    names = [f"{prefix}{i}" for i in range(count)]
    layers = [(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names]
    for name, (weight, bias) in zip(names, layers, strict=True):
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"{name} has weights {weight.shape} and biases {bias.shape} for {width} inputs"
            )
        width = len(weight)
    return layers


def policies_folder() -> Path:
    """Where the policies lie that ship with the package, one file per environment id."""
    return Path(str(resources.files("sfv_gym.assets"))) / "policies"


def shipped_policy_path(env_id: str) -> Path:
    """Where the shipped policy of an id lies, whether or not there is one."""
    return policies_folder() / f"{env_id}.safetensors"


def load_policy(
    env_id: str, path: str | os.PathLike[str] | None = None, *, observation: str | None = None
) -> Policy:
    """The policy of an environment id: the shipped one, or that in the file ``path``.

    Warns when it was trained with another MuJoCo version or on another motion, either of which
    can make it fall.

    Args:
        observation: the environment's, where it is not the id's own.

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
    if observation is not None:
        task = Task.of(task, observation=observation)
    if policy.layout is not None:
        try:
            policy.layout.check_same(PolicyLayout.of(task))
        except PolicyError as error:
            raise PolicyError(f"{path} does not fit {env_id}: {error}") from None
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
    trained_on_many = any(
        other.env_id == policy.card.get("env_id") and not other.motion for other in list_envs()
    )
    if (
        entry.motion
        and trained_motion not in (None, "", task.motion.content_hash())
        and not trained_on_many
    ):
        warnings.warn(
            f"{path.name} was trained on another motion than {entry.motion.name} holds now: "
            f"it may do worse; `sfv train {env_id}` trains it again",
            stacklevel=2,
        )
    return policy
