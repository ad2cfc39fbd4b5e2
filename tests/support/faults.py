"""Faults of a process that no exception can be made of."""

#: A sitecustomize.py, which every Python reads that has its folder on the path: an image that ends in "poison" kills
#: whoever decodes it.
FAULTY_DECODER = """
import os
import cv2
sound = cv2.imdecode
def imdecode(data, flags):
    if b"poison" in bytes(data[-16:]):
        os.abort()
    return sound(data, flags)
cv2.imdecode = imdecode
"""
