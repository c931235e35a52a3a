"""The fitted models of the scorer: the bridging factorisation, and the logistic ones on tags."""
