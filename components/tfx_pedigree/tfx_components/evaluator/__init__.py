"""TFX's Evaluator for a baseline that may be missing. In and out: as TFX's own. Never: changes anything else of it."""
