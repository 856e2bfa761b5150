"""Runs a program whose standard input and output are a terminal, as a person would see it.

    terminal.py PROGRAM ARGUMENT...

What comes on standard input is typed; what is drawn goes to standard output, as it is. Standard
error is passed on. Ends with the program's exit code.
"""

import os
import pty
import subprocess
import sys
import termios
import threading


def copy_keys(terminal):
    while keys := os.read(0, 1024):
        os.write(terminal, keys)


def main():
    terminal, inner = pty.openpty()
    termios.tcsetwinsize(inner, (40, 120))
    before = termios.tcgetattr(inner)
    program = subprocess.Popen(sys.argv[1:], stdin=inner, stdout=inner, start_new_session=True)
    threading.Thread(target=copy_keys, args=[terminal], daemon=True).start()
    ended = threading.Thread(target=program.wait)
    ended.start()

    def copy_drawn():
        while True:
            try:
                drawn = os.read(terminal, 65536)
            except OSError:
                return
            if not drawn:
                return
            os.write(1, drawn)

    drawing = threading.Thread(target=copy_drawn, daemon=True)
    drawing.start()
    ended.join()
    restored = termios.tcgetattr(inner) == before
    os.close(inner)
    drawing.join(10)
    # 99: nobody's own code; the terminal was left in another mode.
    os._exit(program.returncode if restored else 99)


if __name__ == "__main__":
    main()
