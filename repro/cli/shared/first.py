"""Imported before all that needs libraries: where one is missing, one line says so."""

from repro.needed import COMMAND_LINE, require

require(COMMAND_LINE)
