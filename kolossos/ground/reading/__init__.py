"""Archives, exports, tables and documents as sources. What is nobody else's business is not read."""
