"""Use cases: everything that a front end may ask for and that combines or decides, one function or small class each.

In come a registry, a store where bytes are needed, and plain values; out go typed outcomes that were
true in the transaction that made them. It never knows Click, HTTP or TFX, and never prints.

What many ask for lies here: `workspace` (all that an address means), `initialise`, `intake` (files become a
candidate), `promotion`, `audit`, `tokens`, `granting`, `telling` (webhooks). The rest lies in folders by
subject: `versions`, `judging`, `runs` (of a pipeline with our components), `pipelines` (started from here), `rollouts`,
`monitor`, `reproducing`, `archive` and `git`.
"""
