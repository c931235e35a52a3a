"""Who does what since when: the part of the step that each rank is in, and the end of a run in which all wait."""
