"""How good a model and a register are, in numbers; nothing here trains or writes.

detection/   what a model finds in labelled images, against their labels
register/    what a register holds, against known assets
bootstrap    the intervals of both: whole drives, or blocks of road, drawn again
"""
