"""The local stack: parts of the real stack as local programs, from package registries alone, on 127.0.0.1.

For tests, measurements and trying things out; a deployment brings its own. It owns the versions of what it runs, the
cache of jars, and the programs it started. It knows nothing of Throughline: only the command line, tests and bench
import it.

One module a part (`kafka`), each a `Part` of `room`; `jars` fetches, `daemon` runs.
"""
