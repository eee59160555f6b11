"""The command line, `python -m colorlib`: a file for each group of commands, in which the arguments of a command stand beside what it runs."""

__all__ = []      # for the command line alone
