"""Tables and progress displays, from the plain values that the rooms return."""
