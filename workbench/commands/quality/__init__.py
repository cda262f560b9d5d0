"""Commands that measure what decisions rest on: texts, images, annotators, judges and prompts."""
