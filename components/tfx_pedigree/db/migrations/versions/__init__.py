"""The history of the schema. A migration is never edited once released; the next one changes it."""
