"""`python -m firm` is `throughline generate` on its own."""

import typer

from firm.commands import generate

if __name__ == "__main__":
    typer.run(generate)
