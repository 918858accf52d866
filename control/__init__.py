"""The registry's write side."""
