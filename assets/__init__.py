"""Files that ship: characters as MJCF, sample clips, trained policies with their model cards."""
