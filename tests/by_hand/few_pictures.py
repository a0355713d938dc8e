"""Writes pictures of a data set into folders, some of each class, as a person's own would lie.

python -m tests.by_hand.few_pictures fashion_mnist 200 pictures/few  # for training
python -m tests.by_hand.few_pictures fashion_mnist 1000 pictures/unseen test
python -m tests.by_hand.few_pictures robohash 500 pictures/robots train 64  # of 64 pixels

The pictures are the first of each class in a shuffled order that a fixed seed gives.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from sagan_tf.data import class_counts, load_source
from sagan_tf.data.loading import Loader
from sagan_tf.data.order import shuffled_indices


def write(name, per_class, folder, split="train", size=32):
    """PNG files `folder/<class>/<index>.png` of `size` pixels."""
    source = load_source(name, split=split, image_size=size)
    class_counts(source)  # which reads the labels
    order = shuffled_indices(np.arange(source.num_examples), source.num_examples, seed=0)
    loader = Loader(source, size)
    for label, class_name in enumerate(source.class_names):
        place = Path(folder) / class_name.replace("/", "-")
        place.mkdir(parents=True)
        chosen = order[source.labels[order] == label][:per_class]
        images, _ = loader.finish(loader.start(chosen))
        for index, image in zip(chosen, images, strict=True):
            Image.fromarray(np.squeeze(image)).save(place / f"{index:05}.png")


if __name__ == "__main__":
    name, per_class, folder, *split = sys.argv[1:5]
    write(name, int(per_class), folder, *split, *map(int, sys.argv[5:]))
