"""From settings to trained weights: the step, the loop around it, and what watches it."""
