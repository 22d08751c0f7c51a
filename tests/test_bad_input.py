"""Wrong input, from the command line and in files: one clear line, and nothing is left behind."""

import io
import json
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from motions import swing
from safetensors.numpy import save_file

from sfv_gym.errors import MotionError, OutputError, PolicyError, SettingError
from sfv_gym.files import atomic_path
from sfv_gym.jobs.folder import locked_folder
from sfv_gym.motion import ReferenceMotion
from sfv_gym.play.policy import MAX_BYTES, Policy, load_policy, shipped_policy_path
from sfv_gym.train.device import check_device, check_threads
from sfv_gym.train.train_all import train_all

WALK = "SFV-Walk-v0"
TRAINERS = (("train", WALK), ("train-all", WALK))


def refused(result: tuple[int, str, str], message: str) -> None:
    """What every refusal looks like."""
    code, out, err = result
    assert code == 2, (code, err)
    assert out == "" and "Traceback" not in err
    assert message in err.replace("│ ", "")


# --- the command line -------------------------------------------------------------------------


@pytest.mark.parametrize("command", TRAINERS, ids=lambda c: c[0])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--threads", "0"), "--threads"),
        (("--threads", "1000000"), "--threads"),
        (("--seed", "-1"), "--seed"),
        (("--seed", "4294967296"), "--seed"),
        (("--device", "bogus"), "unknown device 'bogus'"),
        (("--device", ""), "unknown device ''"),
        (("--device", "meta"), "the device 'meta' cannot be used"),
        (("--set", "num_envs=0"), "num_envs cannot be 0"),
        (("--set", "n_steps=0"), "n_steps cannot be 0"),
        (("--set", "batch_size=0"), "batch_size cannot be 0"),
        (("--set", "n_epochs=0"), "n_epochs cannot be 0"),
        (("--set", "hidden=[-4]"), "hidden cannot be [-4]"),
        (("--set", "hidden=[0]"), "hidden cannot be [0]"),
        (("--set", "learning_rate=nan"), "learning_rate cannot be 'nan'"),
        (("--set", "learning_rate=.nan"), "learning_rate cannot be nan"),
        (("--set", "gamma=5"), "gamma cannot be 5"),
        (("--set", "gamma=yes"), "gamma cannot be True"),
        (("--set", "gamma="), "NAME=VALUE"),
        (("--set", "gamma=2026-99-99"), "NAME=VALUE"),
        (("--set", "hidden=" + "[" * 5000), "NAME=VALUE"),
        (("--set", "hidden=" + "[" * 40 + "]" * 40), "hidden cannot be [[[[[["),
        (("--set", "clip_range=-1"), "clip_range cannot be -1"),
        (("--set", "failure_cost=.inf"), "failure_cost cannot be inf"),
        (("--set", "target_success=7"), "target_success cannot be 7"),
        (("--set", "position_noise=-1"), "position_noise cannot be -1"),
        (("--reward", "sfv"), "No such option"),  # it is --set reward=sfv
    ],
    ids=lambda value: str(value)[:30],
)
def test_training_refuses(sfv, tmp_path, command, arguments, message):
    refused(sfv(*command, *arguments), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", WALK, "--steps", "-5"), "--steps"),
        (("train", WALK, "--steps", "0"), "--steps"),
        (("train", WALK, "--steps", "99999999999"), "steps cannot be 99999999999"),
        (("train", WALK, "--resume", "a", "--out", "b"), "--resume names the run's folder"),
        (("train-all", WALK, "--budget", "0"), "--budget"),
        (("train-all", WALK, "--workers", "0"), "--workers"),
        (("eval", WALK, "--episodes", "0"), "--episodes"),
        (("eval", WALK, "--episodes", "1000000000"), "--episodes"),
        (("eval", WALK, "--episodes", "1e9"), "--episodes"),
        (("eval", WALK, "--seed", "-1"), "--seed"),
        (("eval", WALK, "--seed", "4294967296"), "--seed"),
        (("eval", WALK, "--start", "failure"), "--start must be fixed or rsi"),
        (("eval", "SFV-Walk-Slopes-v0", "--difficulty", "nan"), "--difficulty"),
        (("render", WALK, "--seconds", "inf"), "--seconds"),
        (("render", WALK, "--seconds", "nan"), "--seconds"),
        (("render", WALK, "--seconds", "0"), "--seconds"),
        (("render", WALK, "--seconds", "1e9"), "--seconds"),
        (("play", WALK, "--seed", "-1"), "--seed"),
        (("demo", "--train", "--steps", "0"), "--steps"),
    ],
    ids=str,
)
def test_a_number_out_of_its_range_is_refused(sfv, tmp_path, arguments, message):
    refused(sfv(*arguments), message)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", WALK, "--out", "file"),
        ("train", WALK, "--out", "file/deeper"),
        ("train-all", WALK, "--out", "file"),
        ("train-all", WALK, "--out", "runs", "--install", "file"),
        ("demo", "--out", "file"),
        ("build-library", ".", "--out", "file"),
    ],
    ids=str,
)
def test_a_file_is_no_folder_to_write_to(sfv, tmp_path, arguments):
    (tmp_path / "file").write_text("mine")
    refused(sfv(*arguments), "cannot write")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


# --- the same from Python ---------------------------------------------------------------------


def test_cuda_is_not_replaced_by_the_cpu(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name in ("cuda", "cuda:1"):
        with pytest.raises(SettingError, match="no CUDA device"):
            check_device(name)
    for name in ("cpu", "auto"):
        check_device(name)


@pytest.mark.parametrize("threads", [0, -1, 10**9])
def test_threads(threads):
    with pytest.raises(SettingError, match="threads must be from 1"):
        check_threads(threads)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"evaluate_every": 0}, SettingError),
        ({"threads": 0}, SettingError),
        ({"seed": -1}, SettingError),
        ({"seed": 2**32}, SettingError),
        ({"seed": 0.5}, SettingError),
        ({"budget": 0}, SettingError),
        ({"device": "bogus"}, SettingError),
        ({"settings": {"reward": "joy"}}, SettingError),
        ({"init": {WALK: "none.safetensors"}}, PolicyError),
    ],
    ids=str,
)
def test_a_queue_starts_nothing(tmp_path, settings, error):
    with pytest.raises(error):
        train_all([WALK], tmp_path / "runs", **settings)
    assert not (tmp_path / "runs").exists()


def test_a_queue_cannot_write_into_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="is no folder"):
        train_all([WALK], tmp_path / "file")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "seed"),
        ({"num_threads": 0}, "threads"),
        ({"evaluate_every": 0}, "evaluate_every"),
        ({"steps": 0}, "steps"),
    ],
    ids=str,
)
def test_a_run_does_not_begin(tmp_path, settings, message):
    from sfv_gym.train.ppo import train

    with pytest.raises(SettingError, match=message):
        train(WALK, tmp_path / "run", progress=False, **settings)
    assert not (tmp_path / "run").exists()


# --- files of motions -------------------------------------------------------------------------


def arrays_of_a_motion(folder: Path) -> dict[str, np.ndarray]:
    swing(frames=7).save(folder / "good.npz")
    return dict(np.load(folder / "good.npz"))


def header(shape: str, kind: str = "<f4") -> bytes:
    """An array's header that says it has a shape, without the array."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def with_member(folder: Path, path: Path, name: str, content: bytes) -> None:
    """A motion in which one array is replaced by bytes."""
    arrays = arrays_of_a_motion(folder)
    del arrays[name]
    np.savez(path, **arrays)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{name}.npy", content)


def with_value(folder: Path, path: Path, **changes) -> None:
    np.savez(path, **{**arrays_of_a_motion(folder), **changes})


def with_broken_stream(folder: Path, path: Path) -> None:
    swing(frames=7).save(path)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("joint_quat.npy")
    begin = info.header_offset + 80
    data[begin : begin + 60] = b"\xff" * 60
    path.write_bytes(data)


def with_a_bomb(folder: Path, path: Path) -> None:
    """A member that is said to unpack to a terabyte: the directory of the archive says so."""
    swing(frames=7).save(path)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(data)


def encrypted(folder: Path, path: Path) -> None:
    swing(frames=7).save(path)
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + offset
        data[at] |= 1
    path.write_bytes(data)


def npy(folder: Path, path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, np.zeros((5, 3)))


def pickled(folder: Path, path: Path) -> None:
    with_value(folder, path, provenance=np.array([{"source": "x"}], object))


def cut(folder: Path, path: Path) -> None:
    swing(frames=7).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


CAMERA = {
    "camera_rotation": np.eye(3),
    "camera_position": np.zeros(3),
    "camera_focal_px": np.array(700.0),
    "camera_centre_px": np.ones(2),
}
DEEP = np.array("[" * 100_000 + "]" * 100_000)
DAMAGE = {
    "empty": lambda folder, path: path.write_bytes(b""),
    "text": lambda folder, path: path.write_text("no motion at all"),
    "cut": cut,
    "a .npy by another name": npy,
    "broken stream": with_broken_stream,
    "encrypted": encrypted,
    "bomb": with_a_bomb,
    "pickle": pickled,
    "no arrays": lambda folder, path: np.savez(path),
    "terabytes": lambda f, p: with_member(f, p, "root_pos", header("(1000000000000, 3)")),
    "overflow": lambda f, p: with_member(f, p, "root_pos", header("(4611686018427387904, 4)")),
    "negative": lambda f, p: with_member(f, p, "root_pos", header("(-1, 3)")),
    "many dimensions": lambda f, p: with_member(f, p, "root_pos", header("(" + "1, " * 60 + ")")),
    "no header": lambda f, p: with_member(f, p, "root_pos", b"\x93NUMPY\x07\x00"),
    "half a header": lambda f, p: with_member(f, p, "root_pos", header("(7, 3)")[:30]),
    "deep header": lambda f, p: with_member(f, p, "root_pos", header("(" * 9000 + ")" * 9000)),
    "a string as header": lambda f, p: with_member(f, p, "root_pos", header("(7, 3)", "<U9")),
    "deep provenance": lambda f, p: with_value(f, p, provenance=DEEP),
    "provenance is a list": lambda f, p: with_value(f, p, provenance=np.array("[1]")),
    "provenance is no JSON": lambda f, p: with_value(f, p, provenance=np.array("{")),
    "schema is no number": lambda f, p: with_value(f, p, schema=np.array("two")),
    "schema is many": lambda f, p: with_value(f, p, schema=np.array([2, 2])),
    "schema is NaN": lambda f, p: with_value(f, p, schema=np.array(np.nan)),
    "schema is infinite": lambda f, p: with_value(f, p, schema=np.array(np.inf)),
    "schema to come": lambda f, p: with_value(f, p, schema=np.array(99)),
    "fps is tiny": lambda f, p: with_value(f, p, fps=np.array(1e-12)),
    "fps is zero": lambda f, p: with_value(f, p, fps=np.array(0.0)),
    "fps is NaN": lambda f, p: with_value(f, p, fps=np.array(np.nan)),
    "fps is huge": lambda f, p: with_value(f, p, fps=np.array(1e300)),
    "fps is text": lambda f, p: with_value(f, p, fps=np.array("thirty")),
    "complex": lambda f, p: with_value(f, p, fps=np.array(30 + 1j)),
    "infinite position": lambda f, p: with_value(f, p, root_pos=np.full((7, 3), np.inf)),
    "no frames": lambda f, p: with_value(f, p, root_pos=np.zeros((0, 3))),
    "a single number": lambda f, p: with_value(f, p, root_pos=np.array(1.0)),
    "joints without axis": lambda f, p: with_value(f, p, joint_quat=np.array(1.0)),
    "flights without end": lambda f, p: with_value(f, p, flights=np.array([[2, 99]])),
    "flights are flat": lambda f, p: with_value(f, p, flights=np.array([1, 2, 3])),
    "flights are none": lambda f, p: with_value(f, p, flights=np.array(1)),
    "person's scale": lambda f, p: with_value(f, p, person_scale=np.zeros(9)),
    "person's scale is one": lambda f, p: with_value(f, p, person_scale=np.array(1.0)),
    "half a camera": lambda f, p: with_value(f, p, camera_rotation=np.eye(3)),
    "a flat camera": lambda f, p: with_value(f, p, **{**CAMERA, "camera_rotation": np.ones(3)}),
    "a camera nowhere": lambda f, p: with_value(
        f, p, **{**CAMERA, "camera_position": np.full(3, np.nan)}
    ),
    "a camera of other frames": lambda f, p: with_value(f, p, **CAMERA, camera_turns=np.ones(3)),
    "loop_range is one": lambda f, p: with_value(
        f, p, loop=np.array("wrap"), loop_range=np.array([3])
    ),
    "loop_range is broken": lambda f, p: with_value(f, p, loop_range=np.array([0.5, 3.0])),
    "loop_range is beyond": lambda f, p: with_value(
        f, p, loop=np.array("wrap"), loop_range=np.array([0, 10**9])
    ),
    "names": lambda f, p: with_value(f, p, joint_names=np.array(["a", "b"])),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_motion_is_named(damage, tmp_path):
    path = tmp_path / "bad_one.npz"
    DAMAGE[damage](tmp_path, path)
    with pytest.raises(MotionError) as caught:
        ReferenceMotion.load(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    assert len(message) < len(str(path)) + 1000


@pytest.mark.parametrize("damage", ["cut", "text", "deep provenance"])
def test_assess_names_a_damaged_motion(damage, sfv, tmp_path):
    DAMAGE[damage](tmp_path, tmp_path / "bad_one.npz")
    refused(sfv("assess", "bad_one.npz"), "bad_one.npz")


# --- files of policies ------------------------------------------------------------------------


def tensors(inputs: int = 6, hidden: int = 5, actions: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        "observation.mean": (inputs,),
        "observation.std": (inputs,),
        "layer0.weight": (hidden, inputs),
        "layer0.bias": (hidden,),
        "layer1.weight": (actions, hidden),
        "layer1.bias": (actions,),
    }
    return {name: rng.uniform(1, 2, shape).astype(np.float32) for name, shape in shapes.items()}


def write_policy(path: Path, card: str = "{}", form: str = "1", **changes) -> None:
    """A policy file with other tensors; None leaves one out."""
    changed = {name.replace("_", "."): value for name, value in changes.items()}
    kept = {k: v for k, v in {**tensors(), **changed}.items() if v is not None}
    save_file(kept, path, metadata={"format": form, "card": card})


def raw_policy(path: Path, text: str, data: bytes = b"") -> None:
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + data)


def large(path: Path) -> None:
    with open(path, "wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: it takes no room


ones = np.ones
BAD_POLICIES = {
    "empty": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("no policy at all, but of some length"),
    "header of exabytes": lambda p: p.write_bytes(struct.pack("<Q", 2**60) + b"{}"),
    "header of a gigabyte": lambda p: p.write_bytes(struct.pack("<Q", 2**30) + b"{" * 100),
    "deep header": lambda p: raw_policy(p, '{"a":' * 20_000 + "1" + "}" * 20_000),
    "tensor of terabytes": lambda p: raw_policy(
        p, json.dumps({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    ),
    "large file": large,
    "no metadata": lambda p: save_file(tensors(), p),
    "no card": lambda p: save_file(tensors(), p, metadata={"format": "1"}),
    "another format": lambda p: write_policy(p, form="99"),
    "deep card": lambda p: write_policy(p, '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"),
    "card is a list": lambda p: write_policy(p, "[1]"),
    "card is no JSON": lambda p: write_policy(p, "{"),
    "card's id": lambda p: write_policy(p, '{"env_id": 3}'),
    "card's samples": lambda p: write_policy(p, '{"samples": "many"}'),
    "no mean": lambda p: write_policy(p, observation_mean=None),
    "no layers": lambda p: save_file(
        {k: v for k, v in tensors().items() if "layer" not in k},
        p,
        metadata={"format": "1", "card": "{}"},
    ),
    "no bias": lambda p: write_policy(p, layer1_bias=None),
    "a layer in between is missing": lambda p: write_policy(p, layer0_weight=None),
    "mean of two dimensions": lambda p: write_policy(p, observation_mean=ones((6, 1), "f4")),
    "std of another length": lambda p: write_policy(p, observation_std=ones(5, "f4")),
    "std of zero": lambda p: write_policy(p, observation_std=np.zeros(6, "f4")),
    "std is negative": lambda p: write_policy(p, observation_std=-ones(6, "f4")),
    "weights of one dimension": lambda p: write_policy(p, layer0_weight=ones(6, "f4")),
    "weights for other inputs": lambda p: write_policy(p, layer0_weight=ones((5, 7), "f4")),
    "layers that do not follow": lambda p: write_policy(p, layer1_weight=ones((2, 4), "f4")),
    "bias of another length": lambda p: write_policy(p, layer0_bias=ones(4, "f4")),
    "whole numbers": lambda p: write_policy(p, layer0_bias=ones(5, "i4")),
    "double precision": lambda p: write_policy(p, layer0_bias=ones(5, "f8")),
    "NaN": lambda p: write_policy(p, layer0_bias=np.full(5, np.nan, "f4")),
    "infinity": lambda p: write_policy(p, observation_mean=np.full(6, np.inf, "f4")),
    "bfloat16": lambda p: raw_policy(
        p,
        json.dumps(
            {
                "__metadata__": {"format": "1", "card": "{}"},
                "a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]},
            }
        ),
        b"\0\0",
    ),
}


@pytest.mark.parametrize("damage", BAD_POLICIES)
def test_a_damaged_policy_is_named(damage, tmp_path):
    path = tmp_path / "bad.safetensors"
    BAD_POLICIES[damage](path)
    with pytest.raises(PolicyError) as caught:
        Policy.load(path)
    message = str(caught.value)
    assert message.startswith(str(path)) and "\n" not in message
    assert len(message) < len(str(path)) + 1000


def test_the_policy_that_the_damaged_ones_are_made_of_is_good(tmp_path):
    write_policy(tmp_path / "good.safetensors")
    policy = Policy.load(tmp_path / "good.safetensors")
    assert policy.predict(np.zeros((3, 6))).shape == (3, 2)


@pytest.mark.parametrize("shape", [(), (5,), (7,), (3, 7), (6, 3), (0,)])
def test_an_observation_of_another_width_is_refused(shape, tmp_path):
    write_policy(tmp_path / "good.safetensors")
    policy = Policy.load(tmp_path / "good.safetensors")
    with pytest.raises(PolicyError) as caught:
        policy.predict(np.zeros(shape))
    assert "sees 6 numbers" in str(caught.value) and str(shape) in str(caught.value)


def test_a_policy_is_not_taken_for_another_ground(sfv):
    flat = shipped_policy_path("SFV-Backflip-v0")
    with pytest.raises(PolicyError, match="does not fit SFV-Backflip-Slopes-v0"):
        load_policy("SFV-Backflip-Slopes-v0", flat)
    for command in ("eval", "render"):
        result = sfv(command, "SFV-Backflip-Slopes-v0", "--policy", str(flat))
        refused(result, "does not fit")


@pytest.mark.parametrize("damage", ["text", "deep card", "weights for other inputs"])
@pytest.mark.parametrize("command", [("eval", "--policy"), ("train", "--init")], ids=str)
def test_a_damaged_policy_is_one_line(damage, command, sfv, tmp_path):
    BAD_POLICIES[damage](tmp_path / "bad.safetensors")
    refused(sfv(command[0], WALK, command[1], "bad.safetensors"), "bad.safetensors: not an sfv_gym")


# --- what was killed while it wrote -----------------------------------------------------------


def test_a_folder_is_rid_of_what_was_left_half_written(tmp_path):
    kept = {".hidden", ".checkpoint.part-notes.zip", "checkpoint.zip", "a.part-abcd1234.zip"}
    for name in kept:
        (tmp_path / name).touch()
    unfinished = []
    for name in ("checkpoint.zip", "lock.json", "no_suffix", "two.dots.npz"):
        writing = atomic_path(tmp_path / name)
        unfinished.append(writing.__enter__())  # a process that is killed does not get further
    with locked_folder(tmp_path, "busy"):
        assert {path.name for path in tmp_path.iterdir()} == {*kept, "lock"}
    assert not any(path.exists() for path in unfinished)


def test_what_happens_in_a_locked_folder_is_not_taken_for_its_lock(tmp_path):
    with pytest.raises(BlockingIOError), locked_folder(tmp_path, "busy"):
        raise BlockingIOError
    with locked_folder(tmp_path, "busy"):
        pass


def test_a_run_put_aside_takes_no_lock_with_it(tmp_path, monkeypatch):
    """Who waited for the lock of a folder that was renamed holds that of the new one."""
    import fcntl

    folder, renamed = tmp_path / "run", []
    real = fcntl.flock

    def flock(file, how):
        real(file, how)
        if not renamed:  # between the opening of the lock and having it
            renamed.append(folder.rename(tmp_path / "aside"))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        locked_folder(folder, "busy"),
        pytest.raises(OutputError, match="busy"),
        locked_folder(folder, "busy"),
    ):
        pass
    with locked_folder(tmp_path / "aside", "busy"):
        pass


def test_a_queue_waits_for_who_is_still_in_a_folder(tmp_path, monkeypatch):
    """A run on an old motion is not put aside under the feet of an earlier queue's worker."""
    from rich.console import Console

    from sfv_gym.jobs import folder as job_folder

    monkeypatch.setattr(job_folder, "WAIT", 0.0)
    folder = tmp_path / WALK
    with locked_folder(folder, ""):
        (folder / "config.json").write_text(json.dumps({"motion_hash": "0" * 16}))
        [result] = train_all([WALK], tmp_path, console=Console(file=io.StringIO()))
    assert result.outcome == "failed" and "another process is training" in result.message
    assert [path.name for path in tmp_path.iterdir()] == [WALK]
