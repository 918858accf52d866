"""Two shops, every process, and a reckoning at the end: the promise shown, not told."""
