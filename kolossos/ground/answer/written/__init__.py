"""A language model chooses what is quoted: under a grammar of the sentences found, and checked afterwards."""
