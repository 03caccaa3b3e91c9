"""The only place where a socket or a database opens: one folder per other end, one file per port it answers."""
