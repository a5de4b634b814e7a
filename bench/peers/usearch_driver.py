#!/usr/bin/env python3
"""Load NumKong's kernels from its wheel, then hand over to usearch_driver.cpp (the first argument)."""
import ctypes
import sys

from numkong import _numkong

ctypes.CDLL(_numkong.__file__, mode=ctypes.RTLD_GLOBAL)
driver = ctypes.CDLL(sys.argv[1])
arguments = [word.encode() for word in sys.argv[1:]]
sys.exit(driver.peer_main(len(arguments), (ctypes.c_char_p * (len(arguments) + 1))(*arguments, None)))
