"""What came true: questions about a note, the verdict that tables give, its evidence, and audits where none comes."""
