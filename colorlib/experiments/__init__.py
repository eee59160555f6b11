"""Train and evaluate: the functions behind the command line, the same the notebooks call, and the studies made of them.

    experiments.train_method("scgan", "class", "imagenette")         # the weights file
    experiments.evaluate_method("scgan", "class", "imagenette")      # {row: {metric: mean}}, rows appended to data/results

    opening       what a person types becomes a data set, a name the model that is measured
    training      `train_method`
    evaluation    `evaluate_method`, what a test gives a method, what costs nothing
    clips         `evaluate_clips`
    rows          what a row of results says, which metrics a table shows

    leaderboard, condition_table, ablations, tuning, other_sources      methods compared, recipes compared, sources compared
    hint_curves, misregistration_curves, infrared_leakage               one thing varied
    evaluators, protocols, certification                                ways to measure, other people's and ours
    reproduction, reproduce_all                                         chapters and the survey, from training to figures
"""
# What is not in `__all__` is for the modules beside this one, for figures and for tables.
from colorlib.experiments.clips import CLIP_TABLE, evaluate_clips, mean_clip_ab  # noqa: F401
from colorlib.experiments.evaluation import (conditions_for, conditions_of, evaluate, evaluate_method, grey, measure_over_grey, on_device,  # noqa: F401
                                             score_truth, shuffled, summarize_pairs, to_device, trivial_colorizers)
from colorlib.experiments.opening import (CLIP_TEST_SIZE, INFRARED_TEST_SIZE, STREAM, TEST_SIZE, ZOOM, data_name, default_data,  # noqa: F401
                                          is_scenes, load_model, open_dataset, open_test, open_training, reads_captions,
                                          reads_clips, test_side)
from colorlib.experiments.rows import (CHALLENGE_METRICS, CLIP_METRICS, COLOR_METRICS, INFRARED_METRICS, METRICS, REFERENCE_METRICS,  # noqa: F401
                                       columns_of_test, columns_of_training, known_trivial, summary_table, table_metrics)
from colorlib.experiments.training import train_method

__all__ = ["train_method", "evaluate_method", "evaluate_clips", "open_dataset", "open_training", "open_test", "default_data", "data_name",
           "is_scenes", "evaluate", "conditions_of", "conditions_for", "trivial_colorizers", "measure_over_grey", "to_device",
           "columns_of_test", "columns_of_training", "table_metrics", "summary_table", "METRICS", "COLOR_METRICS", "REFERENCE_METRICS",
           "INFRARED_METRICS", "CHALLENGE_METRICS", "CLIP_METRICS", "CLIP_TABLE", "TEST_SIZE", "INFRARED_TEST_SIZE", "CLIP_TEST_SIZE", "ZOOM",
           "STREAM"]
