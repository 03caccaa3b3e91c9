"""A mail server in a process of its own, so that its time is nobody else's: `python -m benchmarks.postbox FOLDER`.

It takes every mail, insists on STARTTLS with the certificate that it writes to FOLDER/ca.pem, and prints its port.
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

from tests.mailbox import certificate, mailbox


def main(folder: Path) -> None:
    authority = certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority, folder / "key.pem")
    with mailbox(tls_context=context, require_starttls=True) as box:
        print(box.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
