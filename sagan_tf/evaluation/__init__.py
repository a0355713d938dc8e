"""Scores of generated images: images -> features -> statistics -> numbers.

What is compared: `sides` finds both sides by their places, `images` and `image_files` number the
images, `matching` gives them the same classes, `file_identity` tells files that changed.

Features: `extractors` chooses among `inception` (`inception_network`, `inception_weights`),
`classifier` and `keras_extractor`, which share `extractor_base`; `feature_files` keeps what they
give.

Numbers: `scores` asks `frechet` (of `moments`, or of `published_statistics`), `kernel_distance`,
`inception_score` and `manifold` (of `neighbours`); `spread` compares pixels, `groups` averages
classes, and `yardstick` scores real images against one another.

`evaluation` runs all of it by a protocol of `protocols`, once `counts` finds images enough.
`score_lines` and `report` show the result.
"""
