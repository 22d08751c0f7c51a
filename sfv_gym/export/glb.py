"""Binary glTF 2.0: the links as nodes, one animation, and a figure of the character's shapes.

Metres, y up, facing z, as glTF wants it. Every vertex hangs on one link alone. The format is the
Khronos Group's glTF 2.0 Specification, sections 3 (concepts) and 4 (GLB).
"""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

from sfv_gym import skeleton
from sfv_gym.export.pose import TO_Y_UP, Poses
from sfv_gym.export.shapes import box, capsule

_FLOAT, _BYTE, _UINT = 5126, 5121, 5125  # component types
_TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
_VERTICES, _INDICES = 34962, 34963  # what a view is bound as
_JSON, _BINARY = 0x4E4F534A, 0x004E4942  # kinds of chunk


class _Buffer:
    """The binary chunk, and what the JSON says of its parts."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, values: np.ndarray, kind: int, target: int | None = None) -> int:
        """The accessor of values (N,) or (N, D)."""
        dtype = {_FLOAT: "<f4", _BYTE: "u1", _UINT: "<u4"}[kind]
        array = np.ascontiguousarray(values, dtype)
        self.data += bytes(-len(self.data) % 4)
        view: dict[str, Any] = {
            "buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes
        }  # fmt: skip
        if target is not None:
            view["target"] = target
        self.views.append(view)
        self.data += array.tobytes()
        flat = array.reshape(len(array), -1)
        accessor = {
            "bufferView": len(self.views) - 1,
            "componentType": kind,
            "count": len(array),
            "type": _TYPES[flat.shape[1]],
        }
        if kind == _FLOAT and flat.shape[1] < 16:
            accessor |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        self.accessors.append(accessor)
        return len(self.accessors) - 1


def glb_bytes(poses: Poses) -> bytes:
    """The whole file."""
    buffer = _Buffer()
    offsets = poses.offsets @ TO_Y_UP.T
    nodes: list[dict[str, Any]] = []
    for link, name in enumerate(skeleton.LINKS):
        node: dict[str, Any] = {"name": name, "translation": offsets[link].tolist()}
        children = [i for i, parent in enumerate(skeleton.PARENTS) if parent == link]
        nodes.append(node | ({"children": children} if children else {}))
    figure = len(nodes)
    nodes.append({"name": poses.name, "mesh": 0, "skin": 0})
    document = {
        "asset": {"version": "2.0", "generator": "sfv_gym"},
        "scene": 0,
        "scenes": [{"nodes": [0, figure]}],
        "nodes": nodes,
        "meshes": [{"name": poses.name, "primitives": [_figure(buffer, poses, offsets)]}],
        "materials": [
            {
                "name": "body",
                "pbrMetallicRoughness": {
                    "baseColorFactor": [0.35, 0.5, 0.7, 1.0],
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.8,
                },
            }
        ],
        "skins": [_skin(buffer, offsets)],
        "animations": [_animation(buffer, poses)],
        "accessors": buffer.accessors,
        "bufferViews": buffer.views,
        "buffers": [{"byteLength": len(buffer.data)}],
    }
    return _packed(document, bytes(buffer.data))


def _resting(offsets: np.ndarray) -> np.ndarray:
    """(15, 3) places of the links in the pose in which nothing is turned."""
    places = np.zeros_like(offsets)
    for link, parent in enumerate(skeleton.PARENTS):
        places[link] = offsets[link] + (places[parent] if parent >= 0 else 0.0)
    return places


def _figure(buffer: _Buffer, poses: Poses, offsets: np.ndarray) -> dict[str, Any]:
    """The mesh, in the pose in which nothing is turned."""
    resting = _resting(offsets)
    points, normals, triangles, joints = [], [], [], []
    count = 0
    for link, name in enumerate(skeleton.LINKS):
        body, stretch = skeleton.BODY[name], poses.stretch(link)
        if body.shape == "box":
            shape = box(body.size)
        else:
            shape = capsule(body.size[0], stretch * body.size[1] if len(body.size) > 1 else 0.0)
        centre = np.array(body.centre) * [1.0, 1.0, stretch]
        points.append((shape.points + centre) @ TO_Y_UP.T + resting[link])
        normals.append(shape.normals @ TO_Y_UP.T)
        triangles.append(shape.triangles + count)
        joints.append(np.tile([link, 0, 0, 0], (len(shape.points), 1)))
        count += len(shape.points)
    weights = np.tile([1.0, 0.0, 0.0, 0.0], (count, 1))
    return {
        "attributes": {
            "POSITION": buffer.add(np.concatenate(points), _FLOAT, _VERTICES),
            "NORMAL": buffer.add(np.concatenate(normals), _FLOAT, _VERTICES),
            "JOINTS_0": buffer.add(np.concatenate(joints), _BYTE, _VERTICES),
            "WEIGHTS_0": buffer.add(weights, _FLOAT, _VERTICES),
        },
        "indices": buffer.add(np.concatenate(triangles).ravel(), _UINT, _INDICES),
        "material": 0,
    }


def _skin(buffer: _Buffer, offsets: np.ndarray) -> dict[str, Any]:
    back = np.tile(np.eye(4), (len(offsets), 1, 1))
    back[:, 3, :3] = -_resting(offsets)  # columns come first in glTF
    return {
        "joints": list(range(len(offsets))),
        "skeleton": 0,
        "inverseBindMatrices": buffer.add(back.reshape(-1, 16), _FLOAT),
    }


def _animation(buffer: _Buffer, poses: Poses) -> dict[str, Any]:
    times = buffer.add(np.arange(len(poses.root_pos)) / poses.fps, _FLOAT)
    samplers, channels = [], []

    def add(link: int, path: str, values: np.ndarray) -> None:
        samplers.append(
            {"input": times, "output": buffer.add(values, _FLOAT), "interpolation": "LINEAR"}
        )
        target = {"node": link, "path": path}
        channels.append({"sampler": len(samplers) - 1, "target": target})

    add(0, "translation", poses.root_pos @ TO_Y_UP.T)
    turns = poses.local_quat
    for link in range(len(skeleton.LINKS)):
        vector = turns[:, link, 1:] @ TO_Y_UP.T
        add(link, "rotation", np.concatenate((vector, turns[:, link, :1]), axis=1))  # xyzw
    return {"name": poses.name, "samplers": samplers, "channels": channels}


def _packed(document: dict[str, Any], binary: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    parts = struct.pack("<II", len(text), _JSON) + text
    parts += struct.pack("<II", len(binary), _BINARY) + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(parts)) + parts
