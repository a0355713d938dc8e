"""What people do by mistake or by habit: each row, what comes of it, and the test that shows it.

The rows come from reports about tools of this kind and from tries of this one by new users. None is
silently wrong.
"""

import re

import pytest

from tests.support import commands

# One message says the way out; it goes on, and names what it does not use; nothing is to be said.
OUTCOMES = {"refused", "said", "works"}
# By the file of tests and the test: what is done, and its outcome.
TABLE = {
    "training/test_stopping.py": {
        "test_a_signal_is_noted_and_handlers_come_back": "said: Ctrl-C while it trains",
    },
    "end_to_end/test_user_faults_scores.py": {
        "test_1_one_class_trains_is_shown_checked_and_scored": (
            "works: one class, conditional networks"
        ),
        "test_2_a_command_refuses_a_renamed_class_in_one_line_and_changes_nothing": (
            "refused: a class folder renamed, then resumed"
        ),
        "test_other_classes_are_refused_before_anything_is_written": (
            "refused: a class added or removed, then resumed"
        ),
        "test_3_weights_go_on_with_other_classes_in_another_run": (
            "works: weights for other classes"
        ),
        "test_4_classes_of_images_are_matched_by_name": "said: scored folder: a class missing",
        "test_6_changed_pictures_of_the_same_names_are_seen": (
            "works: real images changed, same names"
        ),
        "test_11_the_classifier_refuses_one_class_and_says_what_to_use": (
            "refused: a classifier of one class"
        ),
        "test_a_damaged_file_is_named": "refused: a damaged file to `evaluate --images`",
        "test_a_moved_data_set_goes_on_and_its_new_place_is_kept": "said: the folder has moved",
        "test_where_inception_is_missing_the_classifier_is_offered": (
            "refused: no Inception weights"
        ),
        "test_1_one_class_is_evaluated_and_own_distances_have_a_yardstick": (
            "said: whether a distance is good"
        ),
        "test_too_few_images_name_the_metric_and_the_flag": "refused: too few images for a metric",
    },
    "training/test_loop.py": {
        "test_what_fails_while_showing_costs_no_run": "said: what fails while showing",
        "test_a_fresh_run_begins_with_a_grid_and_a_resumed_one_does_not": "works: a first grid",
    },
    "run/test_data_set.py": {
        "test_classes_whose_folders_were_exchanged_are_refused": (
            "refused: two class folders exchanged"
        ),
        "test_one_place_has_one_name": "works: the folder by another path",
    },
    "end_to_end/test_user_faults.py": {
        "test_what_is_read_of_a_folder": (
            "said: hidden, nested and system folders; any suffix or none, loose pictures, a "
            "level too deep; directories named like images, @eaDir"
        ),
        "test_labels": "works: classes named by numbers; commas, NFC and NFD, near misses",
        "test_labels_that_are_none": "refused: a label that no class has",
        "test_loops_end_and_each_directory_is_read_once": "said: loops of links",
        "test_a_class_folder_may_be_a_link": "works: a linked class folder",
        "test_transparent_images_are_put_on_the_background": "said: transparent images",
        "test_turned_jpegs_are_turned": "works: turned by EXIF data",
        "test_splits_are_taken": "said: train and val above the classes",
        "test_names_that_are_no_utf8_become_text": "works: Latin-1 bytes in names",
        "test_pipes_are_not_opened": "refused: named pipes",
        "test_flags_of_sample_and_attend_have_one_name": "works: --labels, --label",
        "test_what_is_refused": "refused: --dataset=/path, --split=val",
    },
    "layers/test_spectral_norm.py": {
        "test_a_frozen_layer_stands_still_and_goes_on_when_unfrozen": (
            "works: a frozen spectral layer"
        ),
    },
    "training/test_keras_model.py": {
        "test_labels_of_any_type_train_alike": "works: labels of any integer type",
        "test_images_from_0_to_1_and_unused_labels_are_warned_of": (
            "said: pictures of [0, 1], labels without classes"
        ),
        "test_numbers_that_are_not_finite_are_refused_in_arrays": (
            "refused: NaN in an array of pictures"
        ),
        "test_an_epoch_that_breaks_is_said_before_a_checkpoint_is_written": (
            "refused: an epoch that breaks"
        ),
        "test_a_loaded_model_goes_on_as_the_saved_one": "works: SAGAN.save",
        "test_model_checkpoint_saves_both_ways": "works: ModelCheckpoint",
    },
    "end_to_end/test_user_faults_keras.py": {
        "test_is_refused_in_one_line": (
            "refused: labels out of range, one-hot, names; an optimizer with use_ema; "
            "fit(validation_data=); a dataset without batches, or of dicts"
        ),
        "test_commands_name_the_variable_with_another_backend": (
            "refused: KERAS_BACKEND=jax with a command"
        ),
        "test_commands_name_the_file": "refused: keras.json with channels_first",
        "test_a_notebook_trains_and_samples_after_tensorflow_was_used": (
            "works: `train.main` in a notebook"
        ),
        "test_a_saved_model_loads_in_a_new_process": "works: a `.keras` file in a new process",
    },
    "evaluation/test_images.py": {
        "test_unreadable_real_images_are_named_and_others_stand_for_none": (
            "said: damaged real images"
        ),
    },
    "test_sampling.py": {
        "test_what_is_no_whole_number_is_not_rounded": "refused: labels 1.7 or True to `sample`",
    },
    "layers/test_inputs.py": {
        "test_channels_first_names_its_place": "refused: channels_first, layers",
    },
    "serving/test_client.py": {
        "test_no_proxy_of_the_environment_stands_between_this_machine_and_itself": (
            "works: a proxy in the environment"
        ),
    },
    "test_attend.py": {
        "test_of_a_folder_the_first_that_can_be_read_are_shown": (
            "said: a damaged file to `attend --images`"
        ),
    },
    "machine/test_devices.py": {
        "test_one_replica_needs_no_change": "works: devices after TensorFlow was used",
        "test_more_than_there_are_cannot_be_made_any_more": "refused: more replicas by then",
    },
    "layers/test_self_attention.py": {
        "test_scores_of_large_maps_do_not_overflow": "works: mixed_float16 attention",
    },
    "data/test_tfds.py": {
        "test_damaged_imagenet_archives_are_named": "refused: a garbage ImageNet archive",
    },
    "end_to_end/test_faults.py": {
        "test_ctrl_c_during_start_up_is_one_line": "said: Ctrl-C while it starts",
        "test_a_second_sigterm_ends_at_once": "said: Ctrl-C twice",
        "test_too_little_memory": "refused: too little memory",
    },
    "test_config.py": {
        "test_few_own_pictures_have_a_preset": "works: no steps given",
    },
    "end_to_end/test_small_data.py": {
        "test_few_pictures_take_their_preset_and_hear_of_it": "said: few pictures",
    },
    "data/test_inspection.py": {
        "test_very_unequal_classes_are_warned_of": "said: very unequal classes",
        "test_classes_of_one_image_are_warned_of": "said: classes of one image",
        "test_fewer_images_than_a_batch_are_warned_of": "said: fewer than a batch",
    },
    "training/test_grid_checks.py": {
        "test_copies_are_reported_once": "said: images known by heart",
        "test_samples_that_look_alike_are_reported_once": "said: samples that look alike",
    },
    "test_train.py": {
        "test_dry_run_times_some_steps_when_asked": "works: hours before they are spent",
    },
    "test_command.py": {
        "test_what_tensorflow_says_is_shown_only_if_something_is_wrong": (
            "works: TensorFlow's start-up lines"
        ),
        "test_help_is_there_at_once": "works: --help",
        "test_help_has_every_flag_of_training_in_its_group": (
            "works: --help of training, in groups"
        ),
        "test_an_unknown_flag_names_what_was_meant": "refused: a flag by another word",
        "test_what_cannot_be_is_refused_before_anything_heavy_is_imported": (
            "refused: a size that no network has"
        ),
    },
    "training/test_monitor.py": {
        "test_tells_how_long_compiling_took": "said: compiling",
    },
    "output/test_pictures.py": {
        "test_titles_beyond_english_letters_are_drawn_or_numbered": (
            "works: long or foreign titles"
        ),
    },
    "data/test_pipeline.py": {
        "test_too_many_damaged_images_stop_the_run_and_are_all_listed": (
            "refused: many damaged files"
        ),
    },
    "end_to_end/test_odd_folder.py": {
        "test_every_command_takes_the_folder": "works: sixty odd files, every command",
    },
}


@pytest.mark.parametrize("path", TABLE)
def test_each_row_has_its_outcome_and_its_proof(path):
    tests = re.findall(r"^def (\w+)", (commands.ROOT / "tests" / path).read_text("utf-8"), re.M)
    for test, row in TABLE[path].items():
        assert row.partition(":")[0] in OUTCOMES
        assert test in tests
