"""Jobs on a Ray cluster."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sfv_gym.errors import ClusterError, MissingExtraError, SettingError
from sfv_gym.files import CACHE_VARIABLE, JSON
from sfv_gym.jobs.job import Closing, Died, Event, Job, Reporter, event_of
from sfv_gym.jobs.worker import environment, heed_signals, log_into, run_job
from sfv_gym.registry import MOTIONS_VARIABLE

PASSED_ON = (MOTIONS_VARIABLE, CACHE_VARIABLE)
"""Variables of this process that a job's has, too."""


class RayExecutor(Closing):
    """A task for each job on a Ray cluster: the one at ``address``, or one on this machine.

    A job's checkpoints lie in its folder: a cluster of several machines needs it on a file system
    that they share.

    Args:
        workers: jobs at once; by default as many as the cluster has room for.
        threads: of each job, for the size of a cluster on this machine.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingError: there is no such cluster.
    """

    def __init__(
        self, workers: int | None = None, address: str | None = None, threads: int = 1
    ) -> None:
        try:
            import ray
            from ray.util.queue import Queue
        except ImportError as error:
            raise MissingExtraError(
                f"--executor ray needs ray, which is not installed ({error}): "
                "pip install 'sfv-gym[ray]'"
            ) from None
        self._ray = ray
        self._ours = not ray.is_initialized()
        self.workers = workers
        if self._ours:
            # without an address Ray would look for a cluster that happens to run here
            options: dict[str, Any] = (
                {"address": address}
                if address
                else {
                    "address": "local",
                    "num_cpus": workers * threads if workers else os.cpu_count(),
                    "include_dashboard": False,
                }
            )
            # Ray's own workers yield to everything else on the machine: learning curves over time
            # would not be comparable with local ones
            os.environ.setdefault("RAY_worker_niceness", "0")
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, **options)
            except Exception as error:  # what Ray raises depends on what is wrong
                raise SettingError(
                    f"there is no Ray cluster at {address or 'this machine'}: "
                    f"{str(error).splitlines()[0] if str(error) else type(error).__name__}"
                ) from None
        self._queue = Queue(actor_options={"num_cpus": 0})
        # A fresh process for each job: nothing of the one before may reach into it. What becomes
        # of a job whose worker has died is for the supervisor to say.
        self._remote = ray.remote(max_calls=1, max_retries=0)(_run_job)
        self._waiting: list[Job] = []
        self._jobs: dict[Any, Job] = {}

    def submit(self, job: Job) -> None:
        """Hand the job to the cluster, or keep it while ``workers`` are at work.

        Raises:
            ClusterError: the cluster is gone.
        """
        self._waiting.append(job)
        with self._reachable():
            self._fill()

    def poll(self, seconds: float) -> list[Event]:
        """What came through the cluster's queue, and who finished or died; hands on more jobs.

        Raises:
            ClusterError: the cluster is gone.
        """
        if not self._jobs:
            time.sleep(seconds)
            return []
        with self._reachable():
            done, _ = self._ray.wait(list(self._jobs), num_returns=1, timeout=seconds)
            events = self._messages()
        for reference in done:
            job = self._jobs.pop(reference)
            try:
                events.append(event_of(job, self._ray.get(reference)))
            except self._ray.exceptions.RayError as error:
                text = str(error).strip().splitlines()
                events.append(Died(job, text[0] if text else type(error).__name__))
        with self._reachable():
            self._fill()
        return events

    def stop(self, seconds: float) -> None:
        """Interrupt jobs that write checkpoints and wait ``seconds`` for them; kill the rest."""
        self._waiting.clear()
        with contextlib.suppress(self._ray.exceptions.RayError):  # nobody is there to be stopped
            for reference, job in self._jobs.items():
                self._ray.cancel(reference, force=not job.checkpoints)
            if self._jobs:
                self._ray.wait(list(self._jobs), num_returns=len(self._jobs), timeout=seconds)
        self.close()

    def close(self) -> None:
        """Kill the jobs, and end the cluster's session if this executor began it."""
        self._waiting.clear()
        with contextlib.suppress(self._ray.exceptions.RayError):
            for reference in self._jobs:
                self._ray.cancel(reference, force=True)
            self._queue.shutdown(force=True)
        self._jobs.clear()
        if self._ours:
            self._ray.shutdown()

    @contextlib.contextmanager
    def _reachable(self) -> Iterator[None]:
        """What Ray raises of itself, not of a job, as one error."""
        try:
            yield
        except self._ray.exceptions.RayError as error:
            text = str(error).strip().splitlines()
            raise ClusterError(
                f"the Ray cluster is gone ({text[0] if text else type(error).__name__}); the same "
                "command goes on from what the jobs have written"
            ) from error

    def _fill(self) -> None:
        while self._waiting and (self.workers is None or len(self._jobs) < self.workers):
            job = self._waiting.pop(0)
            own = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
            remote = self._remote.options(
                num_cpus=job.threads,
                num_gpus=1 if job.gpu else 0,
                runtime_env={"env_vars": {**environment(job.threads), **own}},
            )
            self._jobs[remote.remote(job.to_json(), id(job), self._queue)] = job

    def _messages(self) -> list[Event]:
        jobs = {id(job): job for job in self._jobs.values()}
        count = self._queue.qsize()
        messages = self._queue.get_nowait_batch(count) if count else []
        return [event_of(jobs[key], message) for key, message in messages if key in jobs]


def _run_job(text: str, key: int, queue: Any) -> JSON:
    """The task: the worker's ``main`` with Ray in place of pipes."""
    job = json.loads(text)
    reporter = Reporter(lambda message: queue.put((key, message)))
    heed_signals(job, reporter)
    log_into(Path(job["folder"]))
    return run_job(text, reporter)
