"""Measure this computer into a hardware file that planning reads: ``kolossos calibrate``."""
