"""`img-open serve` itself, in a process of its own: `python demo_server.py ARGUMENTS-OF-SERVE`."""

from __future__ import annotations

import argparse
import sys

from img_open.gateway.command import add_arguments, serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    sys.exit(serve(parser.parse_args()))
