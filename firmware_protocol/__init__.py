"""The wire: messages, framing and the link, pure and standard library only. SPEC.md is the text."""
