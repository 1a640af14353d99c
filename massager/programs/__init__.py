"""Programs: patterns around the chosen intensity, one TOML file each.

`program.py` is what one does, `rules.py` what a file may say, `loader.py` reads the files.
"""

from massager.programs.loader import load_program, program_names
from massager.programs.program import Program

__all__ = ["Program", "load_program", "program_names"]
