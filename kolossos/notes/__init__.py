"""Community Notes made fast: the scorer, prediction markets on its verdicts, bots, and the replay that checks them."""
