"""The same step as a schedule of events, played in order: the second evaluator."""
