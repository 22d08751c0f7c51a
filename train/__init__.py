"""Training policies with Stable-Baselines3 on the batched environments."""
