"""Small temporal networks that tell joints from a landmark network's points.

A landmark network errs in ways that repeat: limbs along the line of sight come out too flat, the
mark of a shoulder wanders as the arm is raised, a hidden wrist is put where wrists usually are.
These networks have learned from rendered people, whom the landmark network has looked at, how it
errs and how far it is to be believed; ``scripts/train_joint_networks.py`` makes them. None of them
has seen all skills: what is shown of a skill is measured with those that have not seen it.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from scipy.ndimage import gaussian_filter1d
from torch import nn
from torch.nn.functional import normalize

from sfv_gym.files import atomic_path
from sfv_gym.pose.landmarks import JOINTS
from sfv_gym.pose.mediapipe.markers import LANDMARKS
from sfv_gym.reconstruction.pose_track import PoseTrack

FPS = 30.0
"""Frames per second that the networks know."""
PAIRS: tuple[tuple[int, int], ...] = tuple(
    (JOINTS.index(a), JOINTS.index(b))
    for a, b, _ in LANDMARKS.directions
    if a in JOINTS and b in JOINTS
)
"""Columns of JOINTS between which they tell the direction."""
_START, _END = np.array(PAIRS).T
CHANNELS = 6
"""Of every landmark: 3D metres from the hips' middle, metres from it across the picture,
visibility."""
WIDTH = 160
DILATIONS = (1, 3, 9)
"""Of three frames each: an answer depends on 27 frames."""
_DROPOUT = 0.25
DIRECTION_SPREAD, PLACE_SPREAD = -1.5, -3.0
"""Logarithms of the spreads, radians and metres, that an untrained network would tell."""


@dataclass(frozen=True)
class Answer:
    """Of a network; a spread is how far the truth usually lies from what it says.

    Attributes:
        directions: (..., T, P, 3) unit vectors of PAIRS, in the frame of the landmarks.
        direction_spread: (..., T, P) radians.
        places: (..., T, 12, 2) metres across the picture from the middle of the hips' landmarks.
        place_spread: (..., T, 12) metres.
    """

    directions: torch.Tensor
    direction_spread: torch.Tensor
    places: torch.Tensor
    place_spread: torch.Tensor


@dataclass(frozen=True)
class JointGuess:
    """Of several networks together, for T frames and the 12 JOINTS.

    Attributes:
        directions: (T, P, 3) unit vectors of PAIRS, in the frame of the landmarks.
        direction_trust: (T, P) how much more than usual each is to be believed: 1 is as ever.
        places: (T, 12, 2) metres across the picture from the middle of the hips' landmarks.
        place_trust: (T, 12), likewise.
    """

    directions: torch.Tensor
    direction_trust: torch.Tensor
    places: torch.Tensor
    place_trust: torch.Tensor


class JointNetwork(nn.Module):
    """Convolutions over time, from what a landmark network says to what is to be changed of it."""

    def __init__(self) -> None:
        super().__init__()
        self.inlet = nn.Conv1d(len(LANDMARKS) * CHANNELS, WIDTH, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(WIDTH, WIDTH, 3, dilation=step, padding=step, padding_mode="replicate"),
                nn.ReLU(),
                nn.Dropout(_DROPOUT),
                nn.Conv1d(WIDTH, WIDTH, 1),
                nn.ReLU(),
            )
            for step in DILATIONS
        )
        self.dropout = nn.Dropout(_DROPOUT)
        self.outlet = nn.Conv1d(WIDTH, 4 * len(PAIRS) + 3 * len(JOINTS), 1)
        for weights in self.outlet.parameters():
            nn.init.zeros_(weights)

    def forward(self, seen: torch.Tensor) -> Answer:
        """Answers (B, T, ...) for inputs (B, T, 33, CHANNELS) as `network_inputs` makes them."""
        hidden = torch.relu(self.inlet(seen.flatten(2).transpose(1, 2)))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        found = self.outlet(self.dropout(hidden)).transpose(1, 2)
        turns = found[..., : 4 * len(PAIRS)].unflatten(-1, (len(PAIRS), 4))
        shifts = found[..., 4 * len(PAIRS) :].unflatten(-1, (len(JOINTS), 3))
        joints = seen[..., LANDMARKS.joints, :]
        lines = normalize(joints[..., _END, :3] - joints[..., _START, :3], dim=-1)
        return Answer(
            normalize(lines + turns[..., :3], dim=-1),
            torch.exp(turns[..., 3] + DIRECTION_SPREAD),
            joints[..., 3:5] + shifts[..., :2],
            torch.exp(shifts[..., 2] + PLACE_SPREAD),
        )


def network_inputs(track: PoseTrack) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """What the networks see of a clip with MediaPipe's landmarks.

    Returns:
        Inputs (T, 33, CHANNELS), and where places are in the picture: the hips' middle (T, 2) in
        pixels, and pixels per metre (T,).
    """
    hips = LANDMARKS.indices("left_hip", "right_hip")
    scale = np.exp(gaussian_filter1d(np.log(track.scale), 0.1 * track.fps, mode="nearest"))
    middle = track.flat[:, hips].mean(1)
    across = (track.flat - middle[:, None]) / scale[:, None, None]
    solid = track.solid - track.solid[:, hips].mean(1, keepdims=True)
    seen = np.concatenate((solid, across, track.visibility[..., None]), axis=-1)
    return torch.as_tensor(seen, dtype=torch.float32), middle, scale


# --- the mirror image ---------------------------------------------------------------------------

_JOINTS_MIRRORED = torch.tensor(
    [JOINTS.index(LANDMARKS.names[LANDMARKS.mirror[column]]) for column in LANDMARKS.joints]
)


def _mirrored_pairs() -> tuple[torch.Tensor, torch.Tensor]:
    other = _JOINTS_MIRRORED.tolist()
    columns, signs = [], []
    for a, b in PAIRS:
        forward = (other[a], other[b])
        signs.append(1.0 if forward in PAIRS else -1.0)
        columns.append(PAIRS.index(forward if forward in PAIRS else forward[::-1]))
    return torch.tensor(columns), torch.tensor(signs)


_PAIRS_MIRRORED, _PAIR_SIGNS = _mirrored_pairs()
_ACROSS = torch.tensor([-1.0, 1.0, 1.0])


def mirrored_inputs(seen: torch.Tensor) -> torch.Tensor:
    """Inputs (..., 33, CHANNELS) of the mirror image."""
    flipped = torch.tensor([-1.0, 1.0, 1.0, -1.0, 1.0, 1.0])
    return seen[..., torch.as_tensor(LANDMARKS.mirror), :] * flipped


def mirrored_directions(directions: torch.Tensor) -> torch.Tensor:
    """Directions (..., P, 3) of the mirror image."""
    return directions[..., _PAIRS_MIRRORED, :] * _PAIR_SIGNS[:, None] * _ACROSS


def mirrored_places(places: torch.Tensor) -> torch.Tensor:
    """Places (..., 12, 2) of the mirror image."""
    return places[..., _JOINTS_MIRRORED, :] * _ACROSS[:2]


# --- several of them ----------------------------------------------------------------------------


_USUAL = ("usual.direction_spread", "usual.place_spread")


class JointNetworks:
    """Networks that are asked together.

    Args:
        networks: by the skills that each of them has not seen.
        usual: spreads of directions (P,) and places (12,) that are as ever.
    """

    def __init__(
        self,
        networks: Mapping[tuple[str, ...], JointNetwork],
        usual: tuple[torch.Tensor, torch.Tensor] | None = None,
    ) -> None:
        self._networks = dict(networks)
        self.usual = usual or (torch.ones(len(PAIRS)), torch.ones(len(JOINTS)))
        for network in self._networks.values():
            network.eval()

    @property
    def unseen(self) -> tuple[tuple[str, ...], ...]:
        """The skills that each of them has not seen."""
        return tuple(self._networks)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._networks)

    def without(self, skill: str) -> JointNetworks:
        """Those that have not seen a skill; all of them where all have not."""
        knows = any(skill in unseen for unseen in self._networks)
        kept = {u: n for u, n in self._networks.items() if not knows or skill in u}
        return JointNetworks(kept, self.usual)

    def guess(self, seen: torch.Tensor, fps: float) -> JointGuess:
        """What they say together, of the picture and its mirror image.

        Args:
            seen: (T, 33, CHANNELS), see `network_inputs`. fps: frames per second.
        """
        frames = len(seen)
        length = (frames - 1) / fps
        at = np.linspace(0, length, max(2, round(length * FPS) + 1)) * fps
        steady = _at_times(seen.numpy(), at)[None]
        with torch.no_grad():
            found = [
                answer
                for network in self._networks.values()
                for answer in (network(steady), _mirrored(network(mirrored_inputs(steady))))
            ]
        back = np.arange(frames) / max(frames - 1, 1) * (len(at) - 1)

        def mean(values: Sequence[torch.Tensor]) -> torch.Tensor:
            return _at_times(torch.stack(list(values)).mean(0)[0].numpy(), back)

        spreads = (
            mean([answer.direction_spread for answer in found]),
            mean([answer.place_spread for answer in found]),
        )
        direction, place = (
            (usual / spread).square() for usual, spread in zip(self.usual, spreads, strict=True)
        )
        return JointGuess(
            normalize(mean([answer.directions for answer in found]), dim=-1),
            direction,
            mean([answer.places for answer in found]),
            place,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one ``.safetensors`` file, half precision, whole or not at all."""
        weights = {
            f"{k}.{name}": value.half()
            for k, network in enumerate(self._networks.values())
            for name, value in network.state_dict().items()
        }
        weights |= dict(zip(_USUAL, self.usual, strict=True))
        unseen = json.dumps([list(skills) for skills in self._networks])
        with atomic_path(path) as temporary:
            save_file(weights, temporary, metadata={"unseen": unseen})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> JointNetworks:
        """Read what ``save`` wrote."""
        networks = {}
        with safe_open(path, framework="pt") as file:
            for k, skills in enumerate(json.loads(file.metadata()["unseen"])):
                network = JointNetwork()
                network.load_state_dict(
                    {name: file.get_tensor(f"{k}.{name}").float() for name in network.state_dict()}
                )
                networks[tuple(skills)] = network
            direction, place = (file.get_tensor(name) for name in _USUAL)
        return cls(networks, (direction, place))


@functools.cache
def shipped_networks() -> JointNetworks:
    """Those that come with the package."""
    return JointNetworks.load(
        str(resources.files("sfv_gym.reconstruction").joinpath("joint_networks.safetensors"))
    )


def _mirrored(answer: Answer) -> Answer:
    return Answer(
        mirrored_directions(answer.directions),
        answer.direction_spread[..., _PAIRS_MIRRORED],
        mirrored_places(answer.places),
        answer.place_spread[..., _JOINTS_MIRRORED],
    )


def _at_times(values: np.ndarray, at: np.ndarray) -> torch.Tensor:
    """Values (T, ...) between frames, at fractional ones ``at`` (S,)."""
    before = np.clip(np.floor(at).astype(int), 0, len(values) - 1)
    after = np.minimum(before + 1, len(values) - 1)
    share = (at - before).reshape(-1, *(1,) * (values.ndim - 1))
    return torch.as_tensor(
        (1 - share) * values[before] + share * values[after], dtype=torch.float32
    )
