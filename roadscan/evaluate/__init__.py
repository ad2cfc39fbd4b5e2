"""How good a model and a register are, in numbers; nothing here trains or writes.

detection/   what a model finds in labelled images, against their labels
semantic/    what a model says of the pixels of labelled images, against their classes
register/    what a register holds, against known assets
bootstrap    the intervals of both: whole drives, or blocks of road, drawn again
"""
