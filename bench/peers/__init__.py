"""The reference job on other frameworks, each with a locked environment of its own: `NAME.in`, `NAME.lock`."""
