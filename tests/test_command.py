"""How a command begins, and what it does when it is interrupted."""

import dataclasses
import importlib
import itertools
import math
import os
import platform
import re
import signal
import subprocess
import sys

import pytest
from PIL import Image

from sagan_tf import __main__, command, config, fields
from tests.support import commands

COMMANDS = (
    "train prepare convert sample evaluate attend latent export publish serve playground study "
    "benchmark"
).split()

# The lock is left as an interrupt between its acquisition and its `with` would leave it.
STUCK = """
import concurrent.futures, dataclasses, threading
from sagan_tf import command

Settings = dataclasses.make_dataclass("Settings", [])

def main(settings):
    lock = threading.Lock()
    lock.acquire()
    concurrent.futures.ThreadPoolExecutor(1).submit(lock.acquire)
    print("working")
    raise KeyboardInterrupt

command.run(main, Settings)
"""


def test_an_interrupt_ends_a_command_whose_threads_are_stuck():
    done = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "working\n")
    assert done.stderr.endswith("interrupted\n")
    assert "Traceback" not in done.stderr


PRINTED = """
import dataclasses, os
from sagan_tf import command

command.run(
    lambda settings: print(os.environ.get("TF_ENABLE_ONEDNN_OPTS")),
    dataclasses.make_dataclass("Settings", []),
)
"""


@pytest.mark.parametrize(
    ("given", "expected"), [(None, "1" if platform.machine() == "x86_64" else "None"), ("0", "0")]
)
def test_onednn_is_on_unless_the_user_says_otherwise(given, expected):
    environment = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    if given is not None:
        environment["TF_ENABLE_ONEDNN_OPTS"] = given
    printed = subprocess.check_output([sys.executable, "-c", PRINTED], env=environment, text=True)
    assert printed == f"{expected}\n"


HELP = """
import runpy, sys

sys.argv = [sys.argv[1], "--help"]
runpy.run_module(f"sagan_tf.{sys.argv[0]}", run_name="__main__", alter_sys=True)
assert not {"tensorflow", "keras", "torch", "gradio"} & set(sys.modules), "something heavy"
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_there_at_once(name):
    done = subprocess.run(
        [sys.executable, "-c", HELP, name], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    module = importlib.import_module(f"sagan_tf.{name}")
    if name in ("latent", "study", "benchmark"):
        module = importlib.import_module(f"sagan_tf.{name}.__main__")
    assert done.stdout.startswith(module.__doc__.strip())
    assert f"python -m sagan_tf.{name}" in done.stdout
    assert re.findall(r"^  --", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("words", ["train --help", "sample --seeds=0 --labels=1 --out=x.png"])
def test_nobody_reads_on(words, digits, tmp_path):
    """As in `... | head -1`: no traceback, and no message."""
    read, write = os.pipe()
    os.close(read)
    name, *arguments = words.split()
    done = subprocess.run(
        [sys.executable, "-m", f"sagan_tf.{name}", f"--workdir={digits}", *arguments],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(commands.ROOT)},
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_help_has_every_flag_of_training_in_its_group():
    fields = dataclasses.fields(config.TrainSettings)
    text = command.help_text("Trains.", config.TrainSettings, fields)
    groups = re.split(r"\n\n(?=[A-Z])", text)[1:]
    assert [group.splitlines()[0] for group in groups] == [
        *config.TrainSettings.flag_groups.values()
    ]
    flags = [re.findall(r"^  --(?:\[no\])?(\w+)", group, re.MULTILINE) for group in groups]
    assert [names[0] for names in flags] == [*config.TrainSettings.flag_groups]
    assert [*itertools.chain(*flags)] == [field.name for field in fields]
    assert "--[no]flip" in text
    assert "--attention_resolutions=A,B\n" in text
    assert "as named by TFDS or the folder. [train]" in text  # defaults are told
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("typed", "meant"),
    {
        "batch_size": ["--global_batch_size"],
        "batch-size": ["--global_batch_size"],
        "lr": ["--generator_learning_rate", "--discriminator_learning_rate"],
        "learning_rate": ["--generator_learning_rate", "--discriminator_learning_rate"],
        "epochs": ["--steps"],
        "resolution": ["--image_size"],
        "filters": ["--base_filters"],
        "z_dim": ["--latent_dim"],
        "output_dir": ["--workdir"],
        "mixed_precision": ["--dtype_policy"],
        "num_gpus": ["--num_replicas"],
        "atention_resolutions": ["--attention_resolutions"],
        "batch_siz": ["--global_batch_size"],  # a misspelt name of elsewhere
        "colour_of_the_sky": [],
    }.items(),
)
def test_an_unknown_flag_names_what_was_meant(typed, meant):
    flags = dataclasses.fields(config.TrainSettings)
    assert fields.similar_flags(typed, flags) == meant


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batch_size=8"], "no flag --batch_size. Did you mean --global_batch_size?"),
        (["--steps=many"], "flag --steps=many"),
        (["--image_size=100"], "`image_size` must be one of 16, 32, 64, 128, 256 pixels"),
        (["--image_size=64", "--attention_resolutions=64"], "must be among [8, 16, 32]"),
        (["--dataset=digits", "--base_filters=3"], "`base_filters` must be a multiple of 4"),
        (
            ["--dataset=digits", "--discriminator_base_filters=6"],
            "`discriminator_base_filters` must be a multiple of 8",
        ),
        (["--query_key_ratio=0"], "`query_key_ratio` must be a positive integer"),
        (["--pool_size=0"], "`--pool_size` must be at least 1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_heavy_is_imported(arguments, message, tmp_path):
    code = (
        "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None\n"  # importing fails
        "import runpy; runpy.run_module('sagan_tf.train', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"--workdir={tmp_path / 'run'}", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*\n", done.stderr), done.stderr
    assert message in done.stderr
    assert not (tmp_path / "run").exists()


# A module that loses an exception, as some do that try whether another one is there.
SWALLOWING = """
import os, signal, time
print("importing", flush=True)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
except BaseException:
    pass
print("went on")
"""
IMPORTING = """
import dataclasses, sys
from sagan_tf import command

def main(settings):
    sys.path.insert(0, sys.argv[0])
    import swallowing

command.run(main, dataclasses.make_dataclass("Settings", []), tensorflow=False)
"""


def test_an_interrupt_of_an_import_is_not_lost(tmp_path):
    (tmp_path / "swallowing.py").write_text(SWALLOWING)
    (tmp_path / "command.py").write_text(IMPORTING.replace("sys.argv[0]", repr(str(tmp_path))))
    done = subprocess.run(
        [sys.executable, tmp_path / "command.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "importing\n", "interrupted\n")


CHATTER = """
import os, sys, types
from sagan_tf.machine import startup

class Chatting:  # instead of TensorFlow
    def find_spec(self, name, path, target=None):
        if name == "tensorflow":
            os.write(2, b"I0000 said by C++\\n")
            print("said by Python", file=sys.stderr)
            if {crash}:
                os.abort()

sys.meta_path.insert(0, Chatting())
startup.has_gpu = lambda: bool({devices})
startup.import_tensorflow()
os.write(2, b"later\\n")
"""


@pytest.mark.parametrize(
    ("devices", "crash", "shown"),
    [
        ([], False, r"said by Python\nlater\n"),
        (["/dev/nvidia0"], False, r"said by Python\n(.*\n)*I0000 said by C\+\+\n(.*\n)*later\n"),
        ([], True, r"said by Python\nFatal Python error: Aborted\n(.*\n)*"),
    ],
)
def test_what_tensorflow_says_is_shown_only_if_something_is_wrong(devices, crash, shown):
    code = CHATTER.format(devices=devices, crash=crash)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == (-6 if crash else 0)
    assert re.fullmatch(shown, done.stderr), done.stderr


def test_packages_that_keras_would_import_are_hidden_meanwhile():
    code = """if True:
        import sys
        from sagan_tf.machine import startup
        with startup.without_unused_packages():
            startup.import_tensorflow()
            import keras
            import sagan_tf.data, sagan_tf.sampling, sagan_tf.training.session
        print(*sorted(sys.modules.keys() & {"IPython", "jax", "matplotlib", "pandas", "sklearn"}))
        import matplotlib.pyplot, sklearn.metrics
        with startup.without_unused_packages():
            import sklearn
        print(sklearn is sys.modules["sklearn"])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\nTrue\n"


@pytest.mark.parametrize("dataset", ["digits", "folder"])
def test_a_command_says_nothing_of_tensorflow(dataset, tmp_path):
    if dataset == "folder":
        for name in ("cat", "dog"):
            (tmp_path / name).mkdir()
            Image.new("RGB", (16, 16)).save(tmp_path / name / "0.png")
        dataset = f"folder:{tmp_path}"
    done = subprocess.run(
        [sys.executable, "-m", "sagan_tf.train", f"--dataset={dataset}", "--dry_run"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GMAC per image" in done.stdout
    assert done.stderr == ""


@dataclasses.dataclass(frozen=True)
class Limited:
    number: int | None = fields.setting(None, "A number.", at_least=2)
    rate: float = fields.setting(0.5, "A rate.", above=0)
    share: float = fields.setting(0.5, "A share.", at_least=0, below=1)
    sign: float = fields.setting(0.5, "A sign.", above=-1, below=1)
    size: float = fields.setting(1.0, "A finite size.", at_least=0, below=math.inf)
    kind: str = fields.setting("a", "A kind.", choices=("a", "b"))
    parts: tuple[str, ...] = fields.setting(("a",), "Some parts.", choices=("a", "b"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"number": 1}, "`--number` must be at least 2. Received: 1"),
        ({"rate": 0.0}, "`--rate` must be above 0. Received: 0.0"),
        ({"rate": math.nan}, "`--rate` must be above 0. Received: nan"),
        ({"share": 1.0}, "`--share` must be in [0, 1). Received: 1.0"),
        ({"share": math.nan}, "`--share` must be in [0, 1). Received: nan"),
        ({"sign": -1.0}, "`--sign` must be between -1 and 1. Received: -1.0"),
        ({"size": math.inf}, "`--size` must be at least 0 and finite. Received: inf"),
        ({"kind": "c"}, "`--kind` must be one of a, b. Received: 'c'"),
        ({"parts": ("a", "c")}, "`--parts` must be some of a, b. Received: 'a,c'"),
        ({"parts": ()}, "`--parts` must be some of a, b. Received: ''"),
    ],
)
def test_limits_stand_beside_the_field(given, expected):
    fields.check_values(Limited())
    with pytest.raises(ValueError, match=re.escape(expected)):
        fields.check_values(Limited(**given))


def test_the_package_names_its_commands():
    done = subprocess.run(
        [sys.executable, "-m", "sagan_tf"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.strip().splitlines()[2:]
    assert [line.split()[2] for line in lines] == [f"sagan_tf.{name}" for name in __main__.COMMANDS]
    assert sorted(__main__.COMMANDS) == sorted(COMMANDS)
    assert all(line.endswith((".", ":")) for line in lines), lines


WARNED = """
import dataclasses
from absl import logging
from sagan_tf import command

command.run(
    lambda settings: logging.warning("So %d it is.", 3),
    dataclasses.make_dataclass("Settings", []),
    tensorflow=False,
)
"""


def test_a_warning_is_a_plain_line():
    done = subprocess.run(
        [sys.executable, "-c", WARNED], capture_output=True, text=True, check=True
    )
    assert done.stderr == "warning: So 3 it is.\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step": 20}, "There is no setting 'step'. Did you mean"),
        ({"batch": 20}, "Did you mean global_batch_size?"),
        ({"steps": "20"}, "`steps` must be of type int. Received: '20', of type str"),
        ({"steps": True}, "`steps` must be of type int. Received: True"),
        ({"dataset": None}, "`dataset` must be of type str"),
        ({"preset": "smal"}, "Did you mean small? Received: 'smal'"),
    ],
)
def test_settings_of_a_program_are_checked_as_flags_are(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        config.resolve(given)


def test_settings_of_a_program_name_their_data_set():
    settings, sources = config.resolve(
        {"dataset": "robohash", "beta_1": 0, "attention_resolutions": [8, 16]}
    )
    assert (settings.dataset, settings.preset) == ("robohash", "robohash")
    assert (settings.beta_1, settings.attention_resolutions) == (0.0, (8, 16))
    assert sources["dataset"] == config.FLAG
    with pytest.raises(TypeError):
        config.resolve({"workdir": "runs/a"}, "robohash")  # would train on the default


def test_help_says_where_a_preset_decides():
    fields = dataclasses.fields(config.TrainSettings)
    text = command.help_text("Trains.", config.TrainSettings, fields)
    assert re.search(r"--image_size=N\n +Pixels.*\[128 without a preset\]", text)
    assert re.search(r"--log_every=N\n +.*\[100\]", text)
