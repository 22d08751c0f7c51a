"""Stable-Baselines3's PPO with leaner loops: the same algorithm in fewer, larger operations.

What is left out is what a multi-layer perceptron with a Gaussian action does not need: action
distributions as objects, one evaluation of the critic a step and one more for every truncated
episode, figures read back from every minibatch. Callbacks, logger, ``save``, ``load`` and
``VecNormalize`` are Stable-Baselines3's.
"""

from __future__ import annotations

import math
from typing import Any, NotRequired, TypedDict

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.utils import explained_variance
from stable_baselines3.common.vec_env import VecEnv

from sfv_gym.files import JSON

_LOG_SQRT_2PI = 0.5 * math.log(2.0 * math.pi)


class BetweenRollouts(TypedDict):
    """What follows the model, where a checkpoint is written between two rollouts."""

    simulation: dict[str, Any]
    """Fields of a ``SimulationState``, maybe of another version's."""
    observation: Any
    random: np.ndarray
    random_cuda: NotRequired[np.ndarray]


class Extra(TypedDict, total=False):
    """What the trainer wants to find again in a checkpoint."""

    normalization: Any  # a RunningMeanStd of Stable-Baselines3
    starts: dict[str, np.ndarray]
    annealing: JSON | None
    curriculum: JSON
    seconds: float
    next_evaluation: int
    between_rollouts: BetweenRollouts


class LeanPPO(PPO):
    """PPO for ``MlpPolicy`` with separate networks, flat observations and a Gaussian action.

    Args:
        actor_rate: the actor's learning rate as a share of the critic's.

    Attributes:
        learning_rate_now: what the next update uses, in place of a schedule over the samples
            asked for; the trainer sets it.
        critic_only_until: samples up to which updates leave the actor as it is, since the
            critic that would teach it is new.
        stop: set at the start of a rollout, it ends ``learn``.
        extra: what the trainer wants to find again in a checkpoint.
    """

    def __init__(self, *arguments: Any, actor_rate: float = 1.0, **keywords: Any) -> None:
        self.actor_rate = actor_rate
        self.learning_rate_now = 0.0
        self.critic_only_until = 0
        self.stop = False
        self.extra: Extra = {}
        super().__init__(*arguments, **keywords)

    def _setup_model(self) -> None:
        super()._setup_model()
        if self.actor_rate != 1.0:  # with one rate for all, checkpoints have one group
            networks = self.policy.mlp_extractor
            critic = [*networks.value_net.parameters(), *self.policy.value_net.parameters()]
            of_critic = {id(one) for one in critic}
            (group,) = self.policy.optimizer.param_groups
            group["params"] = [one for one in group["params"] if id(one) not in of_critic]
            self.policy.optimizer.add_param_group({**group, "params": critic})

    def _actor(self, observation: torch.Tensor) -> torch.Tensor:
        """Mean actions (B, A) for normalised observations (B, D)."""
        return self.policy.action_net(self.policy.mlp_extractor.policy_net(observation))

    def _critic(self, observation: torch.Tensor) -> torch.Tensor:
        """Values (B,) of normalised observations (B, D)."""
        return self.policy.value_net(self.policy.mlp_extractor.value_net(observation)).flatten()

    def _update_learning_rate(self, optimizers: Any) -> None:
        self.logger.record("train/learning_rate", self.learning_rate_now)
        for group in self.policy.optimizer.param_groups:
            group["lr"] = self.learning_rate_now
        self.policy.optimizer.param_groups[0]["lr"] *= self.actor_rate

    def collect_rollouts(
        self,
        env: VecEnv,
        callback: BaseCallback,
        rollout_buffer: RolloutBuffer,
        n_rollout_steps: int,
    ) -> bool:
        """Fill the buffer; values are computed for the whole of it at the end."""
        assert isinstance(self._last_obs, np.ndarray)
        assert isinstance(self.action_space, spaces.Box)
        buffer, low, high = rollout_buffer, self.action_space.low, self.action_space.high
        observation: np.ndarray = self._last_obs
        buffer.reset()
        self.policy.set_training_mode(False)
        callback.on_rollout_start()
        if self.stop:
            return False
        with torch.inference_mode():
            log_std = self.policy.log_std
            std = log_std.exp()
            constant = float(log_std.sum()) + _LOG_SQRT_2PI * len(log_std)
        cut: list[tuple[int, int]] = []  # step and environment of truncated episodes
        cut_observations: list[np.ndarray] = []
        for step in range(n_rollout_steps):
            with torch.inference_mode():
                mean = self._actor(torch.as_tensor(observation, device=self.device))
                noise = torch.randn_like(mean)
                actions = (mean + std * noise).cpu().numpy()
                log_probs = (-0.5 * noise.square().sum(1) - constant).cpu().numpy()
            new_obs, rewards, dones, infos = env.step(np.clip(actions, low, high))
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                return False
            self._update_info_buffer(infos, dones)
            for i in np.flatnonzero(dones):
                if infos[i]["TimeLimit.truncated"]:
                    cut.append((step, int(i)))
                    cut_observations.append(infos[i]["terminal_observation"])
            buffer.observations[step], buffer.actions[step] = observation, actions
            buffer.rewards[step], buffer.log_probs[step] = rewards, log_probs
            buffer.episode_starts[step] = self._last_episode_starts
            assert isinstance(new_obs, np.ndarray)
            observation = self._last_obs = new_obs
            self._last_episode_starts = dones

        buffer.pos, buffer.full = n_rollout_steps, True
        seen = buffer.observations.reshape(-1, *buffer.obs_shape)
        asked = [seen, observation]
        if cut:
            asked.append(np.stack(cut_observations))
        with torch.inference_mode():
            values = self._critic(torch.as_tensor(np.concatenate(asked), device=self.device)).cpu()
        buffer.values[:] = values[: len(seen)].numpy().reshape(buffer.values.shape)
        last = values[len(seen) : len(seen) + env.num_envs].clone()
        if cut:  # an episode that was only cut off would have gone on
            step_of, env_of = np.array(cut).T
            buffer.rewards[step_of, env_of] += self.gamma * values[-len(cut) :].numpy()
        buffer.compute_returns_and_advantage(last_values=last, dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """One update: ``n_epochs`` passes over the buffer in shuffled minibatches."""
        self.policy.set_training_mode(True)
        self._update_learning_rate(self.policy.optimizer)
        clip_range = self.clip_range(self._current_progress_remaining)  # type: ignore[operator]
        buffer = self.rollout_buffer

        def flat(array: np.ndarray) -> torch.Tensor:
            joined = array.reshape(-1, array.shape[2]) if array.ndim == 3 else array.reshape(-1)
            return torch.as_tensor(joined, device=self.device)

        observations, actions = flat(buffer.observations), flat(buffer.actions)
        old_log_probs, advantages = flat(buffer.log_probs), flat(buffer.advantages)
        returns = flat(buffer.returns)
        policy, optimizer = self.policy, self.policy.optimizer
        parameters = list(policy.parameters())
        count, critic_only = len(observations), self.num_timesteps <= self.critic_only_until
        figures: list[torch.Tensor] = []  # of the last epoch's minibatches
        for epoch in range(self.n_epochs):
            order = torch.randperm(count, device=self.device)
            for start in range(0, count, self.batch_size):
                chosen = order[start : start + self.batch_size]
                observation, advantage = observations[chosen], advantages[chosen]
                if len(chosen) > 1:
                    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
                log_std = policy.log_std
                z = (actions[chosen] - self._actor(observation)) * torch.exp(-log_std)
                entropy = log_std.sum() + _LOG_SQRT_2PI * len(log_std)  # less a constant
                log_ratio = -0.5 * z.square().sum(1) - entropy - old_log_probs[chosen]
                ratio = torch.exp(log_ratio)
                clipped = torch.clamp(ratio, 1.0 - clip_range, 1.0 + clip_range)
                policy_loss = -torch.min(advantage * ratio, advantage * clipped).mean()
                value_loss = (returns[chosen] - self._critic(observation)).square().mean()
                loss = self.vf_coef * value_loss
                if not critic_only:
                    loss = loss + policy_loss - self.ent_coef * entropy
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, self.max_grad_norm)
                optimizer.step()
                if epoch == self.n_epochs - 1:
                    with torch.no_grad():
                        kl = (ratio - 1.0 - log_ratio).mean()
                        share = ((ratio - 1.0).abs() > clip_range).float().mean()
                        figures.append(torch.stack((policy_loss, value_loss, kl, share)))
        self._n_updates += self.n_epochs
        names = ("policy_gradient_loss", "value_loss", "approx_kl", "clip_fraction")
        for name, value in zip(names, torch.stack(figures).mean(0).tolist(), strict=True):
            self.logger.record(f"train/{name}", value)
        variance = explained_variance(buffer.values.flatten(), buffer.returns.flatten())
        self.logger.record("train/explained_variance", variance)
        self.logger.record("train/std", float(policy.log_std.detach().exp().mean()))
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
