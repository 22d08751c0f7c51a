"""A network that learns to act as labels say, and the samples that it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from sfv_gym.array_types import Float
from sfv_gym.files import JSON
from sfv_gym.play.layout import PolicyLayout
from sfv_gym.play.policy import OBSERVATION_CLIP, Policy
from sfv_gym.train.export import as_arrays, linear_layers

LEAST_STD = 0.01
"""Of the normalisation, in the observation's units: what stood still while it was made is not
blown up when it moves."""


class Samples:
    """The newest normalised observations with their labels.

    They are kept in half precision, to three digits: the labels of a network's mean actions are
    not worth more, and a full buffer is 450 MB in place of 900.
    """

    def __init__(self, capacity: int, inputs: int, actions: int) -> None:
        # pages are taken as they are written to, so that a short run stays small
        self._seen = torch.empty((capacity, inputs), dtype=torch.float16)
        self._labels = torch.empty((capacity, actions), dtype=torch.float16)
        self._next, self._count = 0, 0

    def __len__(self) -> int:
        return self._count

    def add(self, seen: torch.Tensor, labels: torch.Tensor) -> None:
        """Keep observations (N, D) with labels (N, A), in place of the oldest."""
        capacity = len(self._seen)
        at = torch.arange(self._next, self._next + len(seen)) % capacity
        self._seen[at], self._labels[at] = seen.half(), labels.half()
        self._next = (self._next + len(seen)) % capacity
        self._count = min(self._count + len(seen), capacity)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Observations (count, D) and labels (count, A), drawn evenly with replacement."""
        at = torch.from_numpy(rng.integers(self._count, size=count))
        return self._seen[at].float(), self._labels[at].float()

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        count = self._count
        return {
            "seen": self._seen[:count].clone(),
            "labels": self._labels[:count].clone(),
            "next": self._next,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self._count, self._next = len(state["seen"]), state["next"]
        self._seen[: self._count], self._labels[: self._count] = state["seen"], state["labels"]


class Student:
    """A multi-layer perceptron with ReLUs, fitted to labels by Adam.

    Args:
        observation: (S, D) from which the normalisation is made, once: weights that were learned
            stay right.
        seed: of the first weights.

    Attributes:
        learning_rate: of the next ``fit``.
    """

    def __init__(
        self,
        observation: Float[np.ndarray, "S D"],
        actions: int,
        hidden: Sequence[int],
        seed: int,
        learning_rate: float,
    ) -> None:
        self.mean = observation.mean(0, dtype=np.float64).astype(np.float32)
        std = observation.std(0, dtype=np.float64).astype(np.float32)
        self.std = np.maximum(std, np.float32(LEAST_STD))
        widths = (observation.shape[1], *hidden, actions)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            layers: list[torch.nn.Module] = []
            for inputs, outputs in pairwise(widths):
                layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*layers[:-1])
        self.learning_rate = learning_rate
        self._optimizer = torch.optim.Adam(self.network.parameters(), fused=True)

    def normalize(self, observation: Float[np.ndarray, "N D"]) -> torch.Tensor:
        """As the network takes them, (N, D)."""
        scaled = (observation - self.mean) / self.std
        return torch.from_numpy(np.clip(scaled, -OBSERVATION_CLIP, OBSERVATION_CLIP))

    def act(self, seen: torch.Tensor) -> Float[np.ndarray, "N A"]:
        """Actions (N, A) for normalised observations (N, D); they may lie outside [-1, 1]."""
        with torch.inference_mode():
            actions: np.ndarray = self.network(seen).numpy()
        return actions

    def fit(self, seen: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """One step on the mean squared error, in rad squared, which is returned."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate
        loss = torch.nn.functional.mse_loss(self.network(seen), labels)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return loss.detach()

    def policy(self, card: JSON, log_std: np.ndarray | None, layout: PolicyLayout) -> Policy:
        """What it has learned. It has no critic: nobody told it of rewards."""
        layers = as_arrays(linear_layers(self.network))
        return Policy(self.mean, self.std, layers, card, log_std=log_std, layout=layout)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            "mean": self.mean,
            "std": self.std,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what ``state`` returned."""
        self.mean, self.std = state["mean"], state["std"]
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
