"""Questions put to a recording: tables in, tables out. Nothing is run and nothing is drawn here."""
