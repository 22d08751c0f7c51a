"""Settings for all tests."""

import os
import signal
from functools import partial

import jaxtyping  # before sfv_gym, which asks whether it is there
import pytest
from array_checks import CHECKED

jaxtyping.install_import_hook(CHECKED, "array_checks.checked")

# A shell's background ignores Ctrl-C, and so would the programs that tests start to interrupt them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two threads of torch beside another busy process spend their time waiting for each other: one is
# faster on a small machine. Set before torch is imported anywhere.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def short_videos(monkeypatch):
    """Benchmark runs in this process draw a tenth of a second: it takes longer than the runs."""
    monkeypatch.setattr("sfv_gym.benchmarks.run.VIDEO_SECONDS", 0.1)


@pytest.fixture
def few_episodes(monkeypatch):
    """Training runs in this process end with few episodes: what they come to is not asked."""
    from sfv_gym.play.by_motion import publish_id

    monkeypatch.setattr("sfv_gym.train.recorder.publish_id", partial(publish_id, episodes=4))
    monkeypatch.setattr("sfv_gym.train.recorder.RUN_OFF_EPISODES", 8)


@pytest.fixture
def sfv(monkeypatch, capsys, tmp_path):
    """Run ``sfv …`` in an empty folder; returns exit code, stdout and stderr."""
    from sfv_gym.cli import main as cli  # here, so that torch sees what is set above

    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["sfv", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return code, captured.out, " ".join(captured.err.split())

    return run
