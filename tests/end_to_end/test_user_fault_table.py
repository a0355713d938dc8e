"""What people do by mistake or by habit: each row, what comes of it, and the test that shows it.

The rows come from reports about tools of this kind and from tries of this one by new users. None is
silently wrong.
"""

import re

import pytest

from tests.support import commands

# One message says the way out; it goes on, and names what it does not use; nothing is to be said.
OUTCOMES = {"refused", "said", "works"}
# By the file of tests: what is done, the outcome, the test.
TABLE = {
    "end_to_end/test_user_faults_scores.py": [
        ("one class, conditional networks", "works", "test_1_one_class_trains_is_shown_checked_and_scored"),
        ("a class folder renamed, then resumed", "refused", "test_2_a_command_refuses_a_renamed_class_in_one_line_and_changes_nothing"),
        ("a class added or removed, then resumed", "refused", "test_other_classes_are_refused_before_anything_is_written"),
        ("weights for other classes", "works", "test_3_weights_go_on_with_other_classes_in_another_run"),
        ("scored folder: a class missing", "said", "test_4_classes_of_images_are_matched_by_name"),
        ("real images changed, same names", "works", "test_6_changed_pictures_of_the_same_names_are_seen"),
        ("a classifier of one class", "refused", "test_11_the_classifier_refuses_one_class_and_says_what_to_use"),
        ("a damaged file to `evaluate --images`", "refused", "test_a_damaged_file_is_named"),
        ("the folder has moved", "said", "test_a_moved_data_set_goes_on_and_its_new_place_is_kept"),
        ("no Inception weights", "refused", "test_where_inception_is_missing_the_classifier_is_offered"),
        ("whether a distance is good", "said", "test_1_one_class_is_evaluated_and_own_distances_have_a_yardstick"),
        ("too few images for a metric", "refused", "test_too_few_images_name_the_metric_and_the_flag"),
    ],
    "training/test_loop.py": [
        ("what fails while showing", "said", "test_what_fails_while_showing_costs_no_run"),
        ("Ctrl-C while it trains", "said", "test_a_signal_is_noted_and_handlers_come_back"),
        ("a first grid", "works", "test_a_fresh_run_begins_with_a_grid_and_a_resumed_one_does_not"),
    ],
    "run/test_data_set.py": [
        ("two class folders exchanged", "refused", "test_classes_whose_folders_were_exchanged_are_refused"),
        ("the folder by another path", "works", "test_one_place_has_one_name"),
    ],
    "end_to_end/test_user_faults.py": [
        ("hidden, nested and system folders", "said", "test_what_is_read_of_a_folder"),
        ("classes named by numbers", "works", "test_labels"),
        ("a label that no class has", "refused", "test_labels_that_are_none"),
        ("loops of links", "said", "test_loops_end_and_each_directory_is_read_once"),
        ("a linked class folder", "works", "test_a_class_folder_may_be_a_link"),
        ("transparent images", "said", "test_transparent_images_are_put_on_the_background"),
        ("turned by EXIF data", "works", "test_turned_jpegs_are_turned"),
        ("any suffix or none, loose pictures, a level too deep", "said", "test_what_is_read_of_a_folder"),
        ("train and val above the classes", "said", "test_splits_are_taken"),
        ("Latin-1 bytes in names", "works", "test_names_that_are_no_utf8_become_text"),
        ("commas, NFC and NFD, near misses", "works", "test_labels"),
        ("directories named like images, @eaDir", "said", "test_what_is_read_of_a_folder"),
        ("named pipes", "refused", "test_pipes_are_not_opened"),
        ("--labels, --label", "works", "test_flags_of_sample_and_attend_have_one_name"),
        ("--dataset=/path, --split=val", "refused", "test_what_is_refused"),
    ],
    "layers/test_spectral_norm.py": [
        ("a frozen spectral layer", "works", "test_a_frozen_layer_stands_still_and_goes_on_when_unfrozen"),
    ],
    "training/test_keras_model.py": [
        ("labels of any integer type", "works", "test_labels_of_any_type_train_alike"),
        ("pictures of [0, 1], labels without classes", "said", "test_images_from_0_to_1_and_unused_labels_are_warned_of"),
        ("NaN in an array of pictures", "refused", "test_numbers_that_are_not_finite_are_refused_in_arrays"),
        ("an epoch that breaks", "refused", "test_an_epoch_that_breaks_is_said_before_a_checkpoint_is_written"),
        ("SAGAN.save", "works", "test_a_loaded_model_goes_on_as_the_saved_one"),
        ("ModelCheckpoint", "works", "test_model_checkpoint_saves_both_ways"),
    ],
    "end_to_end/test_user_faults_keras.py": [
        ("labels out of range, one-hot, names", "refused", "test_is_refused_in_one_line"),
        ("an optimizer with use_ema", "refused", "test_is_refused_in_one_line"),
        ("fit(validation_data=)", "refused", "test_is_refused_in_one_line"),
        ("a dataset without batches, or of dicts", "refused", "test_is_refused_in_one_line"),
        ("KERAS_BACKEND=jax with a command", "refused", "test_commands_name_the_variable_with_another_backend"),
        ("keras.json with channels_first", "refused", "test_commands_name_the_file"),
        ("`train.main` in a notebook", "works", "test_a_notebook_trains_and_samples_after_tensorflow_was_used"),
        ("a `.keras` file in a new process", "works", "test_a_saved_model_loads_in_a_new_process"),
    ],
    "evaluation/test_images.py": [
        ("damaged real images", "said", "test_unreadable_real_images_are_named_and_others_stand_for_none"),
    ],
    "test_sampling.py": [
        ("labels 1.7 or True to `sample`", "refused", "test_what_is_no_whole_number_is_not_rounded"),
    ],
    "layers/test_inputs.py": [
        ("channels_first, layers", "refused", "test_channels_first_names_its_place"),
    ],
    "serving/test_client.py": [
        ("a proxy in the environment", "works", "test_no_proxy_of_the_environment_stands_between_this_machine_and_itself"),
    ],
    "test_attend.py": [
        ("a damaged file to `attend --images`", "said", "test_of_a_folder_the_first_that_can_be_read_are_shown"),
    ],
    "machine/test_devices.py": [
        ("devices after TensorFlow was used", "works", "test_one_replica_needs_no_change"),
        ("more replicas by then", "refused", "test_more_than_there_are_cannot_be_made_any_more"),
    ],
    "layers/test_self_attention.py": [
        ("mixed_float16 attention", "works", "test_scores_of_large_maps_do_not_overflow"),
    ],
    "data/test_tfds.py": [
        ("a garbage ImageNet archive", "refused", "test_damaged_imagenet_archives_are_named"),
    ],
    "end_to_end/test_faults.py": [
        ("Ctrl-C while it starts", "said", "test_ctrl_c_during_start_up_is_one_line"),
        ("Ctrl-C twice", "said", "test_a_second_sigterm_ends_at_once"),
        ("too little memory", "refused", "test_too_little_memory"),
    ],
    "test_config.py": [
        ("no steps given", "works", "test_few_own_pictures_have_a_preset"),
    ],
    "end_to_end/test_small_data.py": [
        ("few pictures", "said", "test_few_pictures_take_their_preset_and_hear_of_it"),
    ],
    "data/test_inspection.py": [
        ("very unequal classes", "said", "test_very_unequal_classes_are_warned_of"),
        ("classes of one image", "said", "test_classes_of_one_image_are_warned_of"),
        ("fewer than a batch", "said", "test_fewer_images_than_a_batch_are_warned_of"),
    ],
    "training/test_grid_checks.py": [
        ("images known by heart", "said", "test_copies_are_reported_once"),
        ("samples that look alike", "said", "test_samples_that_look_alike_are_reported_once"),
    ],
    "test_train.py": [
        ("hours before they are spent", "works", "test_dry_run_times_some_steps_when_asked"),
    ],
    "test_command.py": [
        ("TensorFlow"s start-up lines", "works", "test_what_tensorflow_says_is_shown_only_if_something_is_wrong"),
        ("--help", "works", "test_help_is_there_at_once"),
        ("--help of training, in groups", "works", "test_help_has_every_flag_of_training_in_its_group"),
        ("a flag by another word", "refused", "test_an_unknown_flag_names_what_was_meant"),
        ("a size that no network has", "refused", "test_what_cannot_be_is_refused_before_anything_heavy_is_imported"),
    ],
    "training/test_monitor.py": [
        ("compiling", "said", "test_tells_how_long_compiling_took"),
    ],
    "output/test_pictures.py": [
        ("long or foreign titles", "works", "test_titles_beyond_english_letters_are_drawn_or_numbered"),
    ],
    "data/test_pipeline.py": [
        ("many damaged files", "refused", "test_too_many_damaged_images_stop_the_run_and_are_all_listed"),
    ],
    "end_to_end/test_odd_folder.py": [
        ("sixty odd files, every command", "works", "test_every_command_takes_the_folder"),
    ],
}


@pytest.mark.parametrize("path", TABLE)
def test_each_row_has_its_outcome_and_its_proof(path):
    tests = re.findall(r"^def (\w+)", (commands.ROOT / "tests" / path).read_text("utf-8"), re.M)
    for _, outcome, test in TABLE[path]:
        assert outcome in OUTCOMES
        assert test in tests
