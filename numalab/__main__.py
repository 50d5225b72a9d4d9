"""``numalab`` and ``python -m numalab``: what is there before anything is imported."""

from __future__ import annotations

try:
    import os
    import signal
except KeyboardInterrupt:
    raise SystemExit("stopped") from None


def main() -> None:
    """Run the command line; Ctrl-C is one line and status 130 while it is still loaded, too."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)  # an exception might be lost in what is imported
    from numalab import cli

    cli.main(before)


def _leave(*_: object) -> None:
    os.write(2, b"stopped\n")
    os._exit(130)


if __name__ == "__main__":
    main()
