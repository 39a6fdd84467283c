"""One-shot strategies train one supernet in place of many trials."""
