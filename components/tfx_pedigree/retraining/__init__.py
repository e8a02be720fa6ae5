"""Whether a model is to be trained again, on which spans of its data, and why.

In: what the registry tells of versions and of earlier runs, the spans that the data hold, a policy's `retraining`
section, measured drift. Out: a decision with its reasons, and notes in the audit log. It never trains, never measures,
never submits: the command line starts what does.

- `rules`, `rules_file`: when a reason counts, as values and as the policy's YAML.
- `spans`: which spans lie in the data, and which of them are whole.
- `ledger`: which spans were trained, tried, submitted; read from the registry, which is the only place that knows.
- `decision`: the reasons. Pure.
- `performance`: what was observed of the champion, against what its evidence says of it. The judgement is pure.
- `drift`: what was measured, against what is allowed. Pure.
- `lock`: one run at a time, also when somebody is killed.
"""
