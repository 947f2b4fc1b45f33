"""One contract suite for all doers, and the systems that they work in as a simulator of its own."""
