"""What tells a wrong reconstruction from a right one: faults put into a fit of a made-up person."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from motions import swing
from scipy.spatial.transform import Rotation
from test_reconstruction import balancing, walking

from sfv_gym import skeleton
from sfv_gym.errors import MotionError, VerdictError
from sfv_gym.extract import _check_verdict
from sfv_gym.fitting.canonical_body import DOFS
from sfv_gym.fitting.contacts import CanonicalContacts
from sfv_gym.motion import BAD, DOUBTFUL, GOOD, NOTE, Finding, ReferenceMotion, Verdict
from sfv_gym.pose.mediapipe import LANDMARKS
from sfv_gym.reconstruction.camera import Camera
from sfv_gym.reconstruction.evidence import Evidence, gather_evidence
from sfv_gym.reconstruction.judge import judge
from sfv_gym.reconstruction.person import PersonFit, PersonProblem
from sfv_gym.reconstruction.pipeline import fit_person
from sfv_gym.reconstruction.report import write_report
from sfv_gym.reconstruction.signs import JointSigns, signs_of

FRAMES = 30


class Case:
    """A fit, what it is a fit to, and what touches the ground."""

    def __init__(
        self, fit: PersonFit[Camera], evidence: Evidence, contacts: CanonicalContacts
    ) -> None:
        self.fit, self.evidence, self.contacts = fit, evidence, contacts

    def verdict(self, **changed: object) -> Verdict:
        """Of the case with another fit, evidence or contacts."""
        parts = {"fit": self.fit, "evidence": self.evidence, "contacts": self.contacts}
        return judge(signs_of(**{**parts, **changed}))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def case() -> Case:
    evidence = gather_evidence(balancing().poses)
    fit, contacts = fit_person(PersonProblem(evidence), iterations=15)
    return Case(fit, evidence, contacts)


def reasons(verdict: Verdict, severity: str) -> str:
    return " | ".join(str(one) for one in verdict.findings if one.severity == severity)


def test_a_fit_that_is_right_is_good(case: Case) -> None:
    verdict = case.verdict()
    assert verdict.grade == GOOD and not verdict.findings


def test_a_limb_that_is_elsewhere_is_named_with_its_time(case: Case) -> None:
    marks = case.evidence.landmarks
    left, right = ([marks.marker(f"{s}_{p}") for p in ("knee", "ankle")] for s in ("left", "right"))
    pixels = case.evidence.pixels.clone()
    pixels[5:20, left + right] = case.evidence.pixels[5:20, right + left]
    found = case.verdict(evidence=replace(case.evidence, pixels=pixels))
    assert found.grade == DOUBTFUL
    timed = {one.part: one.seconds for one in found.findings if one.seconds is not None}
    assert timed == dict.fromkeys(("left leg", "right leg"), (0.167, 0.667))


def test_legs_that_change_places(case: Case) -> None:
    """In landmarks that no pass over the clip has untangled, as another program's."""
    scene = walking()
    legs = LANDMARKS.legs.ravel()
    for name in ("landmarks_2d", "landmarks_3d"):
        array = getattr(scene.poses, name)
        array[20:35, legs] = array[20:35, LANDMARKS.mirror[legs]]
    crossed = gather_evidence(scene.poses).crossed
    assert np.flatnonzero(crossed).tolist() == list(range(20, 35))
    found = case.verdict(evidence=replace(case.evidence, crossed=crossed[10:40]))
    assert "legs, 0.33-0.83 s: left and right change places" in reasons(found, BAD)


def test_a_limb_that_is_elsewhere_again_and_again(case: Case) -> None:
    signs = signs_of(case.fit, case.evidence, case.contacts)
    moments = tuple((t, t + 2) for t in range(0, FRAMES, 10))
    often = judge(replace(signs, astray={"left arm": moments}))
    assert often.grade == DOUBTFUL, "each is short, together they are not"
    assert judge(replace(signs, astray={"left arm": moments[:1]})).findings == ()


def test_landmarks_that_lean_where_the_body_cannot(case: Case) -> None:
    turn = Rotation.from_rotvec([0, 0, np.radians(25)]).as_matrix()
    leaning = case.evidence.directions @ torch.as_tensor(turn.T)
    found = case.verdict(evidence=replace(case.evidence, directions=leaning))
    assert found.grade == DOUBTFUL and "degrees away" in reasons(found, DOUBTFUL)


def test_a_camera_under_the_ground(case: Case) -> None:
    sunk = replace(case.fit.camera, height=torch.tensor(-0.29, dtype=torch.float64))
    found = case.verdict(fit=replace(case.fit, camera=sunk))
    assert "29 cm under the ground" in reasons(found, BAD)


def test_a_camera_that_nobody_holds_so(case: Case) -> None:
    tilt = torch.tensor(np.radians([-8.0, 30.0]))
    found = case.verdict(fit=replace(case.fit, camera=replace(case.fit.camera, tilt=tilt)))
    doubts = [str(one) for one in found.findings if "camera" in one.reason]
    assert len(doubts) == 1, "pitch, roll and height are one doubt"
    assert "looking down by 30 degrees, held aslant by 8 degrees" in doubts[0]
    signs = signs_of(case.fit, case.evidence, case.contacts)
    assert judge(replace(signs, camera_pitch_deg=20.0, camera_roll_deg=4.0)).grade == GOOD
    up = judge(replace(signs, camera_pitch_deg=-30.0))
    assert up.grade == DOUBTFUL and "looking up by 30" in reasons(up, DOUBTFUL)


def test_a_turn_that_nobody_makes(case: Case) -> None:
    """Left and right exchanged for a moment, with the depth that goes with it."""
    points = case.evidence.points.copy()
    points[10:13] = (points * [-1.0, 1.0, -1.0])[10:13]
    found = case.verdict(evidence=replace(case.evidence, points=points))
    assert found.grade == DOUBTFUL
    assert "0.33-0.43 s: hardly counted: nobody turns so fast" in reasons(found, DOUBTFUL)
    long = np.zeros(300, bool)
    long[7] = True
    signs = signs_of(case.fit, case.evidence, case.contacts)
    assert judge(replace(signs, disbelieved=long)).grade == GOOD, "one frame of ten seconds"


def test_a_person_who_hangs(case: Case) -> None:
    active = torch.zeros_like(case.contacts.active)
    hangs = replace(case.contacts, active=active, in_air=torch.zeros(FRAMES))
    assert "100 % of the time" in reasons(case.verdict(contacts=hangs), DOUBTFUL)
    falls = replace(hangs, in_air=torch.ones(FRAMES), flights=((5, 20),))
    assert case.verdict(contacts=falls).grade == GOOD, "who falls needs no hold"
    long = case.verdict(contacts=replace(falls, flights=((0, FRAMES - 1),)))
    assert "0.00-1.00 s: a flight longer than" in reasons(long, DOUBTFUL)


def test_another_person_half_way(case: Case) -> None:
    pixels = case.evidence.pixels.clone()
    pixels[FRAMES // 2 :] += 0.3 * case.evidence.body_px
    found = case.verdict(evidence=replace(case.evidence, pixels=pixels))
    assert found.grade == BAD and "off the picture" in reasons(found, BAD)


def test_one_of_several_people_is_noted(case: Case) -> None:
    found = case.verdict(people=3)
    assert found.grade == GOOD and "one of 3 people" in reasons(found, NOTE)


def test_slow_motion(case: Case) -> None:
    found = case.verdict(contacts=replace(case.contacts, played_at=0.5))
    assert found.grade == DOUBTFUL and "--speed 0.5" in reasons(found, DOUBTFUL)


def test_a_limb_that_is_hidden(case: Case) -> None:
    marks = case.evidence.landmarks

    def seen(limb: str, first: int, last: int) -> Verdict:
        visibility = case.evidence.visibility.copy()
        for joint in ("knee", "ankle") if "leg" in limb else ("elbow", "wrist"):
            visibility[first:last, marks.marker(f"{limb.split()[0]}_{joint}")] = 0.1
        return case.verdict(evidence=replace(case.evidence, visibility=visibility))

    assert seen("left leg", 10, 15).findings == (), "any clip has such a moment"
    noted = seen("left leg", 5, 18)
    assert noted.grade == GOOD, "it stands still"
    assert [(one.part, one.seconds) for one in noted.findings] == [("left leg", (0.167, 0.6))]
    assert seen("left leg", 0, 25).grade == DOUBTFUL
    kicks = case.fit.angles.clone()
    hip = DOFS.index((skeleton.link_index("left_hip"), 1))
    kicks[:, hip] += torch.as_tensor(0.6 * np.sin(np.arange(FRAMES)))
    blind = signs_of(replace(case.fit, angles=kicks), case.evidence, case.contacts).blind
    assert blind["left leg"] == 0
    dark = replace(case.evidence, visibility=0 * case.evidence.visibility)
    blind = signs_of(replace(case.fit, angles=kicks), dark, case.contacts).blind
    assert blind["left leg"] > 0.8


def test_a_hole(case: Case) -> None:
    detected = np.ones(FRAMES, bool)
    detected[3:28] = False
    found = case.verdict(evidence=replace(case.evidence, detected=detected))
    assert "0.10-0.93 s: the person was not found" in reasons(found, DOUBTFUL)


def test_doubts_together_are_bad(case: Case) -> None:
    signs = signs_of(case.fit, case.evidence, case.contacts)
    one = replace(signs, direction_deg=15.0)
    assert judge(one).grade == DOUBTFUL
    two = replace(one, camera_height=5.0)
    assert judge(two).grade == DOUBTFUL
    three = judge(replace(two, size=1.4))
    assert three.grade == BAD and "3 things" in str(three.findings[0])
    limbs = replace(signs, guessed={"left leg": ((0, 28),)}, astray={"right arm": ((0, 28),)})
    assert judge(limbs).grade == DOUBTFUL, "what is wrong with limbs counts once"


def test_joints_that_were_measured() -> None:
    still = {"fps": 30.0, "detected": np.ones(9, bool), "size": 1.0, "imbalance": 0.0}
    on_ground = {"hovering": 0.0, "flights": (), "played_at": None}
    assert judge(JointSigns(**still, **on_ground, off=0.01)).grade == GOOD
    assert "120 mm" in reasons(judge(JointSigns(**still, **on_ground, off=0.12)), BAD)


NOTED = Finding(NOTE, "hidden", "left arm", (0.1, 0.5))
LEANS = Finding(BAD, "leans < 3 & more")


def test_the_worst_finding_decides_and_a_file_keeps_them_all(tmp_path: Path) -> None:
    assert Verdict().grade == GOOD and Verdict((NOTED,)).grade == GOOD
    verdict = Verdict((LEANS, NOTED))
    assert verdict.grade == BAD and str(NOTED) == "left arm, 0.10-0.50 s: hidden"
    twice = Verdict((NOTED, replace(NOTED, seconds=(1.0, 2.0))))
    assert twice.lines() == [(NOTE, "left arm, 0.10-0.50, 1.00-2.00 s: hidden")]
    motion = swing()
    motion.save(tmp_path / "old.npz")
    assert ReferenceMotion.load(tmp_path / "old.npz").verdict is None
    before = motion.content_hash()
    motion.verdict = verdict
    motion.save(tmp_path / "new.npz")
    again = ReferenceMotion.load(tmp_path / "new.npz")
    assert again.verdict == verdict and again.content_hash() == before


@pytest.mark.parametrize("text", ["{}", "[1]", '[{"severity": "bad"}]', "[" * 10000, "x"])
def test_a_verdict_that_is_none(text: str, tmp_path: Path) -> None:
    motion = swing()
    motion.save(tmp_path / "m.npz")
    fields = dict(np.load(tmp_path / "m.npz"))
    np.savez(tmp_path / "m.npz", **fields, verdict=np.array(text))
    with pytest.raises(MotionError, match=r"m\.npz"):
        ReferenceMotion.load(tmp_path / "m.npz")


def test_the_page_says_why_and_loads_nothing(tmp_path: Path) -> None:
    motion = swing()
    motion.skill, motion.verdict = "side_jump", Verdict((LEANS, NOTED))
    frames = (np.full((90, 120, 3), 3 * t, np.uint8) for t in range(motion.num_frames))
    write_report(tmp_path / "page.html", motion, frames)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Side jump" in page and "leans &lt; 3 &amp; more" in page and "left arm" in page
    sources = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", page)
    assert {s.split(";")[0] for s in sources} == {"data:video/mp4", "data:image/webp"}
    assert not re.search(r"@import|url\(|<script|<link", page)
    write_report(tmp_path / "page.html", motion)  # of joints, there is no video
    assert "<video" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_strict_refuses_what_is_bad_alone() -> None:
    motion = swing()
    for verdict in (None, Verdict((NOTED,))):
        motion.verdict = verdict
        _check_verdict(motion, strict=True)
    motion.verdict = Verdict((LEANS, NOTED))
    _check_verdict(motion, strict=False)
    with pytest.raises(VerdictError, match="bad; leans"):
        _check_verdict(motion, strict=True)
