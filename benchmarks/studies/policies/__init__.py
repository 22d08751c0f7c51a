"""Every shipped policy by the evaluation protocol, beside the paper's figures: page and cards."""
