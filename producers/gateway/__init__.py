"""Events that a point of sale sends by itself: signatures, payloads, and the change sets that they become."""
