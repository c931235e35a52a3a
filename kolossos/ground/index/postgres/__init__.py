"""An index in a PostgreSQL database: the same commands for what many machines write to and search in."""
