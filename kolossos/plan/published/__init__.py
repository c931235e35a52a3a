"""Published training runs: read, predicted, compared; and from the errors the intervals."""
