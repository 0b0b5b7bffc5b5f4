"""What a new version gained and forgot: base and candidate answer the same rows, the gate judges, a report says it.

`context` is the contract, `kinds` names who keeps it: a folder a kind of target. In each, answers become an assessment
(all that is known of an update), that becomes measurements (what the gate takes), and all three a report.
"""
