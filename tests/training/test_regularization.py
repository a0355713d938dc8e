import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import losses
from sagan_tf.models import Discriminator, Generator
from sagan_tf.run.checkpoint import Checkpoints
from sagan_tf.training.regularization import Regularization
from sagan_tf.training.trainer import SAGAN
from tests.support.small_sagan import (
    NETWORK,
    assert_replicas_agree,
    make_sagan,
    sgd,
    snapshot,
)

EVERYTHING = {
    "policies": ("color", "translation", "cutout"),
    "adaptive": True,
    "target": 0.1,
    "ramp_images": 32,
    "consistency_weight": 2.0,
    "lecam_weight": 0.5,
    "r1_weight": 0.3,
    "r1_interval": 2,
}


class Linear(keras.Model):
    """A discriminator without labels."""

    def build(self, shape):
        self.dense = keras.layers.Dense(1)
        self.dense.build((None, 256))

    def call(self, images, labels=None, training=False):
        return self.dense(keras.ops.reshape(images, (-1, 256)))


def everything(optimizer=sgd, **kwargs):
    regularization = Regularization(**EVERYTHING)
    weights = np.arange(1, 11)
    return make_sagan(optimizer, regularization=regularization, label_weights=weights, **kwargs)


def test_losses_by_hand():
    real, fake = np.array([[1.0], [3.0]]), np.array([[-2.0], [0.0]])
    assert float(losses.consistency_loss(real, fake)) == 9
    # (1 + 0.5)^2 and (3 + 0.5)^2; (2 + 2)^2 and 2^2.
    assert float(losses.lecam_loss(real, fake, 2.0, -0.5)) == (2.25 + 12.25) / 2 + (16 + 4) / 2
    # Logits on the wrong side of the anchor are left alone.
    assert float(losses.lecam_loss(real, fake, -3.0, 4.0)) == 0
    gradients = np.ones((2, 2, 2, 1))
    gradients[1] = 2
    assert float(losses.r1_penalty(gradients)) == (4 + 16) / 2 / 2


def test_by_default_nothing_is_regularized(data):
    plain, default = make_sagan(sgd), make_sagan(sgd, regularization=Regularization())
    assert not default.regularization.variables
    assert default.noise.of_replica(0, 0, 8)[2] is None
    plain.train_step(data)
    default.train_step(data)
    for left, right in zip(plain.variables, default.variables, strict=True):
        np.testing.assert_array_equal(left, right)


def test_both_networks_see_augmented_images(data, monkeypatch):
    sagan = make_sagan(sgd, regularization=Regularization(("translation",)))
    seen = []
    call = sagan.discriminator.call

    def noted(images, labels, training):
        seen.append(images.numpy())
        return call(images, labels, training)

    monkeypatch.setattr(sagan.discriminator, "call", noted)
    sagan.train_step(data)
    both, fakes = seen
    uniforms = sagan.noise.of_replica(tf.constant(0, tf.int64), 0, 8)[2]
    real = sagan.regularization.augmented(data[0], uniforms, 0)
    np.testing.assert_array_equal(both[:8], real)
    assert not np.allclose(both[:8], data[0])
    for images in (both, fakes):  # some have a border of zeros
        assert (images[:, 0] == 0).all(axis=(1, 2)).any()


def test_uniforms_differ_by_update_view_and_number():
    sagan = make_sagan(regularization=Regularization(("color",)))
    uniforms = np.array(sagan.noise.uniforms(3, 1, 64))
    assert uniforms.shape == (64, 3, 4)
    assert len(np.unique(uniforms)) > 0.99 * uniforms.size
    np.testing.assert_array_equal(uniforms[:7], sagan.noise.uniforms(3, 1, 7))
    assert not np.isin(uniforms, np.array(sagan.noise.uniforms(3, 0, 64))).all()


def test_r1_of_a_linear_discriminator_is_half_its_squared_weight():
    """Logit w.x: the gradient by the image is w, so the penalty's gradient by w is w."""
    discriminator = Linear()
    discriminator.build((None, 16, 16, 1))
    generator = Generator(**{**NETWORK, "num_classes": None})
    sagan = SAGAN(generator, discriminator, regularization=Regularization(r1_weight=3.0))
    sagan.compile(sgd("generator_optimizer"), sgd("discriminator_optimizer"))
    images = tf.random.normal((4, 16, 16, 1))
    kernel, bias = sagan.gradients.of_part["r1"](True, images, None, None)[0]
    np.testing.assert_allclose(kernel, 3 * discriminator.dense.kernel, rtol=1e-5)
    np.testing.assert_array_equal(bias, 0)


def test_r1_comes_in_one_of_so_many_updates(data):
    gradients = [tf.zeros(v.shape) for v in make_sagan().discriminator.trainable_variables]
    sagan = make_sagan(sgd, regularization=Regularization(r1_weight=1.0, r1_interval=3))
    added = []
    for update in range(4):
        batch = (*data, None)
        added.append(sagan.gradients.with_r1(tf.constant(update), gradients, batch))
    sums = [sum(float(tf.reduce_sum(tf.abs(g))) for g in some) for some in added]
    assert sums[1] == sums[2] == 0
    assert sums[0] == sums[3] > 0
    # As much stronger as it is rarer.
    always = make_sagan(sgd, regularization=Regularization(r1_weight=1.0, r1_interval=1))
    for rare, often in zip(added[0], always.gradients.with_r1(0, gradients, batch), strict=True):
        np.testing.assert_allclose(rare, 3 * often, rtol=1e-5, atol=1e-9)


def test_anchors_are_a_plain_mean_first_and_then_decay():
    regularization = Regularization(lecam_weight=1.0)
    logs = {"real_logits": tf.constant(2.0), "fake_logits": tf.constant(-4.0)}
    regularization.update(logs, 1, 8)
    np.testing.assert_array_equal(regularization.anchors, [2, -4])
    logs = {"real_logits": tf.constant(4.0), "fake_logits": tf.constant(0.0)}
    regularization.update(logs, 2, 8)
    np.testing.assert_array_equal(regularization.anchors, [3, -2])
    regularization.update(logs, 1000, 8)
    np.testing.assert_allclose(regularization.anchors, [3.01, -1.98], rtol=1e-6)


def test_the_probability_follows_the_sign():
    regularization = Regularization(("color",), adaptive=True, target=0.6, ramp_images=80)
    for sign, expected in ((0.7, 0.1), (1.0, 0.2), (0.5, 0.1), (0.0, 0.0), (-1.0, 0.0)):
        logs = regularization.update({"real_logits_sign": tf.constant(sign)}, 1, 8)
        assert float(logs["augment_probability"]) == pytest.approx(expected, abs=1e-6)
    for _ in range(12):
        regularization.update({"real_logits_sign": tf.constant(0.9)}, 1, 8)
    assert float(regularization.probability.value) == 1


def test_labels_follow_their_weights():
    weights = [8, 0, 1, 0, 0, 0, 0, 0, 0, 1]
    sagan = make_sagan(label_weights=weights)
    labels = np.array(sagan.noise.latents_and_labels(0, 0, 10_000)[1])
    counts = np.bincount(labels, minlength=10)
    assert not counts[[1, 3, 4, 5, 6, 7, 8]].any()
    assert abs(counts[0] - 8000) < 5 * 40  # five standard deviations
    np.testing.assert_array_equal(sagan.noise.latents_and_labels(0, 0, 7)[1], labels[:7])


def test_everything_on_two_replicas_equals_one(data, two_replicas):
    def train(strategy):
        replicas = strategy.num_replicas_in_sync
        with strategy.scope():
            sagan = everything(sync_batch_norm=True, ema_half_life=40, d_steps=1)

        def step():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            count = 8 // replicas
            rows = slice(index * count, (index + 1) * count)
            return sagan.train_step((data[0][rows], data[1][rows]))

        for _ in range(3):
            logs = strategy.run(step)  # tracing takes longer
        return sagan, {k: strategy.reduce("MEAN", v, axis=None) for k, v in logs.items()}

    one, one_logs = train(tf.distribute.get_strategy())
    two, two_logs = train(two_replicas)
    assert_replicas_agree(two)
    assert set(one_logs) == set(one.scalars)
    for name, value in one_logs.items():
        np.testing.assert_allclose(two_logs[name], value, rtol=2e-5, atol=1e-6, err_msg=name)
    for network in ("generator", "discriminator", "ema_generator", "regularization"):
        expected, actual = snapshot(getattr(one, network)), snapshot(getattr(two, network))
        largest = max(np.max(np.abs(value)) for value in expected.values())
        for path in expected:
            assert np.max(np.abs(actual[path] - expected[path])) <= 2e-6 * largest, path


def test_accumulated_gradients_with_everything_equal_those_of_the_whole_batch(data):
    whole, parts = everything(), everything(gradient_accumulation=4)
    for sagan in (whole, parts):
        sagan.regularization.anchors.assign([1.0, -1.0])
        frozen = sagan.generator.call
        sagan.generator.call = lambda z, y, training, frozen=frozen: frozen(z, y, training=False)
    noise = whole.noise.of_replica(0, 0, 8)

    def gradients(sagan):
        return sagan.gradients.of_discriminator(0, *data, *noise)

    (expected, expected_logs), (actual, logs) = gradients(whole), gradients(parts)
    largest = max(np.max(np.abs(gradient)) for gradient in expected)
    for left, right in zip(actual, expected, strict=True):
        assert np.max(np.abs(left - right)) <= 2e-6 * largest
    for name, value in expected_logs.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)


def test_xla_computes_the_same_with_everything(data):
    plain, compiled = everything(), everything(xla=True)
    for sagan in (plain, compiled):
        sagan.regularization.anchors.assign([1.0, -1.0])
        sagan.regularization.probability.assign(0.5)
    noise = plain.noise.of_replica(0, 0, 8)
    for name, batch in {
        "discriminator": (*data, *noise),
        "generator": noise,
        "r1": (*data, noise[-1]),
    }.items():
        expected, _ = plain.gradients.of_part[name](True, *batch)
        actual, _ = compiled.gradients.of_part[name](True, *batch)
        largest = max(np.max(np.abs(gradient)) for gradient in expected)
        for left, right in zip(actual, expected, strict=True):
            assert np.max(np.abs(left - right)) <= 1e-5 * largest


def test_a_resumed_run_with_everything_is_bitwise_equal(data, tmp_path):
    def checkpoints(sagan):
        owners = (sagan, sagan.generator_optimizer, sagan.discriminator_optimizer)
        return Checkpoints(tmp_path, owners)

    whole = everything(ema_half_life=40)
    whole.train_step(data)  # tracing takes longer
    checkpoints(whole).save(1)
    whole.train_step(data)
    resumed = everything(ema_half_life=40)
    checkpoints(resumed).restore_newest()
    resumed.train_step(data)
    assert any("anchors" in variable.path for variable in whole.variables)
    for left, right in zip(whole.variables, resumed.variables, strict=True):
        np.testing.assert_array_equal(left, right, err_msg=left.path)


def test_mixed_bfloat16_with_everything(data):
    keras.utils.set_random_seed(1)
    networks = [
        network(**NETWORK, dtype="mixed_bfloat16") for network in (Generator, Discriminator)
    ]
    sagan = SAGAN(*networks, regularization=Regularization(**EVERYTHING))
    sagan.compile(sgd("generator_optimizer"), sgd("discriminator_optimizer"))
    logs = sagan.train_step(data)
    assert all(np.isfinite(value) and value.dtype == tf.float32 for value in logs.values())


def test_r1_refuses_attention_in_chunks():
    networks = Generator(**NETWORK), Discriminator(**NETWORK, query_chunk_size=8)
    with pytest.raises(ValueError, match=r"second derivatives\. Received: query_chunk_size=8"):
        SAGAN(*networks, regularization=Regularization(r1_weight=1.0))


def test_half_life_in_images(data):
    """Eight images a step and a half-life of eight: each step counts half."""
    sagan = make_sagan(ema_half_life=8, ema_ramp=0)
    before = [variable.numpy() for variable in sagan.ema_generator.trainable_variables]
    sagan.train_step(data)
    averages, weights = sagan.ema_generator.trainable_variables, sagan.generator.trainable_variables
    for average, weight, old in zip(averages, weights, before, strict=True):
        np.testing.assert_allclose(average, (old + weight.numpy()) / 2, rtol=1e-5, atol=1e-7)
    # A tenth of 24 images seen, so 2.4 of them; not yet eight.
    ramped = make_sagan(ema_half_life=8, ema_ramp=0.1)
    assert float(ramped._average.decay(3, 8)) == pytest.approx(0.5 ** (8 / 2.4))
    assert float(ramped._average.decay(300, 8)) == pytest.approx(0.5)


def test_frozen_blocks_keep_their_weights(data):
    sagan = make_sagan()
    discriminator = Discriminator(**NETWORK)
    discriminator.build()
    discriminator.freeze(2)
    sagan = SAGAN(Generator(latent_dim=8, **NETWORK), discriminator)
    sagan.compile(sgd("generator_optimizer"), sgd("discriminator_optimizer"))
    before = snapshot(discriminator)
    sagan.train_step(data)
    moved = {
        path.split("/")[1]
        for path, value in snapshot(discriminator).items()
        if path.endswith(("kernel", "bias", "embeddings"))
        and not np.array_equal(value, before[path])
    }
    # Inside the margin, real and fake push the logit apart equally.
    assert moved - {"logit"} == {"block_2_4x4", "embedding"}
    with pytest.raises(ValueError, match="must be in 0-3, the discriminator's blocks"):
        discriminator.freeze(4)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"policies": ("blur",)}, "`augment` must name some of"),
        ({"lecam_weight": -1.0}, "`lecam_weight` must be at least 0"),
        ({"r1_weight": float("nan")}, "`r1_weight` must be at least 0"),
        ({"r1_interval": 0}, "must be positive"),
        ({"adaptive": True}, "`adaptive` needs `policies`"),
    ],
)
def test_errors(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Regularization(**kwargs)


def test_label_weights_must_fit():
    for weights in ([1, 2], [-1] * 10, [0] * 10):
        with pytest.raises(ValueError, match="`label_weights` must be 10 numbers"):
            make_sagan(label_weights=weights)
    with pytest.raises(ValueError, match="Only one of `ema_decay` and `ema_half_life`"):
        make_sagan(ema_decay=0.9, ema_half_life=100)
