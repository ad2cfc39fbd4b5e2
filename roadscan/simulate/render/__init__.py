"""A scene, a camera and the light to the pixels of a frame, far to near.

sky ─► ground (surface, lighting) ─► brush: face by face, with an id buffer beside ─► sensor   all called by `frame`
"""
