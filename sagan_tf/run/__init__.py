"""What a run keeps in its workdir: checkpoints, its settings, the identity of its data."""
