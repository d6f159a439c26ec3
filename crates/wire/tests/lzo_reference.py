"""Runs blocks through the C library liblzo2, so that the tests can compare without linking it.

Reads from standard input, until its end: one byte of operation, the expected length of the output
and the length of the input as big-endian 32-bit numbers, the input. Writes for each: one byte, 0 if it
went well, the length of the output, the output.

Operations: d decompress checked, u decompress unchecked (as Icecream's daemons do), c compress at
level 1, C compress at level 999. Exits with 77 if the library is not there.
"""
import ctypes
import struct
import sys

try:
    lzo = ctypes.CDLL("liblzo2.so.2")
except OSError as error:
    print(error, file=sys.stderr)
    sys.exit(77)

calls = {
    b"d": lzo.lzo1x_decompress_safe,
    b"u": lzo.lzo1x_decompress,
    b"c": lzo.lzo1x_1_compress,
    b"C": lzo.lzo1x_999_compress,
}
work = ctypes.create_string_buffer(1 << 20)
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
while operation := stdin.read(1):
    room, length = struct.unpack(">II", stdin.read(8))
    data = stdin.read(length)
    out = ctypes.create_string_buffer(max(room, 1))
    size = ctypes.c_size_t(room)
    result = calls[operation](data, ctypes.c_size_t(length), out, ctypes.byref(size), work)
    stdout.write(struct.pack(">BI", result != 0, size.value) + out.raw[: size.value])
