"""Which of two models is better, with all that the gate must know: rules, earlier decisions, and the evidence for them.

In come numbers, a policy and the audit log; out go comparisons and evidence. Nothing here measures or promotes.
"""
