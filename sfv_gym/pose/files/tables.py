"""Positions of joints in columns: TRC, as motion capture and OpenSim write it, and CSV.

TRC, after OpenSim's documentation, "Marker (.trc) Files": line 2 names what line 3 holds (DataRate,
NumFrames, NumMarkers, Units), line 4 the markers, each over three columns, line 5 X1 Y1 Z1 ...;
then frame number, time and coordinates, an empty cell for what was not seen. CSV has a line of
names, ``time`` or ``frame`` and ``NAME_x``, ``NAME_y``, ``NAME_z`` (or ``NAME.x``, ``NAME:X``), as
``sfv export`` writes; other columns are left out.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfv_gym.errors import PoseFileError

_UNITS = {"mm": "mm", "cm": "cm", "m": "m", "meters": "m", "inches": "in"}
_AXIS = re.compile(r"(?P<name>.+?)[_.: ]+(?:pos(?:ition)?[_.: ]*)?(?P<axis>[xyz])", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """What a file holds.

    Attributes:
        names: (J,). positions: (T, J, 3), NaN for what is not there.
        fps: frames per second; None where the file does not say.
        unit: one of ``joints.UNITS`` or ``auto``.
    """

    names: tuple[str, ...]
    positions: np.ndarray
    fps: float | None
    unit: str = "auto"


def read_trc(path: Path) -> Table:
    """The markers of a TRC file.

    Raises:
        PoseFileError: the file is none, or cut off.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if len(lines) < 6 or not lines[0].startswith("PathFileType"):
        raise PoseFileError("not a TRC file: it does not begin with PathFileType and five lines")
    facts = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    try:
        fps, announced = float(facts["DataRate"]), int(float(facts["NumFrames"]))
        unit = _UNITS[facts["Units"].lower()]
    except (KeyError, ValueError) as error:
        raise PoseFileError(f"damaged TRC header: {error}") from None
    names = tuple(name.strip() for name in lines[3].split("\t")[2:] if name.strip())
    rows = [line.split("\t") for line in lines[5:] if line.strip()]
    if len(rows) != announced:
        raise PoseFileError(f"cut off: {announced} frames are announced, there are {len(rows)}")
    return Table(names, _coordinates([row[2:] for row in rows], 3 * len(names)), fps, unit)


def _coordinates(rows: list[list[str]], count: int) -> np.ndarray:
    """(T, J, 3) from cells, of which the empty ones are NaN."""
    values = np.full((len(rows), count), np.nan)
    for row, cells in enumerate(rows):
        for column, cell in enumerate(cells[:count]):
            if text := cell.strip():
                values[row, column] = _number(text, row)
    return values.reshape(len(rows), -1, 3)


def _number(text: str, row: int) -> float:
    try:
        return float(text)
    except ValueError:
        raise PoseFileError(f"row {row + 1} holds {text!r}, which is no number") from None


def read_csv(path: Path) -> Table:
    """The joints of a CSV file.

    Raises:
        PoseFileError: there are no names with x, y and z, or no rows.
    """
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise PoseFileError("a CSV file needs a line of names and a line a frame")
    table = list(csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ","))
    header, rows = [name.strip() for name in table[0]], table[1:]
    places: dict[str, dict[str, int]] = {}
    for column, title in enumerate(header):
        if found := _AXIS.fullmatch(title):
            places.setdefault(found["name"], {})[found["axis"].lower()] = column
    names = tuple(name for name, axes in places.items() if axes.keys() == set("xyz"))
    if not names:
        raise PoseFileError("no columns NAME_x, NAME_y, NAME_z in its first line")
    if any(len(row) != len(header) for row in rows):
        raise PoseFileError(f"not every line has {len(header)} columns: the file is cut off")
    order = [places[name][axis] for name in names for axis in "xyz"]
    cells = [[row[column] for column in order] for row in rows]
    times = [i for i, title in enumerate(header) if title.lower() in ("time", "time_s", "seconds")]
    fps = None
    if times and len(rows) > 1:
        seconds = np.array([_number(row[times[0]], i) for i, row in enumerate(rows)])
        steps = np.diff(seconds)
        if not (steps > 0).all():
            raise PoseFileError("its times do not increase")
        fps = float(1.0 / np.median(steps))
    return Table(names, _coordinates(cells, len(order)), fps)
