"""From settings to trained weights.

`build` makes networks and optimizers of settings. `trainer` is the step of both updates:
`gradients` computes them, of latents and labels that `noise` draws, `fused_adam` applies them, and
`moving_average` follows; `counts` says how far training is, `replica_means` averages over replicas.
`regularization` and `augmentation` are options of the discriminator.
`keras_model` and `batch_checks` make `trainer.SAGAN` an ordinary Keras model.

`session` is one start of a run, which `resuming` has allowed. `loop` runs the steps until
`stopping` hears a signal: `schedule` says when to log, save and score, `monitor` shows curves and
grids, `grid_checks` and `collapse` watch for runs that go wrong, `score_tracker` keeps the best
checkpoint.

`cost`, `liveness` and `dry_run` estimate a run before it starts.
"""
