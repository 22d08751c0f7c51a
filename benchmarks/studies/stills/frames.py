"""Which frames of which clips are measured: by a rule that looks at none of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np
from PIL import Image

from sfv_gym.errors import VideoError
from sfv_gym.files import atomic_path

SUFFIXES = (".mp4", ".avi", ".mov")
MIDDLE = (0.2, 0.8)
"""Of a clip, where frames are drawn: at its ends people merely stand, as they do in many skills."""
COUNT = 30
SEED = 24


@dataclass(frozen=True)
class Frame:
    """One of a clip's, ``index`` from 0 on, in the order in which the file has them."""

    clip: Path
    index: int

    @property
    def name(self) -> str:
        """Of the picture."""
        return f"{self.clip.stem}_{self.index:04d}"

    @property
    def skill(self) -> str:
        """What the clip shows, by its file's name: ``kick`` of ``kick_b.mp4``."""
        return self.clip.stem.rpartition("_")[0]

    def save(self, folder: Path) -> Path:
        """The frame as a picture file, whose path is returned; one that is there stays."""
        path = folder / f"{self.name}.png"
        if not path.is_file():
            picture = next(islice(_decoded(self.clip), self.index, None)).to_ndarray(format="rgb24")
            with atomic_path(path) as part:
                Image.fromarray(picture).save(part, format="png")
        return path


def clips_in(folder: Path) -> list[Path]:
    """The clips of a folder, by name.

    Raises:
        VideoError: there are none.
    """
    found = sorted(p for p in folder.glob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise VideoError(f"{folder}: there are no clips in it ({', '.join(SUFFIXES)})")
    return found


def drawn(clips: list[Path], count: int = COUNT, seed: int = SEED) -> list[Frame]:
    """``count`` frames: one from the middle of each clip, then of each, in drawn order, another,
    until there are as many, or no more.

    Args:
        clips: in the order in which they draw.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(_middle(sum(1 for _ in _decoded(clip)))) for clip in clips]
    frames: list[Frame] = []
    for turn in range(max(map(len, orders), default=0)):
        for i in rng.permutation(len(clips)).tolist():
            if turn < len(orders[i]) and len(frames) < count:
                frames.append(Frame(clips[i], int(orders[i][turn])))
    return frames


def _middle(length: int) -> np.ndarray:
    """Indices of the frames in the middle of a clip; of one that is too short, all."""
    low, high = (int(np.ceil(MIDDLE[0] * (length - 1))), int(MIDDLE[1] * (length - 1)))
    return np.arange(low, high + 1) if high >= low else np.arange(length)


def _decoded(clip: Path) -> Iterator[av.VideoFrame]:
    """The frames of a clip.

    Raises:
        VideoError: it cannot be read.
    """
    try:
        with av.open(str(clip), metadata_errors="ignore") as file:
            yield from file.decode(video=0)
    except (av.FFmpegError, OSError, IndexError) as error:
        raise VideoError(f"{clip}: cannot be read: {error}") from None
