"""How good classes of pixels are: intersection over union, boundary F1, confidence intervals.

predict.predict ──► PixelResult: an image's confusion of pixels and its boundaries ──┬─► scores.score
                                                                                    └─► bootstrap.resample_scores

All of it, of one model: evaluation.evaluate; of several on the same images: compare.compare; to read: tables.
From PixelResult on it is NumPy alone: what an image comes to is a few numbers, however large it is.
"""
