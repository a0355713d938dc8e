"""Scores of generated images: images -> features -> statistics -> numbers.

Images: `sides` opens the real images and the images to score, `images` and `image_files` read them
by number, `matching` gives both sides the same class labels, and `file_identity` detects files that
changed.

Features: `extractors` makes an extractor: `inception` (with `inception_network` and
`inception_weights`), `classifier` or `keras_extractor`, all on top of `extractor_base`.
`feature_files` caches their features.

Numbers: `scores` computes all scores with `frechet` (from `moments` or `published_statistics`),
`kernel_distance`, `inception_score` and `manifold` (with `neighbours`). `spread` compares pixels,
`groups` averages over classes, and `yardstick` scores real images against one another.

`evaluation` runs all of this with one of the `protocols`, after `counts` has checked that there are
enough images. `score_lines` and `report` show the result.
"""
