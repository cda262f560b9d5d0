"""What the model hubs read of a report: model cards, `.eval_results/*.yaml`, records of Every Eval Ever. Offline."""
