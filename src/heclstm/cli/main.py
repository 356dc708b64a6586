"""`heclstm`: its verbs in the order of the data; `cli.ending` makes exit codes of errors.

0   done
1   something unexpected; its traceback is shown
2   a HeclstmError, or what the system refuses: one line on stderr (and JSON on stdout with --json), and no output file
3   done, but there is no decision: no operating point, or too few frames for one
129, 130, 143 ended by SIGHUP, Ctrl+C, SIGTERM; temporary files are removed
"""

from __future__ import annotations

from heclstm.cli.application import application

app = application()
