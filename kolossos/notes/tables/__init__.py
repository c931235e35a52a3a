"""The public tables of Community Notes: read by column name, checked, counted; and synthetic worlds like them."""
