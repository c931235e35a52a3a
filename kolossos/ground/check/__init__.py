"""Claims of a text against sources: supported, contradicted, or not found, with quotations."""
