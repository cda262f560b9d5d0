"""Commands that decide candidates, and set which ones people get next: with screens, in a browser, by a policy."""
