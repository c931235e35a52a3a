"""Parts of the fits: what fit_kernels.py and fit_plan.py vary, and to what."""
