import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.data import batches, load_source
from sagan_tf.layers import ConditionalBatchNormalization
from sagan_tf.layers.spectral_norm import SpectralNormalization
from sagan_tf.models import Discriminator, Generator
from sagan_tf.training.cost import exchanged_bytes
from sagan_tf.training.replica_means import average_moving_statistics
from sagan_tf.training.trainer import SAGAN
from tests.support.kernels import ROWS_ARE_INDEPENDENT
from tests.support.small_sagan import (
    NETWORK,
    assert_close,
    assert_replicas_agree,
    make_sagan,
    sgd,
    snapshot,
)


def test_one_step_moves_what_it_should_and_nothing_else(data):
    sagan = make_sagan()
    before = {**snapshot(sagan.generator), **snapshot(sagan.discriminator)}
    logs = sagan.train_step(data)
    after = {**snapshot(sagan.generator), **snapshot(sagan.discriminator)}

    still = {path for path in before if np.array_equal(before[path], after[path])}
    # The gates are zero, so the convolutions behind them have no gradient yet.
    unmoved = {path for path in before if "attention" in path and path.endswith("kernel")}
    # Inside the margin, real and fake push the bias apart equally; a unit vector of one entry.
    unmoved |= {"discriminator/logit/bias", "discriminator/block_0_8x8/shortcut/vector_v"}
    assert still <= unmoved
    assert set(logs) == {"generator_loss", "discriminator_loss", "real_logits", "fake_logits"}
    assert all(np.isfinite(value) for value in logs.values())


def test_singular_vectors_move_once_per_update_and_statistics_twice_per_step(data, monkeypatch):
    moves = {"generator": 0, "discriminator": 0}
    singular_value = SpectralNormalization.singular_value

    def counted(layer, training=False):
        if layer.path in ("generator/dense", "discriminator/logit"):
            moves[layer.path.split("/")[0]] += bool(training)
        return singular_value(layer, training)

    monkeypatch.setattr(SpectralNormalization, "singular_value", counted)
    sagan = make_sagan()
    norm = sagan.generator.output_norm
    seen = []
    move = ConditionalBatchNormalization._move

    def noted(layer, statistic, value):
        if statistic is norm.moving_mean:
            seen.append(np.array(value))
        move(layer, statistic, value)

    monkeypatch.setattr(ConditionalBatchNormalization, "_move", noted)
    sagan.train_step(data)
    # The generator runs in the discriminator's update and in its own, as in the released code.
    assert moves == {"generator": 2, "discriminator": 1}
    momentum = norm.momentum
    expected = (1 - momentum) * (momentum * seen[0] + seen[1])
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-4, atol=1e-7)


def test_effective_decay_per_step_is_that_of_the_released_code():
    # 4 towers x 2 updates per iteration of 0.999 (blocks) and 0.9999 (last norm).
    generator = Generator(**NETWORK)
    assert generator.stages[0].norm_0.momentum ** 2 == pytest.approx(0.999**8)
    assert generator.output_norm.momentum**2 == pytest.approx(0.9999**8)


def test_noise_is_a_function_of_seed_step_and_update():
    sagan = make_sagan()
    latents, _ = sagan.noise.latents_and_labels(3, 1, 64)
    again, _ = sagan.noise.latents_and_labels(tf.constant(3), 1, 64)
    np.testing.assert_array_equal(latents, again)
    for other in ((4, 1), (3, 0)):
        assert not np.allclose(latents, sagan.noise.latents_and_labels(*other, 64)[0])
    # An image's noise does not depend on how many there are.
    np.testing.assert_array_equal(sagan.noise.latents_and_labels(3, 1, 7)[0], latents[:7])
    assert set(np.unique(sagan.noise.latents_and_labels(3, 1, 1000)[1])) == set(range(10))
    assert make_sagan(seed=1).noise.latents_and_labels(3, 1, 64)[0][0, 0] != latents[0, 0]


def test_two_replicas_against_one(two_replicas):
    """In float64 where float32 kernels are too coarse for it; some variables stay float32 there."""
    dtype, bound = ("float32", 1e-6) if ROWS_ARE_INDEPENDENT else ("float64", 2.4e-7)
    source = load_source("digits")

    def train(strategy, steps=2):
        replicas = strategy.num_replicas_in_sync
        with strategy.scope():
            sagan = make_sagan(sgd, sync_batch_norm=True, ema_decay=0.5, d_steps=2, dtype=dtype)
        dataset = strategy.distribute_datasets_from_function(
            lambda context: batches(
                source,
                image_size=16,
                seed=0,
                start_step=0,
                global_batch_size=8,
                batches_per_step=2,
                num_replicas=replicas,
            )
        )
        iterator = iter(dataset)
        logs = []
        for _ in range(steps):
            result = strategy.run(sagan.train_step, (next(iterator),))  # tracing takes longer
            logs.append({k: strategy.reduce("MEAN", v, axis=None) for k, v in result.items()})
        return sagan, logs

    two, two_logs = train(two_replicas)
    assert_replicas_agree(two)
    one, one_logs = train(tf.distribute.get_strategy())
    for left, right in zip(one_logs, two_logs, strict=True):
        largest = max(abs(float(value)) for value in left.values())
        for name in left:
            assert abs(float(right[name]) - float(left[name])) <= 1e-6 * largest
    networks = ("generator", "discriminator", "ema_generator")
    for network in networks:
        expected, actual = snapshot(getattr(one, network)), snapshot(getattr(two, network))
        largest = max(np.max(np.abs(value)) for value in expected.values())
        for path in expected:
            difference = np.max(np.abs(actual[path] - expected[path]))
            assert difference <= bound * largest, path


def test_gradients_on_two_replicas_equal_those_on_one(data, two_replicas):
    """In float64, of which images alone are rounded: sums of halves round otherwise than wholes."""

    def gradients(strategy):
        replicas = strategy.num_replicas_in_sync
        with strategy.scope():
            sagan = make_sagan(sgd, sync_batch_norm=True, dtype="float64")

        def replica_gradients():
            context = tf.distribute.get_replica_context()
            count = 8 // replicas
            rows = slice(
                context.replica_id_in_sync_group * count,
                (context.replica_id_in_sync_group + 1) * count,
            )
            noise = sagan.noise.of_replica(0, 0, count)
            real = (data[0][rows], data[1][rows])
            d_gradients, _ = sagan.gradients.of_part["discriminator"](True, *real, *noise)
            g_gradients, _ = sagan.gradients.of_part["generator"](True, *noise)
            return context.all_reduce("SUM", [*d_gradients, *g_gradients])

        result = tf.function(lambda: strategy.run(replica_gradients))()
        return [strategy.experimental_local_results(value)[0].numpy() for value in result]

    one = gradients(tf.distribute.get_strategy())
    two = gradients(two_replicas)
    largest = max(np.max(np.abs(gradient)) for gradient in one)
    for left, right in zip(one, two, strict=True):
        assert np.max(np.abs(left - right)) <= 5e-7 * largest


def test_without_exchange_moving_statistics_are_the_replicas_mean(two_replicas):
    with two_replicas.scope():
        sagan = make_sagan(sgd)
    norm = sagan.generator.output_norm

    def differ_then_agree():
        replica = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, "float32")
        norm.moving_mean.assign(tf.fill(norm.moving_mean.shape, 1 + 2 * replica))
        average_moving_statistics(sagan.generator)

    tf.function(lambda: two_replicas.run(differ_then_agree))()
    for value in norm.moving_mean.value.values:
        np.testing.assert_array_equal(value, 2.0)


def test_accumulated_discriminator_gradients_equal_those_of_the_whole_batch(data):
    # Batch statistics are each part's own, so the generator is given none to compute.
    whole, parts = make_sagan(sgd), make_sagan(sgd, gradient_accumulation=4)
    for sagan in (whole, parts):
        frozen = sagan.generator.call
        sagan.generator.call = lambda z, y, training, frozen=frozen: frozen(z, y, training=False)
    noise = whole.noise.of_replica(0, 0, 8)
    expected, expected_logs = whole.gradients.of_discriminator(0, *data, *noise)
    actual, logs = parts.gradients.of_discriminator(0, *data, *noise)
    largest = max(np.max(np.abs(gradient)) for gradient in expected)
    for left, right in zip(actual, expected, strict=True):
        assert np.max(np.abs(left - right)) <= 1e-6 * largest
    for name, value in expected_logs.items():
        assert_close(logs[name], value, 2e-6)
    np.testing.assert_array_equal(
        parts.discriminator.logit.vector_u, whole.discriminator.logit.vector_u
    )


def test_xla_computes_the_same_gradients(data):
    plain, compiled = make_sagan(sgd), make_sagan(sgd, xla=True)
    noise = plain.noise.of_replica(0, 0, 8)
    for name, batch in {
        "discriminator": (*data, *noise),
        "generator": noise,
    }.items():
        expected, _ = plain.gradients.of_part[name](True, *batch)
        actual, _ = compiled.gradients.of_part[name](True, *batch)
        largest = max(np.max(np.abs(gradient)) for gradient in expected)
        for left, right in zip(actual, expected, strict=True):
            assert np.max(np.abs(left - right)) <= 1e-5 * largest


def test_average_starts_as_a_copy_then_follows(data):
    sagan = make_sagan(ema_decay=0.75, ema_start_step=2)  # as BigGAN-PyTorch counts, from 1
    sagan.train_step(data)
    averages = sagan.ema_generator.trainable_variables
    trainable = sagan.generator.trainable_variables
    first = [variable.numpy() for variable in trainable]
    for average, weight in zip(averages, first, strict=True):
        np.testing.assert_array_equal(average, weight)
    sagan.train_step(data)
    for average, variable, before in zip(averages, trainable, first, strict=True):
        expected = 0.75 * before + 0.25 * variable.numpy()
        np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-7)


def test_averaged_generator_gets_statistics_of_its_own(data):
    sagan = make_sagan(ema_decay=0.5)
    sagan.train_step(data)
    generator = sagan.sampling_generator()
    assert generator is sagan.ema_generator
    statistics = snapshot(generator)
    again = snapshot(sagan.sampling_generator())
    for name, value in statistics.items():
        np.testing.assert_array_equal(again[name], value, err_msg=name)
    norm = generator.output_norm
    assert norm.momentum == pytest.approx(0.9999**4)
    latents, labels = sagan.noise.latents_and_labels(-1, 0, 64)
    generated = np.array(generator(latents, labels))
    batchwise = np.array(generator(latents, labels, training=True))
    assert np.mean(np.abs(generated - batchwise)) < 0.05
    sagan.train_step(data)
    sagan.sampling_generator()
    assert not np.array_equal(norm.moving_mean, statistics["ema_generator/output_norm/moving_mean"])


def test_fit_on_one_device_and_on_two_replicas(data, two_replicas):
    for strategy, d_steps in ((tf.distribute.get_strategy(), 2), (two_replicas, 1)):
        with strategy.scope():
            sagan = make_sagan(d_steps=d_steps, ema_decay=0.5)
        dataset = tf.data.Dataset.from_tensors(data).repeat(3)
        if strategy is two_replicas:
            dataset = dataset.unbatch().batch(8, drop_remainder=True)
        history = sagan.fit(dataset, steps_per_epoch=3, shuffle=False, verbose=0)
        assert np.isfinite(history.history["discriminator_loss"]).all()
        assert sagan.generator_optimizer.iterations.numpy() == 3
        assert sagan.discriminator_optimizer.iterations.numpy() == 3 * d_steps
    # Their batches differed, and with them each replica's batch statistics.
    assert_replicas_agree(sagan)


def test_unconditional_ignores_the_labels(data):
    sagan = make_sagan(num_classes=None)
    assert np.isfinite(sagan.train_step(data)["generator_loss"])


def test_errors(two_replicas):
    networks = Generator(**NETWORK), Discriminator(**NETWORK)
    with pytest.raises(ValueError, match="`d_steps` must be a positive integer"):
        SAGAN(*networks, d_steps=0)
    with pytest.raises(ValueError, match=r"`ema_decay` must be in \[0, 1\)"):
        SAGAN(*networks, ema_decay=1.0)
    with two_replicas.scope(), pytest.raises(ValueError, match="`xla` cannot be combined"):
        make_sagan(xla=True, sync_batch_norm=True)


def test_replicas_exchange_what_the_cost_says(data, two_replicas, monkeypatch):
    exchanged = []
    all_reduce = tf.distribute.ReplicaContext.all_reduce

    def counted(context, operation, value, *args, **kwargs):
        exchanged.extend(tf.nest.flatten(value))
        return all_reduce(context, operation, value, *args, **kwargs)

    monkeypatch.setattr(tf.distribute.ReplicaContext, "all_reduce", counted)
    with two_replicas.scope():
        sagan = make_sagan(d_steps=2, ema_decay=0.5)
    two_replicas.run(sagan.train_step, (data,))
    # Both replicas called.
    num_bytes = sum(value.dtype.size * value.shape.num_elements() for value in exchanged) // 2
    for workers, share in ((2, 1), (4, 1.5)):
        counted_bytes = exchanged_bytes(sagan.generator, sagan.discriminator, 2, workers)
        assert counted_bytes == num_bytes * share
