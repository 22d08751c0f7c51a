"""Estimators beside MediaPipe: their landmarks, how they are named, and one of them end to end."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("cv2")
pytest.importorskip("av")
pytest.importorskip("torch")

from motions import swing
from test_reconstruction import FPS, _angle, _root_relative, walking

from sfv_gym.errors import MissingExtraError, PoseError, SettingError, UnknownIdError
from sfv_gym.extract import extract_motion
from sfv_gym.motion import BAD, DOUBTFUL, GOOD, Finding, ReferenceMotion, Verdict
from sfv_gym.pose import (
    ESTIMATORS,
    FrameEstimator,
    LandmarkSet,
    Marker,
    Person,
    PoseEstimator,
    PoseSequence,
    estimate_pose,
    get_estimator,
    marker_pair,
    register_estimator,
)
from sfv_gym.pose.landmarks import JOINTS
from sfv_gym.pose.mediapipe import LANDMARKS, MediaPipe
from sfv_gym.pose.view import View
from sfv_gym.reconstruction import reconstruct
from sfv_gym.reconstruction.evidence import gather_evidence
from sfv_gym.reconstruction.initial import initial_angles
from sfv_gym.reconstruction.report import MOMENTS
from sfv_gym.video import VideoReader, open_video, write_video

HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
COCO = LANDMARKS.subset("coco", (*HEAD, *JOINTS))
FRAMES = 24


# --- landmarks -------------------------------------------------------------------------------


def test_markers_are_mirror_images_of_each_other() -> None:
    by_name = {marker.landmark: marker for marker in LANDMARKS.markers}
    for name, marker in by_name.items():
        twin = by_name[LANDMARKS.names[LANDMARKS.mirror[LANDMARKS.index(name)]]]
        x, y, z = marker.offset
        assert twin.offset == (x, -y, z)
        assert twin.weight == marker.weight


def test_directions_are_as_many_left_as_right() -> None:
    def mirrored(name: str) -> str:
        return LANDMARKS.names[LANDMARKS.mirror[LANDMARKS.index(name)]]

    lines = {(frozenset((a, b)), weight) for a, b, weight in LANDMARKS.directions}
    assert {(frozenset(map(mirrored, line)), weight) for line, weight in lines} == lines


def test_a_subset_has_its_own_order_and_what_lies_within_it() -> None:
    assert len(COCO) == 17
    assert [COCO.names[i] for i in COCO.joints] == list(JOINTS)
    assert COCO.names[COCO.mirror[COCO.index("left_eye")]] == "right_eye"
    assert {COCO.names[i] for i in COCO.marked} == set(COCO.names)
    assert not COCO.marks("left_heel") and COCO.marks("nose", "left_ear")
    assert COCO.legs.shape == (2, 2) and LANDMARKS.legs.shape == (2, 4)
    assert ("left_knee", "left_ankle") in COCO.bones
    assert all("heel" not in name for bone in COCO.bones for name in bone)
    np.testing.assert_array_equal(
        COCO.offsets[COCO.marker("left_hip")], LANDMARKS.offsets[LANDMARKS.marker("left_hip")]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": (*COCO.names, "nose")}, "landmarks twice: nose"),
        ({"names": (*COCO.names, "left_toe")}, "no landmarks called right_toe"),
        ({"markers": COCO.markers[:-1]}, "no markers of left_ankle"),
        ({"markers": (*COCO.markers, *marker_pair("toe", "ankle", 0, 0, 0))}, "left_toe, right_t"),
        ({"markers": (*COCO.markers, Marker("nose", "neck", (0, 0, 0)))}, "markers twice: nose"),
        (
            {
                "names": (*COCO.names, "tail"),
                "markers": (*COCO.markers, Marker("tail", "t", (0,) * 3)),
            },
            "no links called t",
        ),
        ({"directions": (("nose", "tail", 1.0),)}, "directions between .* tail"),
        ({"directions": ()}, "no directions"),
        ({"bones": (("nose", "tail"),)}, "no landmarks called tail"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_set_of_landmarks(changes: dict, message: str) -> None:
    with pytest.raises(PoseError, match=f"landmarks 'coco': .*{message}"):
        replace(COCO, **changes)


# --- names -----------------------------------------------------------------------------------


class Nobody:
    """Sees nobody."""

    name = "nobody"

    def __init__(self, landmarks: LandmarkSet = COCO) -> None:
        self.landmarks = landmarks

    def facts(self) -> dict[str, str | int | float | bool]:
        return {}

    def people_in(
        self, video: VideoReader, *, mirror: bool, strict: bool
    ) -> Iterator[list[Person]]:
        return ([] for _ in video)

    def look(
        self, video: VideoReader, plan: Mapping[int, Sequence[View]]
    ) -> Iterator[tuple[int, list[tuple[View, Person]]]]:
        return iter(())


@pytest.fixture
def estimators(monkeypatch: pytest.MonkeyPatch) -> dict[str, PoseEstimator]:
    """The registered ones, as they were, afterwards."""
    known = dict(ESTIMATORS)
    for module in ("sfv_gym.pose.registry", "sfv_gym.pose"):
        monkeypatch.setattr(f"{module}.ESTIMATORS", known)
    return known


def test_an_estimator_is_found_by_its_name(estimators: dict[str, PoseEstimator]) -> None:
    assert list(estimators) == ["mediapipe"]
    assert isinstance(get_estimator("mediapipe"), MediaPipe)
    with pytest.raises(UnknownIdError, match=r"'nobody'; known: mediapipe; or your own"):
        get_estimator("nobody")
    own = Nobody()
    assert get_estimator(own) is own
    assert "nobody" not in estimators, "what is handed in is not registered"
    register_estimator(own)
    assert get_estimator("nobody") is own


@pytest.mark.parametrize("wrong", [None, 3, Nobody, SimpleNamespace(name="a", landmarks=COCO)])
def test_what_is_no_estimator(wrong: object) -> None:
    for call in (get_estimator, register_estimator):
        with pytest.raises(SettingError, match="must be a name or a PoseEstimator"):
            call(wrong)  # type: ignore[operator]


def test_two_sets_of_landmarks_have_two_names(estimators: dict[str, PoseEstimator]) -> None:
    register_estimator(Nobody())
    other = Nobody(replace(COCO, cropped=False))
    register_estimator(other)  # of the same name: in place of the first
    another = Nobody()
    another.name = "another"
    with pytest.raises(PoseError, match="'nobody' has other landmarks that are called 'coco'"):
        register_estimator(another)
    assert list(estimators) == ["mediapipe", "nobody"]


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("raise RuntimeError('half written')\ndef make(): pass\n")
    for spec, message in (
        (f"{tmp_path}/other.py:make", "there is no file"),
        (f"{file}:make", "RuntimeError: half written"),
        ("no_such_module:make", "ModuleNotFoundError"),
    ):
        with pytest.raises(SettingError, match=f"cannot be loaded: .*{message}"):
            get_estimator(spec)
    file.write_text("def make(): return 3\n")
    with pytest.raises(SettingError, match="not 3"):
        get_estimator(f"{file}:make")


def test_without_mediapipe_another_estimator_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingExtraError, match=r"sfv-gym\[video\].*another estimator"):
        MediaPipe().facts()


def test_poses_are_read_without_opencv_and_mediapipe() -> None:
    code = (
        "import sys, sfv_gym.pose, sfv_gym.reconstruction; "
        "print(*[name for name in ('cv2', 'mediapipe') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# --- files -----------------------------------------------------------------------------------


def poses(landmarks: LandmarkSet = COCO) -> PoseSequence:
    """The synthetic walk of the tests of reconstruction, in some of its landmarks."""
    found = walking(FRAMES + 6).poses
    columns = LANDMARKS.indices(*landmarks.names)
    return PoseSequence(
        landmarks=landmarks,
        landmarks_2d=found.landmarks_2d[:FRAMES, columns],
        visibility=found.visibility[:FRAMES, columns],
        landmarks_3d=found.landmarks_3d[:FRAMES, columns],
        detected=found.detected[:FRAMES],
        fps=found.fps,
        width=found.width,
        height=found.height,
    )


def test_a_file_names_its_landmarks(tmp_path: Path, estimators: dict[str, PoseEstimator]) -> None:
    file = tmp_path / "poses.npz"
    poses().save(file)
    with pytest.raises(PoseError, match=r"unknown landmarks 'coco'.*register_estimator"):
        PoseSequence.load(file)
    assert PoseSequence.load(file, COCO).landmarks is COCO
    with pytest.raises(PoseError, match="landmarks 'coco', not 'mediapipe'"):
        PoseSequence.load(file, LANDMARKS)
    register_estimator(Nobody())
    assert PoseSequence.load(file).landmarks is COCO


def test_files_of_the_first_schema_are_mediapipes(tmp_path: Path) -> None:
    poses(LANDMARKS).save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as data:
        arrays = {name: data[name] for name in data.files if name != "landmarks"}
    np.savez(tmp_path / "old.npz", **{**arrays, "schema": np.array(1)})
    old, new = (PoseSequence.load(tmp_path / f"{name}.npz") for name in ("old", "new"))
    assert old.landmarks is new.landmarks is LANDMARKS
    np.testing.assert_array_equal(old.landmarks_2d, new.landmarks_2d)


# --- one picture at a time -------------------------------------------------------------------

PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")


class Dots(FrameEstimator):
    """Sees somebody from the front, whose landmarks are dots: each pair of a grey level of its own,
    the left one further right in the picture."""

    name = "dots"
    landmarks = COCO

    def detect(self, picture: np.ndarray) -> list[Person]:
        pixels = np.zeros((len(COCO), 2))
        for level, part in enumerate(("nose", *PARTS), start=1):
            at = np.argwhere(picture[..., 0] == 20 * level)[:, ::-1] + 0.5
            names = [part] if part == "nose" else [f"right_{part}", f"left_{part}"]
            if len(at) != len(names):
                return []
            pixels[COCO.indices(*names)] = at[at[:, 0].argsort()]
        hips = pixels[COCO.indices("left_hip", "right_hip")].mean(0)
        metres = np.column_stack(((pixels - hips) / 50.0, np.arange(len(COCO))))
        return [Person(COCO, pixels, np.ones(len(COCO)), metres)]


class Clip(list):
    """Frames as a video gives them."""

    width, height, fps = 300, 200, 30.0


def test_one_method_is_enough_for_mirror_images_and_closer_views() -> None:
    frame = np.zeros((200, 300, 3), np.uint8)
    frame[50, 143, 0] = 20
    for k, _ in enumerate(PARTS):
        frame[56 + 10 * k, [130 - 2 * k, 155 + 3 * k], 0] = 20 * (k + 2)
    estimator, clip = Dots(), Clip([frame, np.zeros_like(frame)])
    assert isinstance(estimator, PoseEstimator)
    (truth,) = estimator.detect(frame)
    for mirror in (False, True):
        (person,), nobody = estimator.people_in(clip, mirror=mirror, strict=True)
        assert nobody == []
        assert person.alternative is None
        np.testing.assert_allclose(person.landmarks_2d, truth.landmarks_2d)
        if not mirror:
            np.testing.assert_allclose(person.landmarks_3d, truth.landmarks_3d)
    views = [View(144.0, 92.0, 128.0, 0.0, 128, mirrored=m) for m in (False, True)]
    ((t, seen),) = estimator.look(clip, {0: views})
    assert t == 0
    assert [view for view, _ in seen] == views
    for _, person in seen:
        np.testing.assert_allclose(person.landmarks_2d, truth.landmarks_2d)


# --- what reconstruction makes of a set ------------------------------------------------------


def test_a_head_and_feet_that_nobody_sees_are_held_straight() -> None:
    limbs = LANDMARKS.subset("limbs", JOINTS)
    _, angles, believed = initial_angles(gather_evidence(poses(limbs)))
    _, known, _ = initial_angles(gather_evidence(poses(LANDMARKS)))
    assert believed.all()
    links = ("neck", "left_ankle", "right_ankle")
    unseen = [_angle(link, axis) for link in links for axis in range(3)]
    np.testing.assert_allclose(angles[:, unseen], 0.0, atol=0.03)
    assert abs(known[:, unseen]).max() > 0.2
    np.testing.assert_allclose(np.delete(angles - known, unseen, 1), 0.0, atol=1e-9)


def test_away_is_along_the_ray_to_the_person_or_along_the_cameras_axis() -> None:
    crop = poses(LANDMARKS)
    crop.landmarks_2d += 150.0  # far from the picture's middle
    whole = replace(crop, landmarks=replace(LANDMARKS, cropped=False))
    seen = crop.landmarks_3d[:, LANDMARKS.marked]
    np.testing.assert_array_equal(gather_evidence(whole).points, seen)
    assert abs(gather_evidence(crop).points - seen).max() > 0.1


# --- end to end ------------------------------------------------------------------------------

OWN = """
import numpy as np
from sfv_gym.pose import Person
from sfv_gym.pose.mediapipe import LANDMARKS

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
SIDES = ("left", "right")
COCO = LANDMARKS.subset(
    "coco",
    ("nose", *(f"{s}_{p}" for p in ("eye", "ear") for s in SIDES),
     *(f"{s}_{p}" for p in PARTS for s in SIDES)),
)


class Truth:
    name, landmarks = "truth", COCO

    def facts(self):
        return {}

    def people_in(self, video, *, mirror, strict):
        with np.load(__file__.replace("truth.py", "truth.npz")) as data:
            for flat, solid, _ in zip(data["flat"], data["solid"], video, strict=True):
                yield [Person(COCO, flat, np.ones(17), solid)]

    def look(self, video, plan):
        return iter(())
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an estimator's file, and the video that it knows the truth of."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "truth.py").write_text(OWN)
    seen = poses()
    np.savez(folder / "truth.npz", flat=seen.landmarks_2d, solid=seen.landmarks_3d)
    blank = [np.full((seen.height, seen.width, 3), 90, np.uint8)] * FRAMES
    write_video(folder / "walk.mp4", blank, FPS)
    return folder


def test_an_estimator_of_ones_own_makes_a_motion(
    own: Path, estimators: dict[str, PoseEstimator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file outside the package, through the whole pipeline."""
    fast = functools.partial(reconstruct, iterations=50)
    monkeypatch.setattr("sfv_gym.reconstruction.reconstruct", fast)
    estimator = get_estimator(f"{own}/truth.py:Truth")
    register_estimator(estimator)
    extract_motion(
        own / "walk.mp4",
        skill="my_walk",
        out=own / "my_walk.npz",
        estimator="truth",
        poses_out=own / "poses.npz",
        overlay=own / "overlay.mp4",
        report=own / "report.html",
        strict=True,
        progress=False,
    )
    motion, kept = ReferenceMotion.load(own / "my_walk.npz"), PoseSequence.load(own / "poses.npz")
    assert kept.landmarks == COCO
    assert kept.source["estimator"] == motion.provenance["source"]["estimator"] == "truth"
    person = motion.joint_positions(person=True)
    assert _root_relative(person, walking(FRAMES + 6).joints[:FRAMES]) < 40
    assert motion.provenance["quality"]["reprojection_percent_of_body"] < 2.0
    bones = np.array([frame.astype(int).std() for frame in open_video(own / "overlay.mp4")])
    assert (bones > 3).all(), "the person is drawn into every frame"
    assert motion.verdict is not None and motion.verdict.grade in (GOOD, DOUBTFUL)
    page = (own / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/webp") == MOMENTS and motion.verdict.grade in page


def test_the_command_line_takes_a_file(own: Path, sfv, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def stop(chosen: PoseSequence, **_: object) -> None:
        seen.append(chosen.landmarks.name)
        raise PoseError("far enough")

    monkeypatch.setattr("sfv_gym.reconstruction.reconstruct", stop)
    video = str(own / "walk.mp4")
    code, _, err = sfv("extract", video, "--estimator", f"{own}/truth.py:Truth")
    assert (code, seen) == (2, ["coco"])
    assert "far enough" in err
    code, out, err = sfv("extract", video, "--estimator", "openpose")
    assert code == 2 and out == "" and "known: mediapipe" in err


def test_strict_leaves_nothing_of_a_bad_motion(
    own: Path, sfv, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    motion = swing()
    motion.verdict = Verdict((Finding(BAD, "the camera is under the ground"),))
    monkeypatch.setattr("sfv_gym.reconstruction.reconstruct", lambda *_, **__: motion)
    command = ("extract", str(own / "walk.mp4"), "--estimator", f"{own}/truth.py:Truth")
    code, _, err = sfv(*command, "--strict", "--overlay", "overlay.mp4")
    assert code == 2 and "bad; the camera is under the ground" in err
    assert list(tmp_path.iterdir()) == []


def test_what_an_estimator_may_not_say(own: Path) -> None:
    video = open_video(own / "walk.mp4")
    right = poses()

    class Wrong(Nobody):
        people = Person(COCO, right.landmarks_2d[0], np.ones(17), right.landmarks_3d[0])

        def people_in(
            self, video: VideoReader, *, mirror: bool, strict: bool
        ) -> Iterator[list[Person]]:
            return ([self.people] for _ in video)

    def refused(message: str) -> None:
        with pytest.raises(PoseError, match=f"nobody: {message}") as caught:
            estimate_pose(video, estimator=Wrong(), progress=False)
        assert "\n" not in str(caught.value)

    holes = Wrong.people.landmarks_2d.copy()
    holes[3] = np.nan
    Wrong.people = replace(Wrong.people, landmarks_2d=holes)
    refused("landmarks_2d is not finite: a landmark that is hidden is a guess")
    Wrong.people = replace(Wrong.people, landmarks_2d=holes[:5])
    refused(r"landmarks_2d has shape \(5, 2\), not \(17, 2\)")
    Wrong.people = replace(Wrong.people, landmarks=LANDMARKS)
    refused("landmarks 'mediapipe', not landmarks 'coco'")
    Wrong.people_in = lambda *_, **__: iter([[]])  # type: ignore[method-assign]
    refused(f"people of 1 frames, not of {FRAMES}")
    with pytest.raises(PoseError, match="no person was found"):
        estimate_pose(video, estimator=Nobody(), progress=False)


def test_poses_of_an_estimator_without_facts_are_not_kept(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFV_GYM_CACHE", str(tmp_path))
    video = open_video(own / "walk.mp4")
    estimator = get_estimator(f"{own}/truth.py:Truth")
    first = estimate_pose(video, estimator=estimator, progress=False)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(estimator, "facts", lambda: {"version": 1})
    estimate_pose(video, estimator=estimator, progress=False)
    assert len(list((tmp_path / "poses").iterdir())) == 1
    monkeypatch.setattr(estimator, "people_in", lambda *_, **__: pytest.fail("asked again"))
    kept = estimate_pose(video, estimator=estimator, progress=False)
    np.testing.assert_array_equal(kept.landmarks_2d, first.landmarks_2d)
    assert kept.source["version"] == 1
