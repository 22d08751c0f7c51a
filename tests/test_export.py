"""Motions for other programs: written, read again by other code, and held against the motion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from motions import swing
from pygltflib import GLTF2
from scipy.spatial.transform import Rotation, Slerp

from sfv_gym import export_motion, find_motion, skeleton
from sfv_gym.errors import OutputError
from sfv_gym.export.shapes import box, capsule
from sfv_gym.pose.files import read_joints
from sfv_gym.pose.files.bvh import read_bvh

MILLIMETRE = 1e-3
TO_OURS = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], float)
"""x left, y up, z ahead to x ahead, y left, z up."""


@pytest.fixture(scope="module", params=[False, True], ids=["character", "person"])
def person(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.mark.parametrize("skill", ["backflip", "cartwheel"])
def test_bvh_there_and_back(tmp_path: Path, skill: str, person: bool) -> None:
    motion = find_motion(skill)
    path = export_motion(skill, tmp_path / "out.bvh", person=person)
    read = read_bvh(path)
    order = [read.names.index(name) for name in skeleton.LINKS]
    ours = 0.01 * read.positions[:, order] @ TO_OURS.T
    np.testing.assert_allclose(ours, motion.joint_positions(person), atol=MILLIMETRE)
    assert read.fps == pytest.approx(motion.fps, rel=1e-5)
    joints = read_joints(path)
    assert joints.source["unit"] == "cm" and joints.source["up"] == "y"
    toes = joints.positions[:, joints.landmarks.index("left_foot_index")]
    ankle = joints.positions[:, joints.landmarks.index("left_ankle")]
    assert 0.1 < np.linalg.norm(toes - ankle, axis=1).mean() < 0.2


def test_bvh_begins_as_programs_expect(tmp_path: Path) -> None:
    lines = export_motion(swing(), tmp_path / "out.bvh").read_text().splitlines()
    assert lines[:2] == ["HIERARCHY", "ROOT root"]
    assert lines[4].split() == [
        "CHANNELS", "6", "Xposition", "Yposition", "Zposition",
        "Zrotation", "Xrotation", "Yrotation",
    ]  # fmt: skip
    at = lines.index("MOTION")
    assert lines[at + 1 : at + 3] == ["Frames: 61", "Frame Time: 0.03333333"]
    first = np.array(lines[at + 3].split(), float)
    assert len(first) == 6 + 3 * 14
    np.testing.assert_allclose(first[:3], [0.0, 90.0, 0.0])  # centimetres, y up


def test_csv_there_and_back(tmp_path: Path, person: bool) -> None:
    motion = find_motion("backflip")
    path = export_motion(motion, tmp_path / "out.csv", person=person)
    header = path.read_text().splitlines()[0].split(",")
    table = np.loadtxt(path, delimiter=",", skiprows=1)
    assert header[0] == "time" and table.shape == (motion.num_frames, 1 + 7 * 15)
    np.testing.assert_allclose(table[:, 0], np.arange(len(table)) / motion.fps, atol=1e-5)
    for link in ("root", "left_wrist"):
        at = header.index(f"{link}_x")
        wanted = motion.joint_positions(person)[:, skeleton.link_index(link)]
        np.testing.assert_allclose(table[:, at : at + 3], wanted, atol=MILLIMETRE)
    at = header.index("root_qw")
    wanted = motion.person_root_quat if person else motion.root_quat
    np.testing.assert_allclose(table[:, at : at + 4], wanted, atol=1e-5)
    joints = read_joints(path)
    assert joints.source["unit"] == "m" and joints.source["up"] == "z"


def values(document: GLTF2, accessor: int) -> np.ndarray:
    """What an accessor holds."""
    found = document.accessors[accessor]
    view = document.bufferViews[found.bufferView]
    kind = {5126: "<f4", 5121: "u1", 5125: "<u4"}[found.componentType]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[found.type]
    array = np.frombuffer(
        document.binary_blob(), kind, found.count * width, view.byteOffset + (found.byteOffset or 0)
    )
    return array.reshape(found.count, width).astype(float)


def matrices(document: GLTF2, time: float) -> list[np.ndarray]:
    """(4, 4) of every node in the world at a time, as a viewer makes them."""
    animation = document.animations[0]
    local = []
    for node in document.nodes:
        own = np.eye(4)
        own[:3, 3] = node.translation or 0.0
        local.append(own)
    for channel in animation.channels:
        sampler = animation.samplers[channel.sampler]
        times = values(document, sampler.input)[:, 0]
        keys, node = values(document, sampler.output), channel.target.node
        if channel.target.path == "translation":
            local[node][:3, 3] = [np.interp(time, times, column) for column in keys.T]
        else:
            turn = Slerp(times, Rotation.from_quat(keys))(time)
            local[node][:3, :3] = turn.as_matrix()
    world: list[np.ndarray] = [np.eye(4)] * len(local)

    def visit(node: int, above: np.ndarray) -> None:
        world[node] = above @ local[node]
        for child in document.nodes[node].children:
            visit(child, world[node])

    for root in document.scenes[document.scene].nodes:
        visit(root, np.eye(4))
    return world


def test_gltf_moves_as_the_motion_does(tmp_path: Path, person: bool) -> None:
    motion = find_motion("backflip")
    document = GLTF2().load(export_motion(motion, tmp_path / "out.glb", person=person))
    names = [node.name for node in document.nodes]
    assert tuple(names[:15]) == skeleton.LINKS
    wanted = motion.joint_positions(person)
    for frame in (0, 20, motion.num_frames - 1):
        world = matrices(document, frame / motion.fps)
        places = np.array([m[:3, 3] for m in world[:15]]) @ TO_OURS.T
        np.testing.assert_allclose(places, wanted[frame], atol=MILLIMETRE)


def test_gltf_shows_the_characters_shapes(tmp_path: Path) -> None:
    """Skinned by hand: each vertex lies on its link's shape, and the feet stand on the ground."""
    motion = find_motion("backflip")
    document = GLTF2().load(export_motion(motion, tmp_path / "out.glb"))
    [primitive] = document.meshes[0].primitives
    points = values(document, primitive.attributes.POSITION)
    joints = values(document, primitive.attributes.JOINTS_0)[:, 0].astype(int)
    weights = values(document, primitive.attributes.WEIGHTS_0)
    np.testing.assert_array_equal(weights.sum(1), 1.0)
    skin = document.skins[0]
    back = values(document, skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    world = np.array(matrices(document, 0.0))[skin.joints]
    whole = np.column_stack((points, np.ones(len(points))))
    skinned = np.einsum("vij,vj->vi", (world @ back)[joints], whole)[:, :3] @ TO_OURS.T
    assert abs(skinned[:, 2].min()) < 0.01
    pos, quat = skeleton.forward_kinematics(motion.root_pos, motion.root_quat, motion.joint_quat)
    head = skeleton.link_index("neck")
    turn = Rotation.from_quat(np.roll(quat[0, head], -1))
    centre = pos[0, head] + turn.apply(skeleton.BODY["neck"].centre)
    off = np.linalg.norm(skinned[joints == head] - centre, axis=1)
    np.testing.assert_allclose(off, skeleton.BODY["neck"].size[0], atol=1e-5)
    indices = values(document, primitive.indices)[:, 0]
    assert indices.max() == len(points) - 1 and len(indices) % 3 == 0


@pytest.mark.parametrize("mesh", [capsule(0.1, 0.3), capsule(0.2, 0.0), box((0.1, 0.2, 0.3))])
def test_triangles_look_outwards(mesh) -> None:
    a, b, c = np.moveaxis(mesh.points[mesh.triangles], 1, 0)
    across = np.cross(b - a, c - a)
    real = np.linalg.norm(across, axis=1) > 1e-9  # at the poles triangles have no width
    outward = mesh.normals[mesh.triangles].sum(1)
    assert ((across * outward).sum(1)[real] > 0).all()
    volume = (np.einsum("ij,ij->i", a, np.cross(b, c)) / 6).sum()
    assert volume > 0
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1.0)


@pytest.mark.parametrize("name", ["out.fbx", "out"])
def test_what_cannot_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"\.bvh, \.csv, \.glb"):
        export_motion(swing(), tmp_path / name)


def test_a_folder_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out.bvh").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*out.bvh"):
        export_motion(swing(), tmp_path / "out.bvh")


def test_on_the_command_line(sfv, tmp_path: Path) -> None:
    code, _, _ = sfv("export", "walk", "--out", str(tmp_path / "walk.glb"))
    assert code == 0 and (tmp_path / "walk.glb").read_bytes()[:4] == b"glTF"
    code, _, said = sfv("export", "walk", "--out", str(tmp_path / "walk.fbx"))
    assert code == 2 and ".bvh, .csv, .glb" in " ".join(said.split())
    (tmp_path / "bad.bvh").write_text("")
    code, _, said = sfv("import", str(tmp_path / "bad.bvh"))
    assert code == 2 and "the file is empty" in " ".join(said.split())
