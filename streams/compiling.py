"""`python -m streams.compiling`: compile what `streams.compiled` lists, into its folder. It takes about a minute.

Where there is no C compiler, it says so and that is all, since pure Python does the same. It ends with an error if
something does not compile.
"""

import io
import os
import shutil
import sysconfig
import time
from contextlib import redirect_stdout
from pathlib import Path

from mypyc.build import mypycify
from setuptools import Distribution, Extension  # type: ignore[import-untyped]

from streams import compiled

_BUILD = compiled.ROOT / "build" / "compiled"

_EAGER = "Treating generator comprehension as list"


def compiler() -> str | None:
    """Return the C compiler that extensions of this Python are made with, or None if there is none."""
    name = os.environ.get("CC") or str(sysconfig.get_config_var("CC") or "cc")
    header = Path(sysconfig.get_path("include"), "Python.h")
    return name if shutil.which(name.split()[0]) and header.is_file() else None


def build() -> None:
    """Compile, and put the modules in their place once all of them are made."""
    made = _BUILD / "made"
    shutil.rmtree(_BUILD, ignore_errors=True)
    os.chdir(compiled.ROOT)
    said = io.StringIO()
    with redirect_stdout(said):
        extensions = mypycify(
            [str(path) for path in compiled.sources()],
            opt_level="1",  # level 3 takes a third longer to compile, for less than one instruction in a hundred
            debug_level="0",
            group_name=compiled.GROUP,
            target_dir=str(_BUILD / "c"),
        )
    extensions.append(Extension(compiled.CONSTRUCTORS, [str(compiled.CONSTRUCTORS_SOURCE)]))
    if eager := [line for line in said.getvalue().splitlines() if _EAGER in line]:
        # A generator would be taken to its end before anybody asks for its first value.
        raise SystemExit("\n".join(["Compiled, these would no longer be lazy; write lists:", *eager]))
    command = Distribution({"name": compiled.GROUP, "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(made), str(_BUILD / "objects")
    command.ensure_finalized()
    command.run()
    Path(made, compiled.STAMP.name).write_text(compiled.fingerprint(), encoding="ascii")
    shutil.rmtree(compiled.FOLDER, ignore_errors=True)
    made.rename(compiled.FOLDER)


def main() -> None:
    """Compile, unless what is there is up to date."""
    if compiled.is_current():
        return
    found = compiler()
    if found is None:
        print("The steps run as pure Python, at half the speed: there is no C compiler with Python's headers here.")
        return
    print(f"Compiling the steps with {found}, about a minute. Without it they would run at half the speed.", flush=True)
    began = time.monotonic()
    build()
    print(f"{len(compiled.sources())} modules are compiled, in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
