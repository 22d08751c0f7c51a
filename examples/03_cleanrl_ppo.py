"""PPO in one file, in the manner of CleanRL, as an algorithm for the benchmark.

Run: sfv bench run --suite SFV-Quick --algo examples/03_cleanrl_ppo.py:make_agent --seeds 2
"""

import numpy as np
import torch
from torch import nn
from torch.distributions import Normal


def network(inputs: int, outputs: int, last: float) -> nn.Sequential:
    layers = [nn.Linear(inputs, 256), nn.Linear(256, 128), nn.Linear(128, outputs)]
    for layer, gain in zip(layers, (np.sqrt(2), np.sqrt(2), last), strict=True):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


class PPO:
    num_envs = 256
    length, epochs, minibatches = 16, 6, 4  # control steps of a rollout; passes over it
    rate, gamma, lam, clip, value_weight = 5e-4, 0.97, 0.95, 0.2, 0.5

    def learn(self, env, steps, seed, logdir):
        torch.manual_seed(seed)
        order = np.random.default_rng(seed)
        size, actions = env.single_observation_space.shape[0], env.single_action_space.shape[0]
        self.mean, self.var, self.count = np.zeros(size), np.ones(size), 1e-4
        self.actor, self.critic = network(size, actions, 0.01), network(size, 1, 1.0)
        self.log_std = nn.Parameter(torch.full((actions,), -2.5))
        parameters = [*self.actor.parameters(), *self.critic.parameters(), self.log_std]
        optimizer = torch.optim.Adam(parameters, lr=self.rate, eps=1e-5)

        observation, _ = env.reset(seed=seed)
        rollouts = max(1, -(-steps // (self.length * env.num_envs)))
        for rollout in range(rollouts):
            optimizer.param_groups[0]["lr"] = self.rate * (1 - rollout / rollouts)
            data, observation = self.collect(env, observation)
            for _ in range(self.epochs):
                for part in np.array_split(order.permutation(len(data[0])), self.minibatches):
                    loss = self.loss(*(one[part] for one in data))
                    optimizer.zero_grad()
                    loss.backward()
                    nn.utils.clip_grad_norm_(parameters, 0.5)
                    optimizer.step()

    @torch.no_grad()
    def collect(self, env, observation):
        rows = {key: [] for key in ("x", "action", "log_prob", "value", "reward", "next", "done")}
        for _ in range(self.length):
            self.observe(observation)
            x = self.normalize(observation)
            policy = Normal(self.actor(x), self.log_std.exp())
            action = policy.sample()
            observation, reward, terminated, truncated, info = env.step(action.numpy())
            done = terminated | truncated
            following = np.where(done[:, None], info.get("final_obs", observation), observation)
            # a truncated episode would have gone on: only a terminated one is worth nothing after
            worth = self.critic(self.normalize(following))[:, 0] * torch.tensor(~terminated)
            for key, value in zip(
                rows,
                (x, action, policy.log_prob(action).sum(-1), self.critic(x)[:, 0],
                 torch.tensor(reward, dtype=torch.float32), worth, torch.tensor(done)),
                strict=True,
            ):  # fmt: skip
                rows[key].append(value)
        data = {key: torch.stack(values) for key, values in rows.items()}
        delta = data["reward"] + self.gamma * data["next"] - data["value"]
        advantage, last = torch.zeros_like(delta), torch.zeros(env.num_envs)
        for t in reversed(range(self.length)):
            last = delta[t] + self.gamma * self.lam * ~data["done"][t] * last
            advantage[t] = last
        target = advantage + data["value"]
        return [
            one.flatten(0, 1)
            for one in (data["x"], data["action"], data["log_prob"], advantage, target)
        ], observation

    def loss(self, x, action, log_prob, advantage, target):
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        new = Normal(self.actor(x), self.log_std.exp()).log_prob(action).sum(-1)
        ratio = (new - log_prob).exp()
        clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
        value = (self.critic(x)[:, 0] - target).square().mean()
        return -torch.min(ratio * advantage, clipped * advantage).mean() + self.value_weight * value

    def observe(self, observation):
        """Add (N, D) observations to the running mean and variance."""
        mean, var, count = observation.mean(0), observation.var(0), len(observation)
        total, shift = self.count + count, mean - self.mean
        self.var = self.var * self.count + var * count + shift**2 * self.count * count / total
        self.var /= total
        self.mean, self.count = self.mean + shift * count / total, total

    def normalize(self, observation):
        x = (observation - self.mean) / np.sqrt(self.var + 1e-8)
        return torch.tensor(np.clip(x, -10, 10), dtype=torch.float32)

    @torch.no_grad()
    def predict(self, observations):
        return self.actor(self.normalize(observations)).numpy().clip(-1, 1)


def make_agent():
    return PPO()
