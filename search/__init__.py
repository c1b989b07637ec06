"""The driver's side of a search: command line, searcher, scheduler, Ray Tune, report, retrain."""
