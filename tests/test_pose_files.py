"""Other people's files: each format written by code that is not ours, read back, and one of each
kind through the whole reconstruction."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("imageio_ffmpeg")
pytest.importorskip("torch")

import joblib
import torch
from scipy.spatial.transform import Rotation
from test_reconstruction import FPS, Scene, walking

from sfv_gym import import_motion, skeleton
from sfv_gym.errors import PoseFileError
from sfv_gym.extract import extract_motion
from sfv_gym.motion import ReferenceMotion
from sfv_gym.pose import FrameEstimator, Person
from sfv_gym.pose.files import read_joints, read_poses
from sfv_gym.pose.files.names import columns_of
from sfv_gym.pose.files.smpl import PARENTS
from sfv_gym.pose.layouts import COCO, MHR, MHR_COLUMNS, SMPL_JOINTS, WHOLEBODY
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.video import open_video, write_video

FRAMES = 12
STEPS = 40
"""Frames of a walk through the whole reconstruction."""
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of nobody, of FRAMES frames."""
    path = tmp_path_factory.mktemp("grey") / "grey.mp4"
    write_video(path, [np.full((120, 160, 3), 128, np.uint8)] * FRAMES, 30.0)
    return path


def people(path: Path, video: Path, **options) -> list[list[Person]]:
    """Everyone whom the file shows in the video."""
    return list(read_poses(path, **options).people_in(open_video(video), mirror=True, strict=False))


# --- keypoints -------------------------------------------------------------------------------


def keypoints(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels (T, K, 2), scores (T, K) and metres (T, K, 3) of FRAMES frames."""
    pixels = RANDOM.uniform(20.0, 100.0, (FRAMES, count, 2))
    return pixels, RANDOM.uniform(0.1, 1.0, (FRAMES, count)), RANDOM.normal(size=(FRAMES, count, 3))


@pytest.mark.parametrize(("count", "layout"), [(17, "coco17"), (133, "coco_wholebody")])
def test_mmpose(tmp_path: Path, grey: Path, count: int, layout: str) -> None:
    pixels, scores, metres = keypoints(count)
    frames = [
        {
            "frame_id": t + 1,
            "instances": [
                {
                    "keypoints": pixels[t].tolist(),
                    "keypoint_scores": scores[t].tolist(),
                    "keypoints_3d": metres[t].tolist(),
                    "bbox": [[0, 0, 1, 1]],
                }
            ],
        }
        for t in range(FRAMES)
    ]
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"meta_info": {}, "instance_info": frames}))
    found = people(path, grey)
    assert read_poses(path).landmarks.name == f"{layout}_3d"
    assert len(found) == FRAMES
    for t, [person] in enumerate(found):
        kept = len(person.landmarks)
        np.testing.assert_allclose(person.landmarks_2d, pixels[t, :kept])
        np.testing.assert_allclose(person.visibility, scores[t, :kept])
        bone = person.landmarks_3d[9] - person.landmarks_3d[7]
        np.testing.assert_allclose(bone, metres[t, 9] - metres[t, 7])


def test_whole_bodys_feet_have_our_names() -> None:
    """COCO-WholeBody: 17 left big toe, 18 small toe, 19 heel, then the right foot's."""
    assert WHOLEBODY.names[17:] == (
        "left_foot_index", "left_small_toe", "left_heel",
        "right_foot_index", "right_small_toe", "right_heel",
    )  # fmt: skip
    assert WHOLEBODY.marks("left_heel", "right_foot_index")


class Guide(FrameEstimator):
    """Sees one person, where the test puts them, with depth."""

    name = "guide"
    landmarks = LANDMARKS
    person: Person

    def detect(self, picture: np.ndarray) -> list[Person]:
        return [self.person]


def test_pixels_alone_get_the_estimators_depth(tmp_path: Path, grey: Path) -> None:
    """In COCO's results format, as AlphaPose writes it."""
    pixels, scores, _ = keypoints(17)
    entries = [
        {
            "image_id": f"frame_{t:04d}.jpg",
            "category_id": 1,
            "keypoints": np.column_stack((pixels[t], scores[t])).ravel().tolist(),
            "score": 2.5,
        }
        for t in range(FRAMES)
    ]
    path = tmp_path / "alphapose.json"
    path.write_text(json.dumps(entries))
    guide, metres = Guide(), RANDOM.normal(size=(len(LANDMARKS), 3))
    flat = np.zeros((len(LANDMARKS), 2))
    flat[0], flat[1:] = 20.0, 100.0  # a box around all
    guide.person = Person(LANDMARKS, flat, np.ones(len(LANDMARKS)), metres)
    [person] = next(
        read_poses(path, depth=guide).people_in(open_video(grey), mirror=False, strict=False)
    )
    assert person.landmarks is COCO
    np.testing.assert_allclose(person.landmarks_2d, pixels[0])
    assert np.isfinite(person.landmarks_3d).all()
    knee, hip = (LANDMARKS.index(f"left_{part}") for part in ("knee", "hip"))
    theirs = person.landmarks_3d[COCO.indices("left_hip", "left_knee")]
    ours = theirs[1] - theirs[0]
    np.testing.assert_allclose(ours, metres[knee] - metres[hip])
    guide.person = Person(LANDMARKS, flat + 1000.0, np.ones(len(LANDMARKS)), metres)
    assert people(path, grey, depth=guide)[0] == []  # whom it does not see has no depth


def test_openpose_writes_a_file_a_frame(tmp_path: Path, grey: Path) -> None:
    pixels, scores, _ = keypoints(25)
    for t in range(FRAMES):
        points = np.column_stack((pixels[t], scores[t])).ravel().tolist()
        folder = [{"person_id": [-1], "pose_keypoints_2d": points}] if t else []
        (tmp_path / f"grey_{t:012d}_keypoints.json").write_text(
            json.dumps({"version": 1.3, "people": folder})
        )
    read = read_poses(tmp_path)
    assert [len(seen) for seen in read.sightings.frames] == [0] + [1] * (FRAMES - 1)
    [seen] = read.sightings.frames[3]
    at = read.landmarks.index
    np.testing.assert_allclose(seen.pixels[at("right_wrist")], pixels[3, 4])  # BODY_25: RWrist 4
    np.testing.assert_allclose(seen.pixels[at("left_ankle")], pixels[3, 14])
    np.testing.assert_allclose(seen.pixels[at("left_foot_index")], pixels[3, 19])
    np.testing.assert_allclose(seen.pixels[at("right_heel")], pixels[3, 24])


# --- SAM 3D Body -----------------------------------------------------------------------------


def sam3d(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """The scene's landmarks where its 70 keypoints have them: pixels and metres."""
    frames = scene.poses.num_frames
    flat, solid = np.zeros((frames, 70, 2)), np.zeros((frames, 70, 3))
    for column, name in zip(MHR_COLUMNS, MHR.names, strict=True):
        if name in LANDMARKS.names:
            flat[:, column] = scene.poses.landmarks_2d[:, LANDMARKS.index(name)]
            solid[:, column] = scene.poses.landmarks_3d[:, LANDMARKS.index(name)]
        else:  # small toes
            flat[:, column], solid[:, column] = flat[:, 15], solid[:, 15]
    return flat, solid


@pytest.mark.parametrize("kind", ["npz", "json", "pkl"])
def test_sam_3d_body(tmp_path: Path, grey: Path, kind: str) -> None:
    pixels, _, metres = keypoints(70)
    path = tmp_path / f"body.{kind}"
    frames = [
        [{"pred_keypoints_2d": p, "pred_keypoints_3d": m, "focal_length": np.float32(200.0)}]
        for p, m in zip(pixels, metres, strict=True)
    ]
    if kind == "npz":
        lens = np.full(FRAMES, 200.0)
        np.savez(path, pred_keypoints_2d=pixels, pred_keypoints_3d=metres, focal_length=lens)
    elif kind == "pkl":
        path.write_bytes(pickle.dumps(frames))
    else:
        path.write_text(json.dumps(frames, default=lambda x: x.tolist()))
    read = read_poses(path)
    assert read.focal_in(open_video(grey)) == 200.0
    [person] = people(path, grey)[5]
    at = person.landmarks.index
    np.testing.assert_allclose(person.landmarks_2d[at("right_wrist")], pixels[5, 41])
    np.testing.assert_allclose(person.landmarks_2d[at("left_wrist")], pixels[5, 62])
    shin = person.landmarks_3d[at("right_ankle")] - person.landmarks_3d[at("right_knee")]
    np.testing.assert_allclose(shin, metres[5, 14] - metres[5, 12])
    np.testing.assert_allclose(person.landmarks_3d[[at("left_hip"), at("right_hip")]].sum(0), 0,
                               atol=1e-12)  # fmt: skip


@pytest.mark.slow
def test_from_a_file_of_poses_to_a_motion(tmp_path: Path) -> None:
    scene = walking()
    size = (scene.poses.height, scene.poses.width, 3)
    clip, path = tmp_path / "walk.mp4", tmp_path / "walk.npz"
    write_video(clip, [np.full(size, 128, np.uint8)] * STEPS, FPS)
    flat, solid = (points[:STEPS] for points in sam3d(scene))
    np.savez(path, pred_keypoints_2d=flat, pred_keypoints_3d=solid)
    made = extract_motion(
        clip, skill="walk", out=tmp_path / "out.npz", pose=path, loop="none", progress=False
    )
    assert made.poses.landmarks is MHR
    source = made.motion.provenance["source"]
    assert source["estimator"] == "file" and source["pose_kind"] == "SAM 3D Body"
    assert made.motion.provenance["quality"]["reprojection_percent_of_body"] < 2.0
    assert made.motion.contacts[:, 2:].max(1).mean() > 0.9


# --- SMPL ------------------------------------------------------------------------------------


def tree(rotations: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Joints (T, 22, 3) of local rotation vectors, by matrices of four by four."""
    places = np.zeros((*rotations.shape[:2], 3))
    for t in range(len(rotations)):
        world = []
        for i, parent in enumerate(PARENTS):
            own = np.eye(4)
            own[:3, :3] = Rotation.from_rotvec(rotations[t, i]).as_matrix()
            own[:3, 3] = rest[i]
            world.append(own if parent < 0 else world[parent] @ own)
            places[t, i] = world[i][:3, 3]
    return places


def smpl_motion() -> tuple[np.ndarray, np.ndarray]:
    """Rotation vectors (T, 22, 3) and translations (T, 3): legs bend, arms hang from their T."""
    rotations = np.zeros((FRAMES, 22, 3))
    swing = np.linspace(-0.4, 0.4, FRAMES)
    at = SMPL_JOINTS.index
    rotations[:, at("left_hip"), 0], rotations[:, at("right_hip"), 0] = swing, -swing
    rotations[:, at("left_knee"), 0] = 0.5
    rotations[:, at("left_shoulder"), 2], rotations[:, at("right_shoulder"), 2] = -1.3, 1.3
    moved = np.column_stack((np.zeros(FRAMES), np.full(FRAMES, 1.2), np.linspace(0, 1, FRAMES)))
    return rotations, moved


def gvhmr(path: Path, rotations: np.ndarray, moved: np.ndarray) -> None:
    """Its hmr4d_results.pt."""

    def part(root: np.ndarray, transl: np.ndarray) -> dict:
        return {
            "global_orient": torch.tensor(root, dtype=torch.float32),
            "body_pose": torch.tensor(rotations[:, 1:].reshape(FRAMES, 63), dtype=torch.float32),
            "betas": torch.zeros(FRAMES, 10),
            "transl": torch.tensor(transl, dtype=torch.float32),
        }

    # the camera looks along -z of the world: its x is the world's, y and z are turned about x
    about_x = Rotation.from_euler("x", 180, degrees=True)
    seen = (about_x * Rotation.from_rotvec(rotations[:, 0])).as_rotvec()
    far = np.array([0.0, 0.35, 5.0])  # the model's origin lies above its pelvis
    lens = torch.tensor([[300.0, 0.0, 80.0], [0.0, 300.0, 60.0], [0.0, 0.0, 1.0]])
    torch.save(
        {
            "smpl_params_global": part(rotations[:, 0], moved),
            "smpl_params_incam": part(seen, np.tile(far, (FRAMES, 1))),
            "K_fullimg": lens.repeat(FRAMES, 1, 1),
            "net_outputs": {"pred_cam": torch.zeros(FRAMES, 3)},
        },
        path,
    )


def test_gvhmr(tmp_path: Path, grey: Path) -> None:
    rotations, moved = smpl_motion()
    path = tmp_path / "hmr4d_results.pt"
    gvhmr(path, rotations, moved)
    [person] = people(path, grey)[4]
    at = person.landmarks.index
    pixels = person.landmarks_2d
    np.testing.assert_allclose(pixels[at("pelvis")], [80.0, 60.0], atol=1.0)
    assert pixels[at("left_ankle"), 1] > pixels[at("left_hip"), 1] > pixels[at("head"), 1]
    assert pixels[at("left_hip"), 0] > pixels[at("right_hip"), 0]  # it faces the camera
    assert read_poses(path).focal_in(open_video(grey)) == 300.0

    joints = read_joints(path)
    assert joints.source["up"] == "y" and joints.fps == 30.0
    at = joints.landmarks.index
    path_ahead = joints.positions[:, at("left_hip")] - joints.positions[0, at("left_hip")]
    np.testing.assert_allclose(path_ahead[:, 0], moved[:, 2], atol=1e-6)  # z becomes ahead
    thigh = joints.positions[:, at("left_knee")] - joints.positions[:, at("left_hip")]
    lean = np.arctan2(-thigh[:, 0], -thigh[:, 2])
    np.testing.assert_allclose(lean, rotations[:, 1, 0], atol=1e-6)
    shin = joints.positions[:, at("left_ankle")] - joints.positions[:, at("left_knee")]
    lean = np.arctan2(-shin[:, 0], -shin[:, 2])
    np.testing.assert_allclose(lean, rotations[:, 1, 0] + 0.5, atol=1e-6)


def test_bones_turn_as_in_any_tree() -> None:
    from sfv_gym.pose.files.smpl import _rest, joint_positions

    rotations = RANDOM.normal(scale=0.7, size=(3, 22, 3))
    np.testing.assert_allclose(
        joint_positions(rotations, np.zeros((3, 3))), tree(rotations, _rest()), atol=1e-12
    )


def test_wham_is_read_without_running_its_pickle(tmp_path: Path, grey: Path) -> None:
    """joblib puts arrays between a pickle's instructions."""
    from collections import defaultdict

    rotations, moved = smpl_motion()
    pose = rotations.reshape(FRAMES, 66)
    pose = np.concatenate((pose, np.zeros((FRAMES, 6))), axis=1).astype(np.float32)
    results: dict = defaultdict(dict)
    for person, frames in ((7, np.arange(FRAMES - 3)), (3, np.arange(FRAMES))):
        n = len(frames)
        results[person] = {
            "pose": pose[:n],
            "trans": np.tile(np.float32([0, 0, 4]), (n, 1)),
            "pose_world": pose[:n],
            "trans_world": moved[:n] + person,
            "betas": np.zeros((n, 10), np.float32),
            "verts": np.zeros((n, 5, 3), np.float32),
            "frame_ids": frames,
        }
    path = tmp_path / "wham_output.pkl"
    joblib.dump(results, path)
    assert [len(seen) for seen in people(path, grey)] == [2] * (FRAMES - 3) + [1] * 3
    first, second = read_joints(path), read_joints(path, person=2)
    assert (len(first.positions), len(second.positions)) == (FRAMES, FRAMES - 3)
    apart = second.positions - first.positions[: FRAMES - 3]
    np.testing.assert_allclose(apart, 4.0, atol=1e-6)
    with pytest.raises(PoseFileError, match="person 3: there are 2"):
        read_joints(path, person=3)


def test_prompthmr_brings_joints(tmp_path: Path) -> None:
    joints = RANDOM.normal(size=(FRAMES, 22, 3)).astype(np.float32)
    joints[:, [16, 17], 1] += 8.0  # shoulders above hips
    _, moved = smpl_motion()
    part = {"pose": np.zeros((FRAMES, 165)), "trans": moved, "shape": np.zeros((FRAMES, 10))}
    results = {
        "camera": {"img_focal": 500.0, "img_center": np.array([40.0, 30.0])},
        "people": {
            1: {"track_id": 1, "frames": np.arange(FRAMES), "smplx_cam": part,
                "smplx_world": {**part, "joints": joints}},
        },
    }  # fmt: skip
    path = tmp_path / "results.pkl"
    joblib.dump(results, path)
    read = read_joints(path, up="z")
    ankle = read.positions[:, read.landmarks.index("left_ankle")]
    np.testing.assert_allclose(ankle, joints[:, SMPL_JOINTS.index("left_ankle")])
    poses = read_poses(path)

    class Video:
        width, height = 160, 120

    assert poses.focal_in(Video()) == 1000.0  # of a picture that was half as large


def test_amass(tmp_path: Path) -> None:
    rotations, moved = smpl_motion()
    poses = np.concatenate((rotations.reshape(FRAMES, 66), np.zeros((FRAMES, 90))), axis=1)
    path = tmp_path / "amass.npz"
    np.savez(path, poses=poses, trans=moved, mocap_framerate=np.array(120.0), betas=np.zeros(16))
    joints = read_joints(path)
    assert joints.fps == 60.0 and len(joints.positions) == FRAMES // 2


# --- motion capture --------------------------------------------------------------------------

# A figure of sticks: Mixamo's names, inches, y up, each leg 33 inches
BVH = """HIERARCHY
ROOT Hips
{{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Spine
  {{
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Yrotation Xrotation
{arms}  }}
{legs}}}
MOTION
Frames: {frames}
Frame Time: 0.02
{motion}
"""
JOINT = "JOINT {}\n{{\nOFFSET {} {} {}\nCHANNELS 3 Zrotation Yrotation Xrotation\n"


def stick_bvh(turns: np.ndarray, bend: np.ndarray) -> str:
    """Turned about y by ``turns`` (T,) degrees, the left knee bent by ``bend`` (T,) degrees."""
    arms = legs = ""
    for side, x in (("Left", 1), ("Right", -1)):
        arms += JOINT.format(f"{side}Shoulder", 2 * x, 8, 0)
        arms += JOINT.format(f"{side}Arm", 5 * x, 0, 0)
        arms += JOINT.format(f"{side}ForeArm", 11 * x, 0, 0)
        arms += JOINT.format(f"{side}Hand", 10 * x, 0, 0)
        arms += f"End Site\n{{\nOFFSET {3 * x} 0 0\n}}\n" + "}\n" * 4
        legs += JOINT.format(f"{side}UpLeg", 4 * x, 0, 0)
        legs += JOINT.format(f"{side}Leg", 0, -17, 0)
        legs += JOINT.format(f"{side}Foot", 0, -16, 0)
        legs += JOINT.format(f"{side}ToeBase", 0, -2, 5)
        legs += "End Site\n{\nOFFSET 0 0 2\n}\n" + "}\n" * 4
    lines = []
    for t, (turn, knee) in enumerate(zip(turns, bend, strict=True)):
        values = np.zeros(3 + 3 * 18)
        values[:3] = 0.5 * t, 36.0, 0.0
        values[4] = turn  # Zrotation Yrotation Xrotation of the root
        values[3 + 3 * 11 + 2] = knee  # of LeftLeg, after Hips, Spine, eight of arms, LeftUpLeg
        lines.append(" ".join(f"{value:.6f}" for value in values))
    return BVH.format(arms=arms, legs=legs, frames=len(turns), motion="\n".join(lines))


def test_bvh(tmp_path: Path) -> None:
    path = tmp_path / "stick.bvh"
    path.write_text(stick_bvh(np.array([0.0, 90.0, 0.0]), np.array([0.0, 0.0, 90.0])))
    joints = read_joints(path, unit="in")
    assert joints.fps == pytest.approx(50.0)
    at = joints.landmarks.index
    inch = joints.positions / 0.0254  # x ahead (theirs z), y left (theirs x), z up (theirs y)
    np.testing.assert_allclose(inch[0, at("left_hip")], [0.0, 4.0, 36.0])
    np.testing.assert_allclose(inch[0, at("left_shoulder")], [0.0, 7.0, 54.0])
    np.testing.assert_allclose(inch[0, at("left_wrist")], [0.0, 28.0, 54.0])
    # turned left by a quarter: what was ahead is left, what was left is behind
    np.testing.assert_allclose(inch[1, at("left_wrist")], [-28.0, 0.5, 54.0], atol=1e-9)
    np.testing.assert_allclose(inch[1, at("left_foot_index")], [-4.0, 5.5, 1.0], atol=1e-9)
    # the knee bends back
    np.testing.assert_allclose(inch[2, at("left_ankle")], [-16.0, 5.0, 19.0], atol=1e-9)
    with pytest.raises(PoseFileError, match=r"legs are 33 long.*--unit"):
        read_joints(path)


def trc(names: list[str], positions: np.ndarray, unit: str = "mm") -> str:
    """As Motion Analysis and OpenSim have it; a hidden marker is an empty cell."""
    frames, count = positions.shape[:2]
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tx.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
        "OrigNumFrames",
        f"100.00\t100.00\t{frames}\t{count}\t{unit}\t100.00\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(names),
        "\t\t" + "\t".join(f"{a}{i + 1}" for i in range(count) for a in "XYZ"),
        "",
    ]
    for t in range(frames):
        cells = ["" if np.isnan(v) else f"{v:.4f}" for v in positions[t].ravel()]
        lines.append("\t".join([str(t + 1), f"{t / 100:.4f}", *cells]))
    return "\n".join(lines) + "\n"


NAMES = ["RHip", "RKnee", "RAnkle", "LHip", "LKnee", "LAnkle", "RShoulder", "RElbow", "RWrist",
         "LShoulder", "LElbow", "LWrist", "CHip"]  # fmt: skip


def standing(frames: int) -> np.ndarray:
    """(T, 13, 3) millimetres, y up."""
    heights = [900, 480, 80, 900, 480, 80, 1400, 1120, 870, 1400, 1120, 870, 900]
    sides = [85, 85, 85, -85, -85, -85, 180, 190, 195, -180, -190, -195, 0]
    pose = np.column_stack((np.zeros(13), heights, sides)).astype(float)
    return np.tile(pose, (frames, 1, 1))


def test_trc_with_hidden_markers(tmp_path: Path) -> None:
    positions = standing(8)
    positions[3, NAMES.index("LWrist")] = np.nan
    path = tmp_path / "stand.trc"
    path.write_text(trc(NAMES, positions))
    joints = read_joints(path)
    wrist = joints.positions[:, joints.landmarks.index("left_wrist")]
    assert joints.source["unit"] == "mm" and joints.source["up"] == "y"
    assert joints.fps == 50.0  # at most 60 are kept
    assert np.isfinite(wrist).all()  # frame 3 is left out
    np.testing.assert_allclose(wrist[0, 2], 0.87)
    left, right = joints.positions[0, joints.landmarks.indices("left_hip", "right_hip")]
    assert np.linalg.norm(left - right) == pytest.approx(0.17)


@pytest.mark.parametrize("title", ["{}_{}", "{}.{}", "{}:{}", "{} pos {}"])
def test_csv_by_its_titles(tmp_path: Path, title: str) -> None:
    header = ["time", *(title.format(n, a) for n in NAMES for a in "XYZ"), "remark"]
    rows = [
        [f"{t / 25:.3f}", *map(str, frame.ravel() / 1000), "ok"]
        for t, frame in enumerate(standing(6))
    ]
    path = tmp_path / "stand.csv"
    path.write_text("\n".join(",".join(row) for row in (header, *rows)))
    joints = read_joints(path)
    assert joints.fps == pytest.approx(25.0) and joints.source["unit"] == "m"
    np.testing.assert_allclose(joints.positions[2, joints.landmarks.index("right_knee"), 2], 0.48)


@pytest.mark.parametrize(
    ("names", "elbow", "shoulder"),
    [
        ("{S}Shoulder {S}Arm {S}ForeArm {S}Hand {S}UpLeg {S}Leg {S}Foot {S}ToeBase", 2, 1),
        ("mixamorig:{S}Shoulder mixamorig:{S}Arm mixamorig:{S}ForeArm mixamorig:{S}Hand "
         "mixamorig:{S}UpLeg mixamorig:{S}Leg mixamorig:{S}Foot", 2, 1),
        ("{I}_Collar {I}_Shoulder {I}_Elbow {I}_Wrist {I}_Hip {I}_Knee {I}_Ankle {I}_Foot", 2, 1),
        ("{s}_shoulder {s}_elbow {s}_wrist {s}_hip {s}_knee {s}_ankle", 1, 0),
        ("{i}Collar {i}Shldr {i}ForeArm {i}Hand {i}Thigh {i}Shin {i}Foot", 2, 1),
        ("upper_arm.{I} forearm.{I} hand.{I} thigh.{I} shin.{I} foot.{I}", 1, 0),
        ("Bip01+{I}+UpperArm Bip01+{I}+Forearm Bip01+{I}+Hand Bip01+{I}+Thigh Bip01+{I}+Calf "
         "Bip01+{I}+Foot", 1, 0),
    ],
    ids=["lafan", "mixamo", "smpl", "coco", "poser", "blender", "biped"],
)  # fmt: skip
def test_joints_go_by_many_names(names: str, elbow: int, shoulder: int) -> None:
    found = []
    for word in ("Left", "Right"):
        filled = names.format(S=word, s=word.lower(), I=word[0], i=word[0].lower())
        found += [name.replace("+", " ") for name in filled.split()]
    columns = columns_of(found)
    half = len(found) // 2
    assert columns["left_elbow"] == elbow and columns["right_elbow"] == half + elbow
    assert columns["left_shoulder"] == shoulder and columns["right_shoulder"] == half + shoulder


@pytest.mark.slow
def test_from_motion_capture_to_a_motion(tmp_path: Path) -> None:
    """In a world that is turned, y up, in centimetres, with its floor elsewhere."""
    truth = walking().joints[:STEPS]
    path = tmp_path / "walk.csv"
    header = [f"{name}_{axis}" for name in skeleton.LINKS for axis in "xyz"]
    world = 100.0 * truth[..., [1, 2, 0]] + [300.0, 20.0, -50.0]  # y up, 20 cm above its floor
    rows = [
        ",".join([f"{t / FPS:.6f}", *(f"{v:.4f}" for v in frame.ravel())])
        for t, frame in enumerate(world)
    ]
    path.write_text("\n".join([",".join(["time", *header]), *rows]))
    motion = import_motion(
        path, skill="walk", out=tmp_path / "walk.npz", loop="none", progress=False
    )
    assert motion.camera is None and motion.provenance["source"]["kind"] == "CSV"
    assert motion.provenance["quality"]["joint_error_mm"] < 15.0
    ours = motion.joint_positions(person=True)
    knee, hip = skeleton.link_index("left_knee"), skeleton.link_index("left_hip")
    thigh = ours[:, knee] - ours[:, hip]
    wanted = truth[:, knee] - truth[:, hip]
    assert np.linalg.norm(thigh, axis=1).mean() == pytest.approx(
        np.linalg.norm(wanted, axis=1).mean(), rel=0.05
    )
    np.testing.assert_allclose(thigh[:, 2], wanted[:, 2], atol=0.03)
    # feet are seen at the ankles alone, so that which part of a sole bears is a guess
    assert motion.contacts[:, 2:].max(1).mean() > 0.75
    assert ReferenceMotion.load(tmp_path / "walk.npz").num_frames == len(truth)


# --- bad input -------------------------------------------------------------------------------


class Evil:
    """Would write a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (exec, (f"open({str(self.target)!r}, 'w').write('run')",))


def test_no_code_is_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    files = {name: tmp_path / name for name in ("a.pkl", "b.pt", "c.pkl")}
    files["a.pkl"].write_bytes(pickle.dumps({"pose": Evil(proof)}))
    torch.save({"pose": Evil(proof)}, files["b.pt"])
    joblib.dump({"verts": np.zeros(3), "pose": Evil(proof)}, files["c.pkl"])
    for path in files.values():
        with pytest.raises(PoseFileError, match=path.name):
            read_poses(path)
    assert not proof.exists()


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "objects.pkl"
    path.write_bytes(pickle.dumps(np.array([{}, []], object)))
    with pytest.raises(PoseFileError, match=r"objects.pkl: an array of O8"):
        read_poses(path)


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name: a file and what is said of it."""
    pixels, scores, _ = keypoints(17)
    person = {"keypoints": pixels[0].tolist(), "keypoint_scores": scores[0].tolist()}
    odd = {"keypoints": pixels[0, :9].tolist(), "keypoint_scores": scores[0, :9].tolist()}
    whole = pickle.dumps([[{"pred_keypoints_3d": np.zeros((70, 3))}]] * 9)
    texts = {
        "empty.json": ("", "the file is empty"),
        "cut.json": ('{"instance_info": [', "damaged or cut off"),
        "nobody.json": ('[{"frame_id": 0, "instances": []}]', "nobody in it"),
        "other.json": ('{"bones": []}', "unknown layout .it holds bones"),
        "nine.json": (json.dumps([{"frame_id": 0, "instances": [odd]}]), "9 keypoints a person"),
        "nan.json": (
            json.dumps([{"instances": [{**person, "keypoints": [[float("nan"), 0.0]] * 17}]}]),
            "nobody in it whose numbers are all finite",
        ),
        "lifted.json": (
            json.dumps([{"instances": [{**person, "keypoints": [[0, 0, 0]] * 17}]}]),
            "3D alone",
        ),
        "walk.bvh": ("HIERARCHY", "use sfv import"),
        "poses.txt": ("1 2 3", "not '.txt'"),
    }  # fmt: skip
    found = {}
    for name, (text, message) in texts.items():
        (folder / name).write_text(text)
        found[name] = (folder / name, message)
    (folder / "cut.pkl").write_bytes(whole[: len(whole) // 2])
    (folder / "shape.npz").write_bytes(b"PK\x03\x04 no zip")
    found["cut.pkl"] = (folder / "cut.pkl", "damaged or cut off")
    found["shape.npz"] = (folder / "shape.npz", "not a file of poses")
    found["missing.json"] = (folder / "missing.json", "there is no such file")
    return found


NO_POSES = (
    "empty.json", "cut.json", "nobody.json", "other.json", "nine.json", "nan.json", "lifted.json",
    "walk.bvh", "poses.txt", "cut.pkl", "shape.npz", "missing.json",
)  # fmt: skip


@pytest.mark.parametrize("name", NO_POSES)
def test_what_is_no_file_of_poses(tmp_path: Path, name: str) -> None:
    path, message = bad_files(tmp_path)[name]
    with pytest.raises(PoseFileError, match=message) as error:
        read_poses(path)
    assert name in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("frames", [FRAMES - 5, FRAMES + 9])
def test_poses_of_another_video(tmp_path: Path, grey: Path, frames: int) -> None:
    path = tmp_path / "poses.npz"
    solid = RANDOM.normal(size=(frames, 70, 3))
    np.savez(path, pred_keypoints_2d=solid[..., :2], pred_keypoints_3d=solid)
    message = f"poses of {frames} frames, but grey.mp4 ends at frame 12"
    with pytest.raises(PoseFileError, match=message):
        people(path, grey)


STICK = stick_bvh(np.zeros(3), np.zeros(3))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.bvh", STICK[: len(STICK) - 200], "cut off: 3 frames of 57 channels"),
        ("a.bvh", STICK.replace("Frame Time: 0.02", "Frame Time: 0"), "damaged BVH"),
        ("a.bvh", STICK.replace("Xrotation", "Wrotation"), "unknown channel wrotation"),
        ("a.bvh", STICK.replace("LeftForeArm", "Flipper"), "no joints for left_elbow"),
        ("a.bvh", "HIERARCHY ROOT Hips {", "damaged BVH"),
        ("a.bvh", "hello", "does not begin with HIERARCHY"),
        (
            "a.trc",
            trc(NAMES, standing(4)).rsplit("\n", 2)[0],
            "4 frames are announced, there are 3",
        ),
        ("a.trc", trc(NAMES, standing(4) * np.nan), "finite number"),
        ("a.trc", trc(NAMES, standing(4), "furlong"), "damaged TRC header"),
        ("a.csv", "time,LHip_x\n0,1\n", "no columns NAME_x"),
        ("a.csv", "time,LHip_x,LHip_y,LHip_z\n0,1\n", "cut off"),
        ("a.fbx", "x", "joints come as .bvh"),
    ],
)
def test_what_is_no_file_of_joints(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(PoseFileError, match=message) as error:
        read_joints(path)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_where_is_up(tmp_path: Path) -> None:
    lying = standing(6)[..., [1, 0, 2]]
    lying[::2, :, 0] *= -1  # this way and that
    path = tmp_path / "lying.trc"
    path.write_text(trc(NAMES, lying))
    with pytest.raises(PoseFileError, match="--up y or z"):
        read_joints(path)
    assert read_joints(path, up="y").source["up"] == "y"
    with pytest.raises(PoseFileError, match="up must be auto or one of"):
        read_joints(path, up="sideways")
    with pytest.raises(PoseFileError, match="unit must be auto"):
        read_joints(path, up="y", unit="ell")
