"""The bridging scorer: factorisation, rater helpfulness, the closed form of the final round, the rules by name."""
