"""Evaluation: search and detection metrics of arrays, of a file, or of a model on a data set."""

from personsearch.datasets.people import UNLABELLED
from personsearch.evaluation.arrays import EvaluationData, EvaluationQuery, GalleryEntry, Scene
from personsearch.evaluation.compare import at_boxes_of, compare_models, paired_bootstrap
from personsearch.evaluation.evaluator import Protocol, evaluate, evaluate_file
from personsearch.evaluation.runner import Dataset, evaluate_dataset
from personsearch.evaluation.schema import read

__all__ = [
    "UNLABELLED",
    "Dataset",
    "EvaluationData",
    "EvaluationQuery",
    "GalleryEntry",
    "Protocol",
    "Scene",
    "at_boxes_of",
    "compare_models",
    "evaluate",
    "evaluate_dataset",
    "evaluate_file",
    "paired_bootstrap",
    "read",
]
