"""The small run of tests/train/small_run.py as fixtures."""

from small_run import data_folder, run_file, run_spec

__all__ = ["data_folder", "run_file", "run_spec"]
