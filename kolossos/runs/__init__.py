"""A run's folder seen from outside, without torch: `train` writes it; `report`, `serve`, `watch` and `chat` read it.

paths        where its files lie: every file name is spelt there
folder       the run file in it, and what may change in that between two parts of one run
events       what was written down at every step: metrics with their units
rollbacks    when it went back to a checkpoint, and which data that left out
step_times   percentiles of the steps of each rank
environment  software and machine
promise      what a plan said before
plot         loss.png
"""
