"""Words that data, network and weights share about tokens."""

END_OF_TEXT = "<|endoftext|>"
CHAT_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")
END_TOKENS = (END_OF_TEXT, "<|end_of_text|>", "<|eos|>", "</s>")
"""Tokens that end a text in tokenizers of the field, in the order in which they are looked for."""

IGNORED_TARGET = -1
"""The target of a position from which nothing is to be predicted."""
