"""What was gained and forgotten where targets are classes; `examine_classes` is the way in.

class_answers -> class_assessment -> evidence, likeness, measure_classes -> class_report; beside them notes on the
backbone, on clusters of contradicting rows, and what more rows would bring.
"""
