"""Train the networks that tell joints from MediaPipe's landmarks.

    python scripts/train_joint_networks.py FOLDER

FOLDER holds rendered people: of every clip NAME.poses.npz, a pose file of this package, and its
truth NAME.npz with joints_world (T, J, 3) metres, joint_names, K (3, 3) and extrinsics (T, 4, 4)
world to camera, and the names of the skills that went into it, skills (S,).

Every network leaves out the clips of one of FOLDS. What is reported is of those clips: degrees of
the directions and millimetres across the picture, before and after.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch.nn.functional import normalize

from sfv_gym.benchmarks.studies.reconstruction.errors import TRUTH_JOINTS
from sfv_gym.pose import PoseSequence
from sfv_gym.pose.mediapipe.markers import LANDMARKS
from sfv_gym.reconstruction import joint_network as model
from sfv_gym.reconstruction.pose_track import pose_track

OUT = Path(__file__).parents[1] / "sfv_gym" / "reconstruction" / "joint_networks.safetensors"
FOLDS = (
    ("backflip", "crawl", "dance_a", "kick"),
    ("sideflip", "getup_facedown", "dance_b", "walk"),
    ("cartwheel", "punch", "dance_spin", "run"),
    ("roll", "getup_faceup", "spin", "zombie_walk"),
    ("jump", "jog", "spinkick", "stealthy_walk"),
)
"""Skills that one network each does not see."""
BATCH, LENGTH = 32, 34
"""Stretches in a step, and their frames."""
RATE, DECAY = 2e-3, 0.02
TURN = 0.12
"""Radians by which a picture is turned about its middle (standard deviation)."""
NOISE, SHIFT, SIZE = 0.008, 0.012, 0.05
"""Metres of noise in every frame, and over a stretch; logarithm of the sizes."""
TAIL = 3.0
"""Spreads from which on an error counts as its logarithm."""


@dataclass(frozen=True)
class Example:
    """A clip of T frames: inputs (T, 33, 6), true directions (T, P, 3) and places (T, 12, 2)."""

    name: str
    skills: tuple[str, ...]
    seen: torch.Tensor
    directions: torch.Tensor
    places: torch.Tensor
    detected: torch.Tensor


def read(truth: Path) -> Example:
    """A clip by its truth."""
    track = pose_track(PoseSequence.load(truth.with_suffix(".poses.npz"), LANDMARKS))
    seen, middle, scale = model.network_inputs(track)
    with np.load(truth, allow_pickle=False) as data:
        names = data["joint_names"].tolist()
        world = np.asarray(data["joints_world"], float)[:, [names.index(n) for n in TRUTH_JOINTS]]
        turn, shift = data["extrinsics"][:, :3, :3], data["extrinsics"][:, :3, 3]
        joints = np.einsum("tij,tnj->tni", turn, world) + shift[:, None]
        image = joints @ np.asarray(data["K"], float).T
        pixels = image[..., :2] / image[..., 2:]
        skills = tuple(data["skills"].tolist()) if "skills" in data else (truth.stem[:-2],)
    places = (pixels - middle[:, None]) / scale[:, None, None]
    start, end = np.array(model.PAIRS).T
    return Example(
        truth.stem,
        skills,
        seen,
        normalize(torch.as_tensor(joints[:, end] - joints[:, start]).float(), dim=-1),
        torch.as_tensor(places).float(),
        torch.as_tensor(track.detected).float(),
    )


def train(examples: list[Example], epochs: int, seed: int) -> model.JointNetwork:
    """A network that has learned from these."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = model.JointNetwork()
    frames = np.array([len(example.seen) for example in examples])
    steps = epochs * int(frames.sum()) // (BATCH * LENGTH)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    for step in range(steps):
        chosen = rng.choice(len(examples), BATCH, p=frames / frames.sum())
        batch = [_stretch(examples[k], rng) for k in chosen]
        seen, directions, places, known = (torch.stack(parts) for parts in zip(*batch, strict=True))
        seen, directions, places = _varied(seen, directions, places)
        guess = network(seen)
        off = (guess.directions - directions).square().sum(-1)
        loss = (known[..., None] * _surprise(off, guess.direction_spread)).mean()
        off = (guess.places - places).square().sum(-1)
        loss = loss + (known[..., None] * _surprise(off, guess.place_spread)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 500 == 0:
            print(f"network {seed}, step {step} of {steps}: {float(loss.detach()):.3f}", flush=True)
    return network


def _stretch(example: Example, rng: np.random.Generator) -> tuple[torch.Tensor, ...]:
    """LENGTH frames of a clip, forwards or backwards, the last one repeated where it is shorter."""
    frames = len(example.seen)
    first = int(rng.integers(0, max(1, frames - LENGTH + 1)))
    at = first + np.arange(LENGTH)
    known = example.detected[np.minimum(at, frames - 1)] * torch.as_tensor(at < frames)
    at = np.minimum(at, frames - 1)
    order = np.arange(LENGTH)[:: int(rng.choice((1, -1)))].copy()
    return (
        example.seen[at][order],
        example.directions[at][order],
        example.places[at][order],
        known[order],
    )


def _varied(
    seen: torch.Tensor, directions: torch.Tensor, places: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Half of a batch in the mirror; all turned about the line of sight, with noise."""
    half, count = len(seen) // 2, len(seen)
    seen = torch.cat((model.mirrored_inputs(seen[:half]), seen[half:]))
    directions = torch.cat((model.mirrored_directions(directions[:half]), directions[half:]))
    places = torch.cat((model.mirrored_places(places[:half]), places[half:]))
    angle = TURN * torch.randn(count)
    turn = torch.stack(
        (torch.cos(angle), torch.sin(angle), -torch.sin(angle), torch.cos(angle)), dim=-1
    ).unflatten(-1, (2, 2))[:, None]

    def turned(points: torch.Tensor) -> torch.Tensor:
        return torch.cat((points[..., :2] @ turn, points[..., 2:]), dim=-1)

    solid, flat, visible = turned(seen[..., :3]), turned(seen[..., 3:5]), seen[..., 5:]
    solid = solid * torch.exp(SIZE * torch.randn(count, 1, 1, 1))
    # what is told of the picture is in units of the picture's own scale
    size = torch.exp(SIZE * torch.randn(count, 1, 1, 1))
    flat, places = flat * size, turned(places) * size
    points = torch.cat((solid, flat), dim=-1)
    points = points + NOISE * torch.randn_like(points)
    points = points + SHIFT * torch.randn(count, 1, *points.shape[2:])
    return torch.cat((points, visible), dim=-1), turned(directions), places


def _surprise(square: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """How unexpected errors of two dimensions are, but for a constant; robust (Student's t)."""
    return 2 * torch.log(spread) + 2 * torch.log1p(square / (TAIL * spread.square()))


def report(examples: list[Example], networks: model.JointNetworks) -> np.ndarray:
    """Degrees before and after, millimetres before and after (4,), mean over clips."""
    rows = []
    start, end = np.array(model.PAIRS).T
    for example in examples:
        joints = example.seen[:, LANDMARKS.joints]
        raw = normalize(joints[:, end, :3] - joints[:, start, :3], dim=-1)
        guess = networks.guess(example.seen, model.FPS)
        known = example.detected > 0
        angles = [
            torch.rad2deg(torch.acos((d * example.directions).sum(-1).clamp(-1, 1)))[known].mean()
            for d in (raw, guess.directions)
        ]
        places = [
            1e3 * (p - example.places).norm(dim=-1)[known].mean()
            for p in (joints[..., 3:5], guess.places)
        ]
        rows.append([float(value) for value in (*angles, *places)])
    return np.mean(rows, axis=0)


def one_fold(examples: list[Example], fold: int, epochs: int) -> model.JointNetwork:
    """The network that has not seen FOLDS[fold], and its report."""
    unseen = FOLDS[fold]
    known = [e for e in examples if not set(e.skills) & set(unseen)]
    others = [e for e in examples if e.skills[0] in unseen]
    network = train(known, epochs, seed=fold)
    before, after, flat_before, flat_after = report(others, model.JointNetworks({unseen: network}))
    print(
        f"without {', '.join(unseen)}: {len(known)} clips; on {len(others)} others directions "
        f"{before:.1f} -> {after:.1f} degrees, places {flat_before:.1f} -> {flat_after:.1f} mm",
        flush=True,
    )
    return network


def usual_spreads(
    examples: list[Example], networks: dict[tuple[str, ...], model.JointNetwork]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Medians over all frames of clips that a network has not seen: directions (P,), places
    (12,)."""
    directions, places = [], []
    for unseen, network in networks.items():
        network.eval()
        for example in examples:
            if example.skills[0] in unseen:
                with torch.no_grad():
                    answer = network(example.seen[None])
                directions.append(answer.direction_spread[0])
                places.append(answer.place_spread[0])
    return torch.cat(directions).median(0).values, torch.cat(places).median(0).values


def main(
    folder: Annotated[Path, typer.Argument(help="Rendered clips with truth and poses.")],
    out: Annotated[Path, typer.Option(help="File to write.")] = OUT,
    epochs: Annotated[int, typer.Option(help="How often every frame is seen.")] = 60,
    workers: Annotated[int, typer.Option(help="Networks trained side by side.")] = 2,
) -> None:
    """Train one network for each of FOLDS and write them into one file."""
    files = sorted(folder.glob("*.poses.npz"))
    examples = [read(file.with_name(file.name.replace(".poses", ""))) for file in files]
    print(f"{len(examples)} clips, {sum(len(e.seen) for e in examples)} frames")
    with ProcessPoolExecutor(workers) as pool:
        runs = [pool.submit(one_fold, examples, k, epochs) for k in range(len(FOLDS))]
        networks = {FOLDS[k]: run.result() for k, run in enumerate(runs)}
    model.JointNetworks(networks, usual_spreads(examples, networks)).save(out)


if __name__ == "__main__":
    typer.run(main)
