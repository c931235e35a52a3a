"""The planner's coefficients moved by what somebody measured on a machine of their own."""
