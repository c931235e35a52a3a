"""Who bets: forecasters fitted on the past, a language model behind a URL, and players that are there for tests."""
