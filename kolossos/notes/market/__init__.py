"""Automated makers in integers: the logarithmic market scoring rule, constant-product pools, resting limit orders."""
