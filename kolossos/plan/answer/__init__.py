"""The answer to a question: figures, reasons, bill, pictures, files."""
