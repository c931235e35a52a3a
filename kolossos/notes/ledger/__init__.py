"""A double-entry ledger of play credits and shares: one log of events, everything else is what the log says."""
