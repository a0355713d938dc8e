"""Published SAGANs compute here what they do in their own code; `vectors/published` says how."""

import functools
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from sagan_tf import sampling
from sagan_tf.convert import ConvertSettings, main
from sagan_tf.fields import check_values
from sagan_tf.machine import devices
from sagan_tf.published import networks as published
from tests.support.commands import fail, run

VECTORS = Path(__file__).parent / "vectors/published"
# Without arguments, the recipe of the source.
CASES = {
    "studiogan_32": {},
    "studiogan2021_32": {},
    "studiogan_64": {},
    "mmgeneration_32": {"relu_shortcut": True},
    "mmgeneration_32_ajbrock": {},
    "mmgeneration_128": {},
}


@functools.cache
def load(case):
    """The states of a case's networks, and what was recorded with them."""
    states, recorded = {}, {}
    with np.load(VECTORS / f"{case}.npz") as file:
        for name in file.files:
            network, _, entry = name.partition("/")
            if entry:
                states.setdefault(network, {})[entry] = file[name]
            else:
                recorded[name] = file[name]
    return states, recorded


def source_of(case):
    return "studiogan" if case.startswith("studiogan") else "mmgeneration"


def in_their_order(images, source):
    """Ours as `(N, C, H, W)`, blue first if theirs are so."""
    images = np.asarray(images).transpose(0, 3, 1, 2)
    return images[:, ::-1] if source == "mmgeneration" else images


def assert_equal_to_largest(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def assert_same_images(generator, case, name="generator"):
    _, recorded = load(case)
    images = in_their_order(generator(recorded["latents"], recorded["labels"]), source_of(case))
    stride = recorded["stride"]
    assert_equal_to_largest(images[:, :, ::stride, ::stride], recorded[f"images_{name}"])


@pytest.mark.parametrize("case", CASES)
def test_networks_equal_their_own_code(case):
    states, recorded = load(case)
    networks = published.convert(source_of(case), states, **CASES[case])
    assert_same_images(networks.generator, case)
    assert (networks.ema_generator is None) == ("generator_ema" not in states)
    if networks.ema_generator is not None:
        assert_same_images(networks.ema_generator, case, "generator_ema")
    images = recorded["real"][:, ::-1] if source_of(case) == "mmgeneration" else recorded["real"]
    logits = networks.discriminator(images.transpose(0, 2, 3, 1), recorded["labels"])
    assert_equal_to_largest(logits, recorded["logits"])


def test_each_convention_matters():
    """The vectors would not notice a convention that changes nothing; mmgeneration's are BGR."""
    states, recorded = load("studiogan_32")
    networks = published.convert("studiogan", states, relu_shortcut=False, batch_norm_epsilon=1e-5)
    images = networks.generator(recorded["latents"], recorded["labels"])
    logits = networks.discriminator(recorded["real"].transpose(0, 2, 3, 1), recorded["labels"])
    for ours, theirs in [
        (in_their_order(images, "studiogan"), recorded["images_generator"]),
        (logits.numpy(), recorded["logits"]),
    ]:
        assert np.abs(ours - theirs).max() > 1e-4 * np.abs(theirs).max()


def test_training_goes_on_from_the_published_vectors():
    """The scaled vector is computed anew from the published one: PyTorch's next iteration."""
    states, _ = load("studiogan_32")
    layer = published.convert("studiogan", states).generator.output_convolution
    weight = states["generator"]["conv2d5.weight_orig"]
    with torch.no_grad():
        theirs = torch.nn.utils.spectral_norm(torch.nn.Conv2d(*weight.shape[1::-1], 3))
        for name in ("weight_orig", "weight_u"):
            getattr(theirs, name).copy_(torch.from_numpy(states["generator"][f"conv2d5.{name}"]))
        theirs(torch.zeros(1, weight.shape[1], 3, 3))
    normalized = layer.normalized(layer.kernel, training=True).numpy()
    assert_equal_to_largest(normalized.transpose(3, 2, 0, 1), theirs.weight.detach().numpy())
    assert_equal_to_largest(layer.vector_u[0].numpy(), theirs.weight_u.numpy())


def tensors(state):
    return {name: torch.from_numpy(np.array(value)) for name, value in state.items()}


def write_studiogan(folder, case="studiogan_32"):
    """Both files of a case, with what else StudioGAN writes; returns the command's arguments."""
    states, _ = load(case)
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    beside = {"optimizer": optimizer.state_dict(), "seed": 1, "run_name": "SAGAN-train", "step": 9}
    beside |= {"best_fid": np.float64(14.5), "best_step": 3, "topk": None, "lecam_emas": {"G": 0.9}}
    paths = [folder / "model=G-best.pth", folder / "model=D-best.pth"]
    for path, network in zip(paths, ("generator", "discriminator"), strict=True):
        torch.save({"state_dict": tensors(states[network]), **beside}, path)
    return ["--from=studiogan", *paths]


def write_mmgeneration(folder, case):
    states, _ = load(case)
    state = {
        f"{network}.{name}": value for network, s in states.items() for name, value in s.items()
    }
    meta = {"epoch": 1, "iter": 826, "mmgen_version": "0.1.0", "hook_msgs": {"best_score": 12.8}}
    torch.save({"meta": meta, "state_dict": tensors(state)}, folder / "sagan.pth")
    return ["--from=mmgeneration", folder / "sagan.pth"]


def test_sample_export_and_train_from_studiogan(tmp_path):
    workdir = tmp_path / "converted"
    arguments = write_studiogan(tmp_path)
    output = run("convert", *arguments, f"--workdir={workdir}", "--dataset=geotex")
    assert "converted: step 9, without an average" in output
    assert_same_images(sampling.load_generator(workdir), "studiogan_32")
    out = tmp_path / "grid.png"
    run("sample", f"--workdir={workdir}", "--labels=twin,fur", "--seeds=0", f"--out={out}")
    assert out.exists()
    run("export", f"--workdir={workdir}", f"--export_dir={tmp_path / 'exports'}")
    (line,) = (line for line in output.splitlines() if line.startswith("to train from it: "))
    flags = [flag for flag in shlex.split(line) if flag.startswith("--")][:-1]
    flags += ["--ema_decay=0", "--global_batch_size=8", "--steps=1", "--steps_per_call=1"]
    flags += [f"--workdir={tmp_path / 'tuned'}"]
    assert f"started from the weights in {workdir}" in run("train", *flags)
    flags = [flag for flag in flags if "relu_shortcut" not in flag]
    errors = fail("train", *flags[:-1], f"--workdir={tmp_path / 'other'}")
    assert "`--relu_shortcut` must be True, as in the run in" in errors
    errors = fail("train", *flags[1:-1], f"--workdir={workdir}")
    assert "holds a run with other settings: " in errors
    assert "converted_from" in errors
    errors = fail("convert", *arguments, f"--workdir={workdir}")
    assert "already holds a run" in errors


def test_the_average_of_mmgeneration(tmp_path):
    arguments = write_mmgeneration(tmp_path, "mmgeneration_128")
    workdir = tmp_path / "converted"
    output = run("convert", *arguments, f"--workdir={workdir}", "--dataset=geotex")
    assert "converted: step 826, with an average" in output
    assert_same_images(sampling.load_generator(workdir), "mmgeneration_128", "generator_ema")
    description = json.loads((workdir / "config.json").read_text())
    assert description["settings"]["batch_norm_epsilon"] == 1e-5
    assert description["settings"]["relu_shortcut"] is False


def changed(network, change, case="studiogan_32"):
    """A case's states after a change of one."""
    states = {name: dict(state) for name, state in load(case)[0].items()}
    change(states[network])
    return states


def add_block(state):
    state.update({k.replace("blocks.4", "blocks.5"): v for k, v in state.items() if "ks.4" in k})


UNFIT = {
    "left over": (
        changed("generator", lambda state: state.update(extra=np.ones(2))),
        "1 entries of the generator .* extra has no place",
    ),
    "missing": (
        changed("discriminator", lambda state: state.pop("linear1.bias")),
        r"1 entries of the discriminator .* linear1.bias \(1,\) is missing",
    ),
    "another shape": (
        changed("generator", lambda state: state.update({"bn4.bias": np.ones(3)})),
        r"bn4.bias \(16,\) is of shape \(3,\)",
    ),
    "no spectral norm": (
        changed(
            "generator",
            lambda state: state.update({"linear0.weight": state.pop("linear0.weight_orig")}),
        ),
        "linear0.weight_orig .* is missing; linear0.weight has no place",
    ),
    "never trained": (
        changed("generator", lambda s: s.update({"linear0.weight_u": -s["linear0.weight_u"]})),
        "linear0 was never trained",
    ),
    "no classes": (
        changed("discriminator", lambda state: state.pop("embedding.weight_orig")),
        "Expected a class-conditional SAGAN of studiogan, with embedding.weight_orig",
    ),
    "another size": (
        changed("generator", lambda state: [state.pop(k) for k in list(state) if "ks.0" in k]),
        r"converted at \(32, 64, 128, 256\) pixels.* Received: one of 4 pixels",
    ),
    "another depth": (changed("discriminator", add_block), "must have 4 blocks.* Received: 5"),
    "networks of other sizes": (
        {**load("studiogan_32")[0], "generator": load("studiogan_64")[0]["generator"]},
        "must have 5 blocks",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_is_listed(case):
    states, message = UNFIT[case]
    with pytest.raises(ValueError, match=message):
        published.convert("studiogan", states)


def test_attention_at_different_sizes_is_refused():
    def move(state):
        """The attention behind the next block."""
        for name in [name for name in state if name.startswith(("blocks.1.", "blocks.2."))]:
            moved = name.replace("blocks.1.", "blocks.x.").replace("blocks.2.", "blocks.1.")
            state[f"-{moved.replace('blocks.x.', 'blocks.2.')}"] = state.pop(name)
        for name in [name for name in state if name.startswith("-")]:
            state[name[1:]] = state.pop(name)

    with pytest.raises(ValueError, match=r"Received: \[16\] and \[8\]"):
        published.convert("studiogan", changed("discriminator", move))


class Call:
    def __reduce__(self):
        return Path.touch, (Path("touched"),)


def test_a_malicious_file_is_refused(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"state_dict": {"x": torch.ones(1)}, "meta": Call()}, path)
    workdir = tmp_path / "run"
    errors = fail("convert", "--from=mmgeneration", path, f"--workdir={workdir}")
    assert "which is not run" in errors
    assert not workdir.exists()


def convert(workdir, **given):
    settings = ConvertSettings(workdir=str(workdir), **given)
    check_values(settings)
    main(settings)


def test_bad_settings(tmp_path):
    torch.save({"weights": torch.ones(1)}, tmp_path / "foreign.pth")
    foreign = {"from_": "mmgeneration", "checkpoint": (str(tmp_path / "foreign.pth"),)}
    torch.save({"state_dict": {"net.x": torch.ones(1)}}, tmp_path / "unknown.pth")
    torch.save({"state_dict": {"generator.x": torch.ones(1)}}, tmp_path / "half.pth")
    write_mmgeneration(tmp_path, "mmgeneration_32")
    whole = {"from_": "mmgeneration", "checkpoint": (str(tmp_path / "sagan.pth"),)}
    for given, message in [
        ({"from_": "mmgeneration"}, "expects the checkpoint as one file. Received: none"),
        ({"from_": "biggan"}, "`--from` must be one of studiogan, mmgeneration"),
        ({"from_": "studiogan", "checkpoint": ("x",)}, "and the discriminator's file. Received: x"),
        ({**foreign, "batch_norm_epsilon": 0.0}, "`--batch_norm_epsilon` must be above 0"),
        (foreign, "must hold a `state_dict` of tensors by name"),
        ({**foreign, "checkpoint": (str(tmp_path / "unknown.pth"),)}, "Received: net.x"),
        (
            {**foreign, "checkpoint": (str(tmp_path / "half.pth"),)},
            "no entries of .'discriminator'.",
        ),
        (whole, "`--dataset` must name the data set of the 8 classes"),
        ({**whole, "dataset": "digits"}, "`--dataset` must have 8 classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            convert(tmp_path / "run", **given)
        assert not (tmp_path / "run").exists()


def test_it_leaves_gpus_alone(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(devices, "use_device", asked.append)
    write_mmgeneration(tmp_path, "mmgeneration_32")
    checkpoint = (str(tmp_path / "sagan.pth"),)
    with pytest.raises(ValueError, match="must have 8 classes"):
        convert(tmp_path / "run", from_="mmgeneration", checkpoint=checkpoint, dataset="digits")
    assert asked == ["cpu"]
