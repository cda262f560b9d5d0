"""What the accepted pairs are worth: calibration of judges, automatic acceptance, and the summary of both."""
