"""What was gained and lost where targets are numbers; `examine_numbers` is the way in.

number_answers -> number_assessment -> batch/, measure_numbers -> errors, number_report; number_memory makes what later
versions are compared with, intervals and left_out how far off values may be, yardsticks what anybody could answer.
"""
