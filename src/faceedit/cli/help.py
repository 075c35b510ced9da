"""How help is laid out: plain text that fits a narrow terminal, options in groups, each command in a sentence.

The contexts and formatters are typer's own, whose modules are private.
"""

from collections import defaultdict
from typing import Any

from typer.core import TyperCommand, TyperGroup

NAMES_WIDTH = 22  # columns that names of options take; longer ones stand on a line of their own


class Command(TyperCommand):
    """A command whose options are listed by their panels, in the order in which they were declared."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            panel = getattr(parameter, "rich_help_panel", None) or "Options"
            if parameter.param_type_name == "argument":
                panel, record = "Arguments", record and (parameter.metavar or record[0], record[1])
            if record is not None:
                panels[panel].append(record)
        panels["Options"] = panels.pop("Options", [])  # those of no other panel come last
        for name, records in panels.items():
            if records:
                with formatter.section(name):
                    formatter.write_dl(records, col_max=NAMES_WIDTH)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Examples, a line each, which must not be joined."""
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Group(TyperGroup):
    """The commands, by their panels, each with the whole first sentence of its help."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None:
                sentence = " ".join((command.help or "").split("\n\n")[0].split())
                panels[getattr(command, "rich_help_panel", None) or "Commands"].append((name, sentence))
        for panel, records in panels.items():
            with formatter.section(panel):
                formatter.write_dl(records)
