"""Algorithms by somebody else, for the benchmark's tests: one that learns, and ones that break."""

import os
import signal
import time
from pathlib import Path

import numpy as np


class Climber:
    """Hill climbing on a constant action; thirty lines are enough for an algorithm."""

    num_envs = 8

    def __init__(self) -> None:
        self.best, self.done = np.zeros(28), 0

    def resume(self, logdir: Path) -> int:
        if (logdir / "best.npy").is_file():
            saved = np.load(logdir / "best.npy")
            self.best, self.done = saved[:-1], int(saved[-1])
        return self.done

    def learn(self, env, steps, seed, logdir) -> None:
        rng = np.random.default_rng(seed + self.done)
        env.reset(seed=seed + self.done)
        top = -np.inf
        while self.done < steps:
            tried = self.best + rng.normal(0, 0.02, 28)
            total = 0.0
            for _ in range(16):
                total += env.step(np.tile(tried, (env.num_envs, 1)))[1].sum()
                self.done += env.num_envs
            if total > top:
                top, self.best = total, tried
            np.save(logdir / "best.npy", [*self.best, self.done])

    def predict(self, observations):
        return np.tile(self.best, (len(observations), 1))


def make_agent():
    return Climber()


class Slow(Climber):
    """Leaves time to be killed."""

    def learn(self, env, steps, seed, logdir) -> None:
        for part in range(self.done + 128, steps + 1, 128):
            super().learn(env, part, seed, logdir)
            time.sleep(0.1)


def make_slow():
    return Slow()


class Mortal(Climber):
    """Its process is killed halfway through, the first time."""

    def learn(self, env, steps, seed, logdir) -> None:
        super().learn(env, steps // 2, seed, logdir)
        if not (logdir / "died").exists():
            (logdir / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        super().learn(env, steps, seed, logdir)


def make_mortal():
    return Mortal()


class Broken(Climber):
    """Does what ``how`` says, at its first step or when it is asked to predict."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def resume(self, logdir: Path) -> int:
        return 0

    def learn(self, env, steps, seed, logdir) -> None:
        if self.how == "raises":
            raise ZeroDivisionError("the gradient is gone")
        if self.how == "disk":
            raise OSError(28, "No space left on device")
        env.reset(seed=seed)
        if self.how == "nan":
            env.step(np.full((env.num_envs, 28), np.nan))
        if self.how == "shape":
            env.step(np.zeros((env.num_envs, 27)))
        while self.how == "endless":
            env.step(np.zeros((env.num_envs, 28)))

    def predict(self, observations):
        if self.how == "predicts_nan":
            return np.full((len(observations), 28), np.nan)
        if self.how == "predicts_one":
            return np.zeros(28)
        return super().predict(observations)


def make_raises():
    return Broken("raises")


def make_nan():
    return Broken("nan")


def make_shape():
    return Broken("shape")


def make_endless():
    return Broken("endless")


def make_disk():
    return Broken("disk")


def make_predicts_nan():
    return Broken("predicts_nan")


def make_predicts_one():
    return Broken("predicts_one")


def make_nothing():
    return object()


no_function = 3
