"""The library of skills: its data file, and building it."""

import numpy as np
import pytest
from motions import swing

from sfv_gym import library
from sfv_gym.errors import UnknownIdError, VideoError
from sfv_gym.extract import Extraction
from sfv_gym.motion import ReferenceMotion
from sfv_gym.motion.object_hints import object_hints
from sfv_gym.registry import OBJECT_SKILLS, is_skill_name
from sfv_gym.retargeting import store
from sfv_gym.retargeting.rig import Retargeted


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """A folder with clips of two skills; extraction and retargeting take no time."""
    made = []

    def solve(motion, character):
        made.append(character.name)
        return Retargeted(np.zeros((motion.num_frames, character.model.nq)), 1.0)

    def extract(video, *, skill, out, source, progress, **settings):
        motion = swing()
        motion.root_pos[:, 2] = 0.12345  # rounds otherwise once it has been in a file
        motion.provenance = {"source": dict(source)}
        motion.save(out)
        made.append((skill, video.name, settings))
        return Extraction(motion, None, None, ())

    monkeypatch.setattr(library, "extract_motion", extract)
    monkeypatch.setattr(store, "solve", solve)
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "kick_a.mp4").write_bytes(b"a kick")
    (folder / "jump_a.mp4").write_bytes(b"a jump")
    return folder, made


def test_every_entry_is_complete():
    entries = library.library_clips()
    assert len(entries) >= 24
    assert len({clip.file for clip in entries}) == len(entries)
    for clip in entries:
        assert is_skill_name(clip.skill)
        assert {"title", "origin", "author", "licence"} <= set(clip.source)
        assert "{" not in clip.source["title"]
        known = {"start", "end", "loop", "camera", "speed", "subject", "objects"}
        assert set(clip.settings) <= known
        assert ("objects" in clip.settings) == (clip.skill in OBJECT_SKILLS)
        if "objects" in clip.settings:
            assert object_hints(clip.settings["objects"])[0].touches


def test_what_is_there_already_is_left_alone(clips, tmp_path):
    folder, made = clips
    out = tmp_path / "motions"
    out.mkdir()

    def build(**options):
        return library.build_library([folder], out, skills=["kick", "jump"], **options)

    assert [built.fresh for built in build()] == [True, True]
    provenance = ReferenceMotion.load(out / "kick.npz").provenance
    assert provenance["source"]["licence"] == "MIT" and "kick" in provenance["source"]["title"]
    robot = out / "atlas" / "kick.npz"
    assert robot.is_file() and made.count("atlas") == 2
    # of the motion as it is loaded, not as it was before the file rounded it
    assert build() and made.count("atlas") == 2
    robot.unlink()
    assert [built.fresh for built in build()] == [False, False]
    assert robot.is_file() and made.count("atlas") == 3  # what is missing is made again, alone
    (folder / "kick_a.mp4").write_bytes(b"another kick")
    assert [built.fresh for built in build()] == [True, False]
    assert [built.fresh for built in build(force=True)] == [True, True]
    assert len([one for one in made if one != "atlas"]) == 5
    assert made.count("atlas") == 3  # the motion is the same, from whatever clip


def test_a_clip_that_fails_does_not_cost_the_others(clips, tmp_path):
    folder, _ = clips
    results = {
        built.skill: built
        for built in library.build_library([folder], tmp_path, skills=["crawl", "kick"])
    }
    assert results["crawl"].motion is None and "crawl_a.mp4 is not in" in results["crawl"].error
    assert results["kick"].motion is not None and (tmp_path / "kick.npz").is_file()
    assert not (tmp_path / "jobs").exists()
    with pytest.raises(UnknownIdError, match="somersault"):
        library.build_library([folder], tmp_path, skills=["somersault"])


def test_clips_that_ship_are_found_without_a_folder_and_after_those_of_one(tmp_path):
    shipped = library.find_clip("walk_turn_a.mp4", [tmp_path])
    assert shipped.parent == library.clips_folder()
    own = tmp_path / "walk_turn_a.mp4"
    own.write_bytes(b"another")
    assert library.find_clip("walk_turn_a.mp4", [tmp_path]) == own
    with pytest.raises(VideoError, match="not in the package"):
        library.find_clip("somersault.mp4", [])
