"""The only place where a socket or a database opens: a folder per other end, a file per port it answers."""
