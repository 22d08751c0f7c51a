"""The pictures of the results page: episodes, a contact sheet of them, the learning curves."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from sfv_gym.benchmarks.rollout_video import write_rollout_video
from sfv_gym.benchmarks.studies.policies.records import short_name
from sfv_gym.files import atomic_path
from sfv_gym.play.policy import Policy
from sfv_gym.registry import find_motion
from sfv_gym.seeds import Purpose, stream

SIZE = 160
"""Of each half of an animated picture, pixels."""
SECONDS, HZ = 4.0, 15
"""Of an animated picture: its length and how many pictures a second."""
SHEET_COLUMNS = 6


def draw(env_ids: Sequence[str], folder: Path, docs: Path, *, progress: bool = True) -> None:
    """An animated picture of each policy: reference | simulated character."""
    for env_id in track(
        env_ids, "drawing", console=Console(stderr=True), transient=True, disable=not progress
    ):
        policy = Policy.load(folder / f"{env_id}.safetensors")
        write_rollout_video(
            env_id,
            policy.predict,
            docs / "results" / f"{env_id}.webp",
            seconds=SECONDS,
            hz=HZ,
            size=SIZE,
            seed=stream(Purpose.PUBLICATION),
        )


def draw_sheet(env_ids: Sequence[str], docs: Path) -> None:
    """Six instants of each animated picture, of the character alone, in one picture."""
    from sfv_gym.play.panels import labelled

    rows = []
    for env_id in env_ids:
        with Image.open(docs / "results" / f"{env_id}.webp") as picture:
            last = getattr(picture, "n_frames", 1) - 1
            motion = find_motion(env_id)
            if motion.loop == "wrap":  # one cycle: evenly spread over several, all would look alike
                last = min(last, round(motion.period * HZ))
            tiles = []
            for i in np.linspace(0, last, SHEET_COLUMNS).round().astype(int):
                picture.seek(int(i))
                tiles.append(np.asarray(picture.convert("RGB"))[:, SIZE:])
        rows.append(labelled(np.hstack(tiles), short_name(env_id)))
    rows += [np.zeros_like(rows[0])] * (-len(rows) % 2)
    sheet = np.vstack([np.hstack(rows[k : k + 2]) for k in range(0, len(rows), 2)])
    image = Image.fromarray(sheet)
    image = image.resize((image.width * 2 // 3, image.height * 2 // 3))
    with atomic_path(docs / "images" / "results_sheet.webp") as temporary:
        temporary.write_bytes(_webp(image))


def _webp(image: Image.Image) -> bytes:
    contents = io.BytesIO()
    image.save(contents, "WEBP", quality=75, method=6)
    return contents.getvalue()


def draw_curves(rows_by_name: Mapping[str, Sequence[Sequence[float]]]) -> bytes:
    """Small multiples: success and normalized return over samples, one plot a policy.

    Args:
        rows_by_name: see ``Record.curve``; at least one.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    curves = {name: np.array(rows, float) for name, rows in rows_by_name.items()}
    columns = 7
    rows = -(-len(curves) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(1.9 * columns, 1.5 * rows), layout="constrained",
        sharey=True, squeeze=False,
    )  # fmt: skip
    for axis in axes.flat:
        axis.axis("off")
    for axis, (name, curve) in zip(axes.flat, curves.items(), strict=False):
        axis.axis("on")
        axis.plot(curve[:, 0] / 1e6, curve[:, 3], color="#1f6fb4", lw=1.4)
        axis.plot(curve[:, 0] / 1e6, curve[:, 4], color="#d9730d", lw=1.4)
        axis.set_title(name, fontsize=8)
        axis.set_ylim(-0.02, 1.02)
        axis.set_xlim(left=0)
        axis.tick_params(labelsize=7)
        axis.grid(color="#e5e5e5", lw=0.5)
        axis.spines[["top", "right"]].set_visible(False)
    figure.canvas.draw()
    picture = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    pyplot.close(figure)
    return _webp(Image.fromarray(picture))
