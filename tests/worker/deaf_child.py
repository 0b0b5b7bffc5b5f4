"""A child that is ready, and stops to read before an assignment is whole."""

import os
import time

os.write(1, b'{"Ready": {}}\n')
os.read(0, 1000)
time.sleep(600)
