"""The decoder's pass in C++, compiled on this machine for its own vectors: exact in any company, and fast."""
