"""The reference job on other frameworks, each in a locked environment of its own: `NAME.in`, `NAME.lock`, a module each."""
