"""Playing environments: policies and other agents, episodes, rollouts, and the evaluation."""
