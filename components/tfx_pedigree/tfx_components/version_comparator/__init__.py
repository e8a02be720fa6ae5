"""Champion against challenger in a pipeline. In: both models, TFMA's results and the evaluation's examples. Out:
comparison.json, report.html, evidence.json, and a blessing that the stock Pusher obeys. Never: decides itself (that is
`comparison.gate`), or asks or tells a registry.
"""
