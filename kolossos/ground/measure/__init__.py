"""How good search and answers are on a set of questions: figures, plots, one report."""
