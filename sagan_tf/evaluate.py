"""Scores a run on small images by a classifier of the real ones.

python -m sagan_tf.evaluate --workdir=runs/digits
"""

import dataclasses
import os

import numpy as np

from sagan_tf import command
from sagan_tf.command import setting


@dataclasses.dataclass(frozen=True)
class EvaluateSettings:
    """What `python -m sagan_tf.evaluate` can be told."""

    workdir: str = setting("runs/digits", "The directory of a training run.")
    num_images: int = setting(1000, "Generated images, shared out evenly over the classes.")
    num_real: int = setting(5000, "Real images at most.")


def main(settings: EvaluateSettings) -> None:
    """Prints, and adds to the run's scores, how generated images compare with its real ones."""
    from sagan_tf import sampling
    from sagan_tf.data import load_source
    from sagan_tf.data.loading import Loader
    from sagan_tf.data.order import shuffled_indices
    from sagan_tf.evaluation.agreement import label_agreement, relative_spread
    from sagan_tf.workdir import add_score, load_description

    run = load_description(settings.workdir)["settings"]
    generator, step = sampling.restore_generator(settings.workdir)
    if generator.num_classes is None:
        raise ValueError("The run's generator has no classes to agree with.")
    if settings.num_images < 2 * generator.num_classes:
        raise ValueError(
            "`--num_images` must give every class at least two images. Received: "
            f"{settings.num_images} for {generator.num_classes} classes"
        )
    source = load_source(run["dataset"], run["data_dir"], run["split"])
    count = min(settings.num_real, source.num_examples)
    indices = shuffled_indices(np.arange(count), source.num_examples, seed=0)
    loader = Loader(source, run["image_size"])
    real = loader.finish(loader.start(indices))
    labels = np.arange(settings.num_images) % generator.num_classes
    images = np.stack(list(sampling.sample(generator, range(settings.num_images), labels)))
    score = {
        "step": step,
        "num_images": settings.num_images,
        "num_real": len(real[0]),
        "label_agreement": round(label_agreement(*real, images, labels), 3),
        "relative_spread": round(relative_spread(*real, images, labels), 3),
    }
    add_score(settings.workdir, score)
    print(f"{settings.num_images} generated against {len(real[0])} real images, step {step}")
    print(f"label agreement   {score['label_agreement']:.3f}")
    print(f"relative spread   {score['relative_spread']:.3f}")


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    command.run(main, EvaluateSettings)
