"""From settings to trained weights.

`build` makes networks and optimizers of settings, `trainer` is the step of both updates
(`fused_adam` updates, `regularization` and `augmentation` are options), and `loop` runs it:
`schedule` says when to log, save and score, `monitor` shows curves and grids, `grid_checks` and
`collapse` watch for runs gone wrong, `score_tracker` keeps the best checkpoint. `cost`,
`liveness` and `dry_run` estimate a run before it starts; `resuming` decides whether a workdir may
be continued. `keras_model` and `batch_checks` are what `SAGAN` needs to be an ordinary Keras
model.
"""
