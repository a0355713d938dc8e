"""From a run's checkpoint to what other programs load: SavedModels and single files.

`exported_run` restores what a run brings. `folding` computes beforehand what the weights alone
decide, `signatures` says what can be asked, `saved_model` writes a version with its `warmup` and
`model_card`, `lint` looks for what keeps any SavedModel from being served. `file_formats` writes
one file for other programs, by `onnx_format`, `tflite_format`, `keras_format` or `html_format`.
`hub_card` is the card of what is published on the Hugging Face Hub. `comparison` has the images
that all must give.
"""
