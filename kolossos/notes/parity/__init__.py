"""How near the scorer comes to stored outputs of the official one, in three layers."""
